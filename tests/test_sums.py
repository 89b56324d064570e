"""What may leave a site: declarations, their encoding, and what they refuse."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.sums import (
    GENOTYPE,
    Field,
    Read,
    Schema,
    add,
    check_total,
    decode,
    encode,
    from_bytes,
    head_count,
    quantum_for,
    real,
    to_bytes,
)

PEOPLE = 40
BLOCK: Mapping[str, Field] = {
    "n": head_count((2,), PEOPLE, ("fold",)),
    "xy": real((2, 3), 3.5, PEOPLE, ("fold",), (Read("age"), Read(GENOTYPE))),
}
SCHEMA = Schema((BLOCK, BLOCK))


def sums(xy: NDArray[np.float64] | None = None) -> dict[str, NDArray[np.float64]]:
    return {"n": np.array([3.0, 5.0]), "xy": np.zeros((2, 3)) if xy is None else xy}


within = hnp.arrays(np.float64, (2, 3), elements=st.floats(-3.5 * PEOPLE, 3.5 * PEOPLE))


@given(within)
def test_decoding_what_was_encoded_is_within_half_a_quantum(xy: NDArray[np.float64]) -> None:
    integers = encode(BLOCK, sums(xy), PEOPLE)
    assert all(value.dtype == np.int64 for value in integers.values())
    back = decode(BLOCK, integers)
    np.testing.assert_array_equal(back["n"], sums()["n"])
    # Multiples of a power of two are exact, so that half a quantum is all there is.
    assert np.abs(back["xy"] - xy).max() <= BLOCK["xy"].quantum / 2


@given(within)
def test_bytes_give_back_the_integers_in_the_declared_order(xy: NDArray[np.float64]) -> None:
    integers = encode(BLOCK, sums(xy), PEOPLE)
    data = to_bytes(BLOCK, integers)
    assert len(data) == 8 * (2 + 6)
    back = from_bytes(BLOCK, data)
    assert list(back) == ["n", "xy"]
    for name in BLOCK:
        np.testing.assert_array_equal(back[name], integers[name])


def test_integers_travel_little_endian_and_row_by_row() -> None:
    block = {"n": head_count((2, 2), 300)}
    data = to_bytes(block, {"n": np.array([[1, -1], [258, 0]], np.int64).T.copy().T})
    assert data == b"\1" + 7 * b"\0" + 8 * b"\xff" + b"\2\1" + 6 * b"\0" + 8 * b"\0"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_no_bounded_number_is_not_encoded(value: float) -> None:
    xy = np.zeros((2, 3))
    xy[1, 2] = value
    with pytest.raises(DisclosureError, match="nothing was sent"):
        encode(BLOCK, sums(xy), PEOPLE)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_people_may_add_as_much_as_declared_and_no_more(sign: float) -> None:
    most = np.full((2, 3), sign * 3.5 * 7)
    assert encode({"xy": BLOCK["xy"]}, {"xy": most}, 7)
    with pytest.raises(DisclosureError, match="the most that 6 people may add"):
        encode({"xy": BLOCK["xy"]}, {"xy": most}, 6)


def test_a_site_of_more_people_than_the_plan_says_stays_within_the_limit() -> None:
    beyond = np.full((2, 3), 3.5 * (PEOPLE + 1))
    with pytest.raises(DisclosureError, match=r"xy: an entry is beyond 140"):
        encode({"xy": BLOCK["xy"]}, {"xy": beyond}, PEOPLE + 1)


def test_a_message_about_a_bad_entry_does_not_say_its_value() -> None:
    with pytest.raises(DisclosureError) as refused:
        encode(BLOCK, sums(np.full((2, 3), 123456.0)), PEOPLE)
    assert "123456" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"n": np.zeros(2)},
        {"xy": np.zeros((2, 3)), "n": np.zeros(2)},
        {"n": np.zeros(2), "xy": np.zeros((2, 3)), "more": np.zeros(1)},
        {"n": np.zeros(2), "xy": np.zeros((3, 2))},
        {"n": np.zeros(2), "xy": np.zeros(6)},
    ],
)
def test_an_answer_of_another_form_is_refused(answer: dict[str, NDArray[np.float64]]) -> None:
    with pytest.raises(ProtocolError):
        encode(BLOCK, answer, PEOPLE)


@pytest.mark.parametrize("length", [0, 56, 63, 65, 72])
def test_bytes_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"64 bytes, got {length}"):
        from_bytes(BLOCK, bytes(length))


def blocks(first: int, second: int) -> list[dict[str, NDArray[np.int64]]]:
    return [
        {"n": np.full(2, n, np.int64), "xy": np.full((2, 3), -n, np.int64)} for n in (first, second)
    ]


def test_sites_are_added_block_by_block() -> None:
    total = list(add(SCHEMA, [blocks(1, 2), blocks(10, 20), blocks(0, 0)]))
    for found, expected in zip(total, blocks(11, 22), strict=True):
        for name in BLOCK:
            np.testing.assert_array_equal(found[name], expected[name])


def test_a_site_with_fewer_blocks_is_no_addend() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(add(SCHEMA, [blocks(1, 2), blocks(1, 2)[:1]]))


def test_adding_does_not_change_what_came() -> None:
    one, other = blocks(1, 2), blocks(3, 4)
    list(add(SCHEMA, [one, other]))
    assert one[0]["n"].tolist() == [1, 1]
    assert other[1]["n"].tolist() == [4, 4]


def test_a_total_at_its_limit_passes_and_one_beyond_is_refused() -> None:
    good = blocks(PEOPLE, 0)
    check_total(SCHEMA, good)
    with pytest.raises(ProtocolError, match="n: the total is beyond its declared limit"):
        check_total(SCHEMA, blocks(0, PEOPLE + 1))
    with pytest.raises(ProtocolError, match="n: the total is beyond"):
        check_total(SCHEMA, blocks(0, -PEOPLE - 1))


def test_the_least_integer_is_beyond_every_limit() -> None:
    # Its absolute value is itself in 64 bits: a negative number, below any limit.
    total = blocks(0, 0)
    total[0]["n"][0] = np.iinfo(np.int64).min
    with pytest.raises(ProtocolError, match="beyond its declared limit"):
        check_total(SCHEMA, total)


def test_a_total_of_another_form_is_refused() -> None:
    with pytest.raises(ProtocolError, match="expected 2 blocks of totals, got 1"):
        check_total(SCHEMA, blocks(1, 1)[:1])
    without = [{"n": block["n"]} for block in blocks(1, 1)]
    with pytest.raises(ProtocolError, match="xy: the total does not have the declared shape"):
        check_total(SCHEMA, without)
    turned = [{**block, "xy": block["xy"].T} for block in blocks(1, 1)]
    with pytest.raises(ProtocolError, match="xy: the total does not have the declared shape"):
        check_total(SCHEMA, turned)


@given(st.floats(2.0**-40, 2.0**60))
def test_the_quantum_is_the_least_power_of_two_that_fits(limit: float) -> None:
    quantum = quantum_for(limit)
    assert np.frexp(quantum)[0] == 0.5
    assert 2.0**39 < limit / quantum <= 2.0**40


@pytest.mark.parametrize(
    ("limit", "quantum"), [(1.0, 0.0), (1.0, -1.0), (1.0, 2.0), (1.0, 2.0**-41)]
)
def test_a_range_that_does_not_fit_is_no_field(limit: float, quantum: float) -> None:
    with pytest.raises(ValueError, match=r"do not fit 2\*\*40 steps"):
        Field((1,), 1.0, limit, quantum)


def test_a_field_that_tells_about_the_gram_matrix_names_its_block() -> None:
    with pytest.raises(ValueError, match="names its block"):
        Field((1,), 1.0, 10.0, directions=1)


def test_a_schema_says_its_size_and_the_columns_that_it_reads() -> None:
    assert SCHEMA.size == 2 * (2 + 6)
    assert SCHEMA.columns == {"age"}
    assert [name for name, _ in SCHEMA.fields] == ["n", "xy", "n", "xy"]
    assert Schema().size == 0


@pytest.mark.parametrize("people", [0, 1, 40])
def test_a_count_has_steps_of_one(people: int) -> None:
    count = head_count((3,), people, per_person=2)
    assert (count.quantum, count.counts, count.limit) == (1.0, True, max(1.0, 2.0 * people))


def test_one_value_by_itself_is_encoded_as_an_array() -> None:
    block = {"yy": real((), 1.0, PEOPLE)}
    integers = encode(block, {"yy": np.array(2.5)}, PEOPLE)
    assert isinstance(integers["yy"], np.ndarray)
    assert decode(block, integers)["yy"] == 2.5
    assert from_bytes(block, to_bytes(block, integers))["yy"] == integers["yy"]


STEPS = st.one_of(st.integers(-80, 80).map(lambda half: half / 16), st.floats(-5, 5))


@given(hnp.arrays(np.float64, (4, 3), elements=STEPS))
def test_what_is_encoded_are_whole_steps_half_to_even(values: NDArray[np.float64]) -> None:
    field = Field((4, 3), 1.0, 8.0, 0.125)
    want = [[round(float(value) / 0.125) for value in row] for row in values]
    for laid in (values, np.asfortranarray(values), np.hstack([values, values])[:, :3]):
        assert encode({"x": field}, {"x": laid}, 8)["x"].tolist() == want


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 5.1, -5.1])
def test_one_entry_beyond_is_found_wherever_it_is(place: int, value: float) -> None:
    values = np.zeros(7)
    values[place] = value
    with pytest.raises(DisclosureError, match="beyond 5"):
        encode({"x": Field((7,), 1.0, 8.0)}, {"x": values}, 5)
