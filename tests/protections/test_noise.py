"""A noised total is the sum with the noise that was budgeted, and nothing else changes."""

from collections.abc import Callable, Iterator
from itertools import count
from math import floor, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.protection import Message
from equipoise.protections import noise
from equipoise.protections.discrete import Chance, Gaussian, Words, draw
from equipoise.protections.graph import COLLUDING, holders, joined, threshold
from equipoise.protections.noise import Noise, calibrated, cost, honest
from equipoise.sums import Field, Read, Schema, encode, head_count, real
from protections.rounds import Round, Values, added, context, names, same, start

PEOPLE = 1000
SIZE = 3000
COUNTS = Schema(({"called": head_count((SIZE,), PEOPLE)},))
MIXED = Schema(
    (
        {"n": head_count((3, 5), PEOPLE, over=("fold",)), "sum": real((SIZE,), 2.5, PEOPLE)},
        {"sum": real((7, 2), 2.5, PEOPLE)},
    )
)


def keyed() -> Callable[[bytes], Words]:
    """Return a source for each site in turn, the same at every use."""
    number = count()
    return lambda own: Chance(next(number).to_bytes(len(own), "big"))


def test_noise_is_the_same_after_a_restart_and_another_at_the_next_attempt() -> None:
    """Two draws for one attempt would tell, by their mean, more than the budget was charged for."""
    began = start(Noise({"step": 50.0}), COUNTS, [middles(COUNTS)] * 3)
    totals = [began.again(b"run").run().total[0]["called"] for _ in range(2)]
    assert np.array_equal(*totals)
    other = Round(began.protection, COUNTS, began.values, context(3, attempt=1), secret=b"run")
    assert not np.array_equal(totals[0], other.run().total[0]["called"])


def noise_of(form: noise.Form, site: int) -> Values:
    words = Chance(site.to_bytes(32, "big"))
    return [
        {name: draw(a.law, words, a.field.size).reshape(a.field.shape) for name, a in b.items()}
        for b in form.added
    ]


def middles(form: Schema) -> Values:
    """Return values so far from every limit that noise does not come near one."""
    return [
        {name: np.full(f.shape, floor(f.limit / f.quantum / 8)) for name, f in block.items()}
        for block in form.blocks
    ]


@pytest.mark.parametrize("n", [3, 4, 6])
def test_a_total_is_the_sum_of_values_and_of_every_sites_noise(n: int) -> None:
    protection = Noise({"step": 50.0}, keyed())
    parts = [middles(COUNTS)] * n if n < 6 else [[{"called": np.full(SIZE, 90)}]] * n
    done = start(protection, COUNTS, parts).run()
    form = calibrated(COUNTS, 50.0, n, may_lose=False)
    expected = added([*parts, *(noise_of(form, i) for i in range(n))])
    assert same(done.total, expected)
    assert all(same(done.accepted[name], expected) for name in names(n))


def test_sums_of_fine_steps_are_coarser_and_as_noisy_as_declared() -> None:
    """Noise of some people's weight each, so that the ring holds it by letting bits go."""
    n, rho = 4, 5.0
    done = start(Noise({"step": rho}), MIXED, [middles(MIXED)] * n).run()
    form = calibrated(MIXED, rho, n, may_lose=False)
    declared, a = MIXED.blocks[0]["sum"], form.added[0]["sum"]
    assert a.bits > 0
    assert not np.any(done.total[0]["sum"] % 2**a.bits)
    exact = n * middles(MIXED)[0]["sum"]
    error = (done.total[0]["sum"] - exact) * declared.quantum
    ratio = float(np.mean(error**2)) / a.deviation(n) ** 2
    assert abs(ratio - 1) < 5 * sqrt(2 / SIZE)
    assert stats.kstest(error / a.deviation(n), "norm").pvalue > 1e-4


def test_no_two_sites_and_no_two_rounds_have_the_same_noise() -> None:
    """Were the noise of four sites one and the same, its variance would be four times this."""
    protection = Noise({"step": 20.0})
    parts: list[Values] = [[{"called": np.full(SIZE, 100)}] for _ in range(4)]
    first = start(protection, COUNTS, parts).run()
    second = first.then(parts).run()
    law = calibrated(COUNTS, 20.0, 4, may_lose=False).added[0]["called"].law
    one, two = (r.total[0]["called"] - 400 for r in (first, second))
    for error, sites in ((one, 4), (two, 4), (one - two, 8)):
        assert abs(error.var() / (law.variance * sites) - 1) < 5 * sqrt(2 / SIZE)


