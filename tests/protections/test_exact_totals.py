"""Under every protection the total is the sum, to the last unit, and all sites accept it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from equipoise.errors import DisclosureError, ProtocolError, TransportError
from equipoise.protection import Message, Protection
from equipoise.protections.clear import Clear, read_blocks
from equipoise.protections.masked import Masked
from equipoise.sums import Field, Schema
from protections.rounds import WIDEST, Values, added, names, same, schema, start

BOTH: list[Any] = [pytest.param(Clear(), id="clear"), pytest.param(Masked(), id="masked")]
SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def studies(draw: st.DrawFn, least: int, most: int) -> tuple[Schema, list[Values]]:
    """Draw a schema of several blocks, and each site's values: of any sign, any layout."""
    n = draw(st.integers(least, most))
    fields = st.dictionaries(st.text(min_size=1, max_size=3), SHAPES, min_size=1, max_size=3)
    shapes = draw(st.lists(fields, min_size=1, max_size=3))
    entries = st.integers(-(WIDEST // n), WIDEST // n)
    parts: list[Values] = [
        [
            {
                name: laid_out(draw(arrays(np.int64, shape, elements=entries)), draw)
                for name, shape in block.items()
            }
            for block in shapes
        ]
        for _ in range(n)
    ]
    form = Schema(
        tuple(
            {name: Field(shape, float(WIDEST), float(WIDEST)) for name, shape in block.items()}
            for block in shapes
        )
    )
    return form, parts


def laid_out(values: np.ndarray[Any, Any], draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Return the same values, otherwise laid out in memory."""
    if not values.ndim:
        return values
    layout = draw(st.sampled_from(["C", "F", "strided", "reversed"]))
    if layout == "strided":
        return np.repeat(values, 2, axis=-1)[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1])[::-1]
    return np.array(values, order=layout)  # pyright: ignore[reportArgumentType,reportCallIssue]


@settings(max_examples=40)
@given(studies(3, 6))
def test_masked_totals_are_exact(study: tuple[Schema, list[Values]]) -> None:
    form, parts = study
    done = start(Masked(), form, parts).run()
    assert same(done.total, added(parts))
    assert all(same(done.accepted[name], added(parts)) for name in names(len(parts)))


@settings(max_examples=40)
@given(studies(1, 6))
def test_clear_totals_are_exact(study: tuple[Schema, list[Values]]) -> None:
    form, parts = study
    done = start(Clear(), form, parts).run()
    assert same(done.total, added(parts))
    assert all(same(done.accepted[name], added(parts)) for name in names(len(parts)))


@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize("total", [WIDEST, -WIDEST, 0])
def test_totals_at_the_limit_are_exact_though_parts_lie_beyond(
    protection: Protection, total: int
) -> None:
    """Parts may be anywhere in the ring: only the total has a limit."""
    parts: list[Values] = [[{"x": np.array([value])}] for value in (2**63 - 1, -(2**63) + 1, total)]
    done = start(protection, schema({"x": (1,)}), parts).run()
    assert same(done.total, [{"x": np.array([total])}])


@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize("beyond", [WIDEST + 1, -WIDEST - 1, 2**63 - 1])
def test_a_total_beyond_its_limit_is_not_published(protection: Protection, beyond: int) -> None:
    parts: list[Values] = [[{"x": np.array([value])}] for value in (beyond, 0, 0)]
    with pytest.raises(ProtocolError, match="beyond its declared limit"):
        start(protection, schema({"x": (1,)}), parts).run()


@pytest.mark.parametrize("protection", BOTH)
def test_a_long_stream_is_exact_block_by_block(protection: Protection) -> None:
    """Blocks longer than a chunk of keystream, and not a multiple of a cipher's block."""
    draw = np.random.default_rng(1)
    shapes = [(2**15 + 3,), (5,), (3, 2**15)]
    parts: list[Values] = [
        [{"x": draw.integers(-1000, 1000, shape)} for shape in shapes] for _ in range(3)
    ]
    done = start(protection, schema(*({"x": shape} for shape in shapes)), parts).run()
    assert same(done.total, added(parts))


@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize(
    "change",
    [
        lambda blocks: blocks[:-1],
        lambda blocks: [*blocks, blocks[0]],
        lambda blocks: [blocks[0][:-1], *blocks[1:]],
        lambda blocks: [blocks[0] + bytes(8), *blocks[1:]],
        lambda blocks: [],
    ],
    ids=["fewer", "more", "shorter", "longer", "none"],
)
def test_a_total_of_another_form_is_refused_by_the_site(
    protection: Protection, change: Any
) -> None:
    form = schema({"x": (2,)}, {"y": (3,)})
    parts: list[Values] = [[{"x": np.arange(2)}, {"y": np.arange(3)}] for _ in range(3)]
    phases = 4 if isinstance(protection, Masked) else 2
    rounds = start(protection, form, parts).run(phases - 1)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    for name, message in outcome.state.items():
        with pytest.raises(ProtocolError):
            rounds.ask(name, Message(message.head, change([bytes(b) for b in message.blocks])))


@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_answer_of_another_form_is_refused_by_the_centre(
    protection: Protection, number: int
) -> None:
    form = schema({"x": (2,)}, {"y": (3,)})
    parts: list[Values] = [[{"x": np.arange(2)}, {"y": np.arange(3)}] for _ in range(3)]
    rounds = start(protection, form, parts).run(2 if isinstance(protection, Masked) else 1)
    came = rounds.answers[-1]["s1"]
    rounds.answers[-1]["s1"] = Message(came.head, [*came.blocks, b"more"][:number])
    with pytest.raises(ProtocolError):
        rounds.run()


@pytest.mark.parametrize("protection", BOTH)
def test_a_total_needs_every_site(protection: Protection) -> None:
    parts: list[Values] = [[{"x": np.arange(2)}] for _ in range(4)]
    rounds = start(protection, schema({"x": (2,)}), parts).run(1)
    del rounds.answers[-1]["s2"]
    with pytest.raises((ProtocolError, TransportError), match=r"every site|lost s2"):
        rounds.run()


def test_two_sites_cannot_be_masked() -> None:
    for n_sites in (0, 1, 2):
        with pytest.raises(DisclosureError, match="at least 3 sites"):
            Masked().check(n_sites)
    Masked().check(3)
    for n_sites in (1, 2, 3):
        Clear().check(n_sites)


def test_blocks_are_added_as_they_come() -> None:
    """Neither protection asks for a block before it has dealt with the one before."""
    made = 0

    def blocks() -> Any:
        nonlocal made
        for _ in range(100):
            made += 1
            yield bytes(8)

    form = schema(*({"x": (1,)} for _ in range(100)))
    for number, _ in enumerate(read_blocks(form, Message(b"", blocks())), start=1):
        assert made == number


def test_the_least_number_of_the_ring_is_beyond_every_limit() -> None:
    form = schema({"x": (1,)})
    rounds = start(Clear(), form, [[{"x": np.zeros(1, np.int64)}]]).run(1)
    forged = np.array([-(2**63)]).tobytes()
    with pytest.raises(ProtocolError):
        rounds.ask("s0", Message(b"", [forged]))
