"""The one-page trial of the walls: a stream, masks, three rounds, and sites that recompute.

Subspace iteration: the leading components of G'G for centred genotypes G, none of whose
rows leaves its site. Each round streams its answer block by block, goes under masks over
four sites, and its state is recomputed at every site with another number of threads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from equipoise.cohort import Cohort, Columns, blocks_of
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.packed.decode import encode
from equipoise.protections import kinds
from equipoise.record import exact, grid, rounded
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Field, Read, Schema, Sums, quantum_for
from laws import harness
from strategies import Memory

PEOPLE, VARIANTS, COMPONENTS, BLOCK = 120, 1500, 3, 400
STEP = 2.0**-24
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Loadings:
    """vectors (variants, components) with orthonormal columns; `round` counts what was asked."""

    vectors: Floats = grid(STEP)
    round: int = exact()


@dataclass(frozen=True)
class Iteration:
    """Three rounds of V <- orth(G'G V), streamed over blocks of variants."""

    people: int
    mean: Floats = field(repr=False)
    rounds: int = 3

    def start(self) -> Loadings:
        first = np.random.default_rng(0).normal(size=(len(self.mean), COMPONENTS))
        return Loadings(orthonormal(first), 0)

    def schema(self, state: Loadings) -> Schema:
        # |g| <= 2 and the columns have length 1, so |g'v| <= 2 sqrt(variants).
        most = 4 * np.sqrt(len(self.mean))
        limit = most * self.people
        return Schema(
            tuple(
                {
                    "product": Field(
                        shape=(stop - start, COMPONENTS),
                        per_person=most,
                        limit=limit,
                        quantum=quantum_for(limit),
                        reads=(Read(GENOTYPE, 2),),
                        directions=COMPONENTS,
                        block=(0, len(self.mean)),
                    )
                }
                for start, stop in self.bounds
            )
        )

    def summarise(self, cohort: Cohort, state: Loadings) -> Iterator[Sums]:
        scores = np.zeros((cohort.n, COMPONENTS))
        for start, stop in self.bounds:
            scores += self.centred(cohort, start, stop).T @ state.vectors[start:stop]

        def product(start: int, stop: int) -> Sums:
            return {"product": self.centred(cohort, start, stop) @ scores}

        return cohort.map_blocks(product, self.bounds)

    def advance(self, state: Loadings, totals: Iterable[Sums]) -> Next[Loadings] | Done[Loadings]:
        product = np.concatenate([total["product"] for total in totals])
        following = Loadings(orthonormal(product), state.round + 1)
        return Done(following) if following.round == self.rounds else Next(following)

    def derive(self, cohort: Cohort, result: Loadings) -> Columns:
        return {}

    def centred(self, cohort: Cohort, start: int, stop: int) -> Floats:
        return cohort.dosage(start, stop) - self.mean[start:stop, None]

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        return blocks_of(len(self.mean), BLOCK)


@dataclass(frozen=True)
class AnotherMachine(Iteration):
    """The same arithmetic in another order, as another processor or library may do it."""

    def advance(self, state: Loadings, totals: Iterable[Sums]) -> Next[Loadings] | Done[Loadings]:
        turned = [{"product": total["product"][::-1]} for total in totals]
        outcome = Iteration.advance(self, state, turned[::-1])
        back = outcome.result if isinstance(outcome, Done) else outcome.state
        same = replace(back, vectors=back.vectors[::-1])
        return Done(same) if isinstance(outcome, Done) else Next(same)


def orthonormal(columns: Floats) -> Floats:
    """Return the Q of a QR whose R has a positive diagonal: the signs are fixed."""
    q, r = np.linalg.qr(columns)
    return np.asarray(q * np.sign(np.diag(r)), np.float64)


RECORDS: Mapping[str, type] = {"Loadings": Loadings}


@pytest.fixture(scope="module")
def dosage() -> Floats:
    """Return genotypes of three groups that differ, so that components stand apart."""
    draw = np.random.default_rng(3)
    group = np.arange(PEOPLE) % 4
    frequency = np.clip(0.4 + draw.normal(scale=0.12, size=(VARIANTS, 4)), 0.05, 0.95)
    return draw.binomial(2, frequency[:, group]).astype(np.float64)


@pytest.fixture(scope="module")
def sites(dosage: Floats) -> list[Cohort]:
    return [cohort_of(dosage[:, place::4]) for place in range(4)]


def cohort_of(dosage: Floats) -> Cohort:
    n = dosage.shape[1]
    return Cohort(Memory(encode(dosage), n), np.arange(n), {}, np.zeros(n, np.int64))


def analysis(dosage: Floats) -> Iteration:
    return Iteration(PEOPLE, np.round(dosage.mean(axis=1), 6))


def threads(number: int) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: threadpool_limits(number)


def slow_twin(dosage: Floats, toy: Iteration) -> Floats:
    """Return the same in plain numpy on everybody's rows."""
    centred = dosage - toy.mean[:, None]
    vectors = toy.start().vectors
    for _ in range(toy.rounds):
        vectors = orthonormal(centred @ (centred.T @ vectors))
    return vectors


@pytest.mark.parametrize("protection", ["clear", "masked"])
def test_three_rounds_over_four_sites_equal_the_pooled_rows(
    protection: str, dosage: Floats, sites: list[Cohort]
) -> None:
    toy = analysis(dosage)
    around = {f"s{i}": threads(1 + i % 2) for i in range(4)}
    done = harness.run(toy, sites, protection, rounds=3, records=RECORDS, around=around)
    assert [asked.state.round for asked in done.asked] == [0, 1, 2]
    assert len(done.asked[0].total) == len(toy.bounds) == 4
    # Three roundings to 2^-24, each multiplied by ratios of eigenvalues of a few at most.
    np.testing.assert_allclose(done.result.vectors, slow_twin(dosage, toy), rtol=0, atol=2.0**-18)


def test_masked_and_clear_totals_are_the_same_to_the_bit(
    dosage: Floats, sites: list[Cohort]
) -> None:
    toy = analysis(dosage)
    clear, masked = (
        harness.run(toy, sites, kind, rounds=3, records=RECORDS) for kind in ("clear", "masked")
    )
    for one, other in zip(clear.asked, masked.asked, strict=True):
        for mine, theirs in zip(one.total, other.total, strict=True):
            np.testing.assert_array_equal(mine["product"], theirs["product"])
    np.testing.assert_array_equal(clear.result.vectors, masked.result.vectors)


def test_an_honest_centre_on_another_machine_is_not_refused(
    dosage: Floats, sites: list[Cohort]
) -> None:
    toy = analysis(dosage)
    other = AnotherMachine(PEOPLE, toy.mean)
    product = next(iter(toy.summarise(sites[0], toy.start())))["product"]
    assert np.any(orthonormal(product) != orthonormal(product[::-1])[::-1]), (
        "the other machine computes the same bits: the test would show nothing"
    )
    own = {"s0": toy, "s1": other, "s2": toy, "s3": other}
    done = harness.run(other, sites, "masked", rounds=3, records=RECORDS, own=own)
    assert done.result.round == 3


def nudged(steps: int, at: int) -> Callable[[harness.Outcome], harness.Outcome]:
    """Return a centre's trick: the state of round `at`, some steps of the grid aside."""

    def tamper(outcome: harness.Outcome) -> harness.Outcome:
        record = outcome.result if isinstance(outcome, Done) else outcome.state
        if record.round != at:
            return outcome
        vectors = record.vectors.copy()
        vectors[7, 1] += steps * STEP
        moved = rounded(replace(record, vectors=vectors))
        return Done(moved) if isinstance(outcome, Done) else Next(moved)

    return tamper


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("steps", [1, -1])
def test_a_state_one_step_of_the_grid_aside_is_gone_on_from(
    steps: int, at: int, dosage: Floats, sites: list[Cohort]
) -> None:
    toy = analysis(dosage)
    run = harness.federation(toy, sites, "masked", rounds=3, records=RECORDS)
    run.tamper = nudged(steps, at)
    done = run.go()
    records = [o.result if isinstance(o, Done) else o.state for o in done.published]
    honest = harness.run(toy, sites, "masked", rounds=3, records=RECORDS).published[at]
    before = honest.result if isinstance(honest, Done) else honest.state
    assert records[at].vectors[7, 1] == before.vectors[7, 1] + steps * STEP
    for member in run.members.values():
        np.testing.assert_array_equal(
            member.course.results["step"].vectors, records[-1].vectors, err_msg="they went apart"
        )


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("steps", [3, -3, 1000])
def test_a_state_three_steps_aside_is_refused(
    steps: int, at: int, dosage: Floats, sites: list[Cohort]
) -> None:
    run = harness.federation(analysis(dosage), sites, "masked", rounds=3, records=RECORDS)
    run.tamper = nudged(steps, at)
    with pytest.raises(ProtocolError, match=r"Loadings\.vectors does not follow"):
        run.go()


@pytest.mark.parametrize("change", ["round", "end", "shape", "off the grid"])
def test_another_round_end_shape_or_grid_is_refused(
    change: str, dosage: Floats, sites: list[Cohort]
) -> None:
    def tamper(outcome: harness.Outcome) -> harness.Outcome:
        state = outcome.state if isinstance(outcome, Next) else outcome.result
        altered = {
            "round": lambda: Next(replace(state, round=state.round + 1)),
            "end": lambda: Done(state),
            "shape": lambda: Next(replace(state, vectors=state.vectors[:-1])),
            "off the grid": lambda: Next(replace(state, vectors=state.vectors + STEP / 4)),
        }
        return altered[change]()

    run = harness.federation(analysis(dosage), sites, "clear", rounds=3, records=RECORDS)
    run.tamper = tamper
    with pytest.raises(ProtocolError, match=r"follow from the totals|ends where it goes on"):
        run.go()


def test_a_fourth_round_is_refused(dosage: Floats, sites: list[Cohort]) -> None:
    toy = replace(analysis(dosage), rounds=4)
    with pytest.raises(DisclosureError, match="more than its 3 rounds"):
        harness.run(toy, sites, "clear", rounds=3, records=RECORDS)


@pytest.mark.parametrize("protection", ["clear", "masked"])
def test_a_site_makes_each_block_only_when_it_is_sent(
    protection: str, dosage: Floats, sites: list[Cohort]
) -> None:
    toy, made = analysis(dosage), list[int]()
    run = harness.federation(toy, sites, protection, rounds=3, records=RECORDS)
    run.course.adopt(run.course.follows)
    schema, context = run.course.schema, harness.agreement.context(run.course)

    def values() -> Iterator[Any]:
        for place, block in enumerate(schema.blocks):
            made.append(place)
            yield {name: np.zeros(f.shape, np.int64) for name, f in block.items()}

    kind = kinds.protection(protection)
    machines = {
        name: kind.site(context, member.party, schema, values() if name == "s0" else iter(()))
        for name, member in run.members.items()
    }
    centre = kind.centre(context, schema)
    outcome = centre.step({})
    while True:
        requests = outcome.state
        answers = {name: machines[name].step(requests[name]).state for name in machines}
        if not isinstance(answers["s0"].blocks, tuple):
            break
        outcome = centre.step(answers)
    blocks = iter(answers["s0"].blocks)
    assert made == []
    next(blocks)
    assert made == [0]
    next(blocks)
    assert made == [0, 1]