def test_values_are_taken_once() -> None:
    """Values taken again would have other noise: their mean tells more than was budgeted."""
    taken = 0

    def values() -> Iterator[Any]:
        nonlocal taken
        for block in middles(MIXED):
            taken += 1
            yield block

    form = calibrated(MIXED, 1.0, 4, may_lose=False)
    assert len(list(noise.noised(form, values(), Chance()))) == taken == 2
    streams: Any = {name: values() for name in names(4)}
    Round(Noise({"step": 1.0}), MIXED, streams, context(4)).run()
    assert taken == 2 + 4 * 2


@pytest.mark.parametrize("lost", ["s0", "s3"])
def test_without_a_lost_site_the_noise_of_the_others_is_in_the_total(lost: str) -> None:
    n, protection = 4, Noise({"step": 50.0}, keyed())
    parts: list[Values] = [[{"called": np.full(SIZE, 100 + i)}] for i in range(n)]
    rounds = start(protection, COUNTS, parts, may_lose=True)
    rounds.lost = lambda site, phase: site == lost and phase == 1
    done = rounds.run()
    form = calibrated(COUNTS, 50.0, n, may_lose=True)
    stay = [i for i, name in enumerate(names(n)) if name != lost]
    expected = added([*(parts[i] for i in stay), *(noise_of(form, i) for i in stay)])
    assert same(done.total, expected)


def test_a_forged_noised_total_is_refused() -> None:
    parts: list[Values] = [[{"called": np.full(SIZE, 100)}] for _ in range(4)]
    rounds = start(Noise({"step": 20.0}), COUNTS, parts).run(3)
    outcome: Any = rounds.centre.step(rounds.answers[-1])
    rounds.requests.append({})
    forms = {}
    for name, message in outcome.state.items():
        [data] = list(message.blocks)
        total = np.frombuffer(data, "<i8").copy()
        total[0] += 1
        forms[name] = rounds.ask(name, Message(message.head, [total.tobytes()]))
    last: Any = rounds.centre.step(forms)
    for name, message in last.state.items():
        with pytest.raises(ProtocolError, match="forged"):
            rounds.ask(name, message)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.floats(1e-3, 1e4),
    st.integers(1, 10**6),
    st.floats(1e-6, 20),
    st.integers(3, 40),
    st.booleans(),
)
def test_a_round_costs_what_it_may_and_hardly_less(
    blocks: int, per_person: float, people: int, rho: float, n: int, may_lose: bool
) -> None:
    """Beyond a deviation of a few dozen steps the rounding of widths costs under 5 %."""
    form = Schema(
        ({"n": head_count((2, 3), people, ("fold",))},)
        + ({"x": real((50,), per_person, people)},) * blocks
    )
    found = calibrated(form, rho, n, may_lose)
    stay = honest(n, may_lose)
    assert found.cost <= rho
    assert found.cost == pytest.approx(sum(a.cost(stay) for b in found.added for a in b.values()))
    for block in found.added:
        for name, a in block.items():
            part = rho / 2 * a.entries / (3 if name == "n" else 50 * blocks)
            assert a.cost(stay) <= part
            assert a.law.deviation < 40 or a.cost(stay) > 0.95 * part
            assert a.field.limit / a.field.quantum <= 2**40


def test_a_study_that_runs_to_its_end_has_spent_no_more_than_its_budget() -> None:
    """From the account's prices through the noise that is drawn, back to epsilon."""
    pytest.importorskip("dp_accounting", reason="needs the extra 'privacy'")
    from equipoise.protections.accounting import Account, Budget, Stage, epsilon_of

    account = Account(Budget(2.0, 1e-7), (Stage("counts"), Stage("mixed", 7, 3.0)))
    first = calibrated(COUNTS, account.prices["counts"], 4, may_lose=True)
    second = calibrated(MIXED, account.prices["mixed"], 4, may_lose=True)
    epsilon = epsilon_of(first.cost + 7 * second.cost, 1e-7)
    assert 1.95 < epsilon <= 2.0


@given(st.integers(3, 16))
def test_the_noise_of_t_less_c_sites_counts(n: int) -> None:
    assert honest(n, may_lose=True) == threshold(n) - COLLUDING
    assert honest(n, may_lose=False) == n - COLLUDING


@pytest.mark.parametrize("n", [17, 18, 25, 39, 40, 41, 64, 100])
def test_so_many_honest_sites_stay_beside_neighbours(n: int) -> None:
    """Lose sites one by one, whichever the round can do without, in many orders."""
    sites, rng = names(n), np.random.default_rng(n)
    least = n
    for _ in range(12 if n < 50 else 4):
        left = list(sites)
        for site in rng.permutation(sites):
            without = [s for s in left if s != site]
            if joined(sites, b"turn", without):
                left = without
        least = min(least, len(left))
    assert honest(n, may_lose=True) <= least - COLLUDING
    assert honest(n, may_lose=True) >= threshold(len(holders(sites, b"turn")["s0"])) - COLLUDING


def divergence(law: Gaussian, h: int, shift: int, order: float) -> float:
    """Return the Renyi divergence of a sum of h draws and the same shifted, term by term."""
    x = np.arange(-50, 51)
    one = np.exp(-(x**2) / (2 * law.variance))
    one /= one.sum()
    total = one
    for _ in range(h - 1):
        total = np.convolve(total, one)
    p, q = total[shift:], total[:-shift]
    seen = (p > 1e-150) & (q > 1e-150)
    return float(np.log(np.sum(q[seen] * (p[seen] / q[seen]) ** order)) / (order - 1))


@pytest.mark.parametrize("variance", [1, 2, 3])
@pytest.mark.parametrize("h", [1, 2, 3, 8])
@pytest.mark.parametrize("shift", [1, 2])
def test_the_charge_bounds_the_exact_divergence_of_summed_noise(
    variance: int, h: int, shift: int
) -> None:
    law = Gaussian(variance)
    for order in (1.05, 1.5, 2.0, 4.0, 8.0):
        most = order * cost(law, shift, 1, h)
        # What double precision leaves of a logarithm, divided by order - 1.
        assert divergence(law, h, shift, order) <= most + 1e-14 / (order - 1)


def test_summed_discrete_gaussians_tell_more_than_one() -> None:
    """Charged as if the sum were one discrete Gaussian, this release would break its bound."""
    law, h, order = Gaussian(1), 2, 1.5
    as_one = order / (2 * h * law.variance)
    assert divergence(law, 1, 1, order) <= order / 2 + 1e-13
    assert as_one * (1 + 1e-8) < divergence(law, h, 1, order) <= order * cost(law, 1, 1, h)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-2.5, 2.5), min_size=1, max_size=40),
    st.integers(0, 35),
    st.sampled_from([2.5, 3.75, 1000.0]),
)
def test_one_person_moves_an_entry_by_no_more_than_declared(
    terms: list[float], bits: int, per_person: float
) -> None:
    """The person who is taken away adds the most that is allowed, of either sign."""
    field = real((1,), per_person, PEOPLE)
    for last in (*terms[:1], per_person, -per_person):
        sums = [np.sum([*terms, last]), np.sum(terms)]
        with_one, without = (coarse(field, value, bits) for value in sums)
        assert abs(with_one - without) <= noise.moved_by(field, bits)


@given(st.integers(0, 900), st.integers(0, 2), st.integers(0, 8))
def test_one_person_moves_a_count_by_no_more_than_declared(n: int, more: int, bits: int) -> None:
    field = head_count((1,), PEOPLE, per_person=2)
    moved = abs(coarse(field, n + more, bits) - coarse(field, n, bits))
    assert moved <= noise.moved_by(field, bits)
    assert noise.moved_by(field, 0) == 2


def coarse(field: Field, value: Any, bits: int) -> int:
    block = encode({"x": field}, {"x": np.array([float(value)])}, PEOPLE)
    return int(noise._coarse(block["x"], bits)[0])  # pyright: ignore[reportPrivateUsage]


def test_entries_of_one_cell_are_moved() -> None:
    shapes = {
        (): 30,
        ("fold",): 15,
        ("fold", "trait"): 5,
    }
    for over, entries in shapes.items():
        assert noise.entries_moved(Field((2, 3, 5), 1.0, 10.0, over=over)) == entries
    assert noise.entries_moved(Field((0, 4), 1.0, 10.0)) == 0


def test_empty_fields_and_single_numbers_keep_their_shapes() -> None:
    form = Schema(({"none": head_count((0, 2), PEOPLE), "n": head_count((), PEOPLE)},))
    parts: list[Values] = [[{"none": np.zeros((0, 2), np.int64), "n": np.array(300)}]] * 3
    done = start(Noise({"step": 1.0}, keyed()), form, parts).run()
    found = calibrated(form, 1.0, 3, may_lose=False)
    assert same(done.total, added([*parts, *(noise_of(found, i) for i in range(3))]))
    for block in noise.noised(found, parts[0], Chance()):
        assert {name: values.shape for name, values in block.items()} == {"none": (0, 2), "n": ()}
        assert all(isinstance(values, np.ndarray) for values in block.values())


def test_totals_are_held_to_the_declared_limits() -> None:
    """Far more noise than people: what lies outside is what no sum could be."""
    form = Schema(({"n": head_count((SIZE,), 9), "x": real((SIZE,), 1.0, 9)},))
    parts: list[Values] = [[{"n": np.zeros(SIZE, int), "x": np.zeros(SIZE, int)}]] * 3
    total = start(Noise({"step": 1.0}), form, parts).run().total[0]
    assert set(total["n"].tolist()) >= {0, 9}
    most = floor(9 / form.blocks[0]["x"].quantum)
    assert (total["n"].min(), total["n"].max()) == (0, 9)
    assert (total["x"].min(), total["x"].max()) == (-most, most)


@given(st.integers(-(2**40), 2**40), st.integers(0, 40))
def test_no_total_overflows_when_it_is_restored(value: int, bits: int) -> None:
    for field in (Field((), 1.0, 2.0**40), Field((), 1.0, 2.0**40, counts=True), Field((), 1, 3)):
        most = floor(field.limit)
        least = 0 if field.counts else -most
        found = noise._restored(field, bits, np.asarray(value))  # pyright: ignore[reportPrivateUsage]
        assert int(found) == min(max(value << bits, least), most)


def test_a_round_without_budget_is_refused_at_site_and_centre() -> None:
    with pytest.raises(DisclosureError, match="no part in the privacy budget"):
        start(Noise({"another": 1.0}), COUNTS, [middles(COUNTS)] * 3)
    for rho in (0.0, -1.0, float("nan")):
        with pytest.raises(DisclosureError, match="all noise"):
            calibrated(COUNTS, rho, 3, may_lose=False)


def test_noise_that_the_ring_has_no_room_for_is_refused() -> None:
    wide = Schema(({"x": Field((10**9,), 2.0**40, 2.0**40)},))
    calibrated(wide, 1.0, 3, may_lose=False)
    with pytest.raises(DisclosureError, match="no room"):
        calibrated(wide, 1e-9, 3, may_lose=False)


def test_two_sites_are_refused() -> None:
    with pytest.raises(DisclosureError, match="at least 3 sites"):
        Noise({}).check(2)
    Noise({}).check(3)


def test_blocks_are_noised_as_they_are_taken() -> None:
    form = calibrated(Schema(({"x": head_count((4,), 9)},) * 50), 1.0, 3, may_lose=False)
    made = 0

    def values() -> Iterator[dict[str, NDArray[np.int64]]]:
        nonlocal made
        for _ in range(50):
            made += 1
            yield {"x": np.zeros(4, np.int64)}

    for number, _ in enumerate(noise.noised(form, values(), Chance()), start=1):
        assert made == number


def test_what_a_site_has_is_not_changed() -> None:
    form, own = calibrated(MIXED, 1.0, 3, may_lose=False), middles(MIXED)
    list(noise.noised(form, own, Chance()))
    assert same(own, middles(MIXED))


def whole_bounded(entries: int, l2: float | None) -> Field:
    """Return a field of real values up to 1, of which the whole is bounded by `l2`."""
    return Field((entries,), 1.0, 2.0**10, 2.0**-20, (), (Read("x"),), l2=l2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.01, 3), st.integers(0, 30))
def test_a_bound_of_the_whole_bounds_what_a_person_moves(
    seed: int, entries: int, l2: float, bits: int
) -> None:
    field = whole_bounded(entries, l2)
    draw = np.random.default_rng(seed)
    others, own = draw.normal(size=entries), draw.normal(size=entries)
    own = np.clip(own * l2 / np.linalg.norm(own), -1, 1)
    block = {"x": field}
    without, together = (
        encode(block, {"x": values}, 1000)["x"] for values in (others, others + own)
    )
    steps = [(v + (1 << bits >> 1)) >> bits for v in (without, together)]
    moved = float(np.linalg.norm((steps[1] - steps[0]).astype(np.float64)))
    assert moved <= noise.moved_on_average(field, bits) * sqrt(entries) * (1 + 1e-12)
    assert noise.moved_on_average(field, bits) <= noise.moved_by(field, bits)


@pytest.mark.parametrize("rho", [1e-4, 0.1])
def test_a_bound_of_the_whole_costs_no_more_and_makes_less_noise(rho: float) -> None:
    plain, bounded = (
        calibrated(Schema(({"x": whole_bounded(10_000, l2)},)), rho, 4, may_lose=False)
        for l2 in (None, 1.0)
    )
    assert bounded.cost <= rho
    assert bounded.cost > 0.9 * rho
    ratio = plain.added[0]["x"].deviation(4) / bounded.added[0]["x"].deviation(4)
    assert ratio == pytest.approx(100, rel=0.02)  # the root of the number of entries
    # A bound that says no more than `per_person` changes nothing.
    loose = whole_bounded(10_000, 101.0)
    same = calibrated(Schema(({"x": loose},)), rho, 4, may_lose=False)
    assert same.added[0]["x"].law == plain.added[0]["x"].law
