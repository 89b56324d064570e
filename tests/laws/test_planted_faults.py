"""Planted faults: each breaks one law in one way, and the suite must see it.

A law that is weakened until a fault passes fails here. The sound analysis that the faults
are made from keeps every law, so what is caught is the fault.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.linear import LinearScan, LinearState
from equipoise.cohort import Cohort, Columns
from equipoise.errors import DisclosureError, EquipoiseError, ProtocolError
from equipoise.federation import registry
from equipoise.record import exact, grid
from equipoise.step import Done, Next
from equipoise.sums import GENOTYPE, Block, Read, Schema, Sums, head_count, real
from laws import cases, law
from strategies import FOLDS, Rows, make_rows

CAUGHT = (AssertionError, EquipoiseError)


@dataclass(frozen=True)
class ToyState:
    round: int = exact()


@dataclass(frozen=True)
class ToyResult:
    mean: NDArray[np.float64] = grid(2.0**-20)


@dataclass(frozen=True)
class Toy:
    """Sound: the mean age of people with the trait, by fold, and their alleles."""

    people: int

    def start(self) -> ToyState:
        return ToyState(0)

    def schema(self, state: ToyState) -> Schema:
        return Schema((self.block(),))

    def block(self) -> Block:
        trait, age = Read("trait", 1), Read("age", 1)
        by = ("fold",)
        return {
            "cases": head_count((FOLDS,), self.people, by, (trait,)),
            "age": real((FOLDS,), 4.0, self.people, by, (trait, age)),
            "alleles": head_count((2,), self.people, (), (Read(GENOTYPE, 1),), per_person=2),
        }

    def summarise(self, cohort: Cohort, state: ToyState) -> Iterator[Sums]:
        yield self.sums(cohort)

    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        trait, age = cohort.column("trait"), cohort.column("age")
        return {
            "cases": np.bincount(cohort.fold, trait, FOLDS).astype(np.float64),
            "age": np.bincount(cohort.fold, trait * age, FOLDS).astype(np.float64),
            "alleles": np.nansum(cohort.dosage(0, 2), axis=1),
        }

    def advance(self, state: ToyState, totals: Iterable[Sums]) -> Next[ToyState] | Done[ToyResult]:
        (total,) = totals
        return Done(ToyResult(np.asarray(total["age"].sum() / total["cases"].sum())))

    def derive(self, cohort: Cohort, result: ToyResult) -> Columns:
        return {"older": cohort.column("age") - result.mean}


class MeanInsteadOfSum(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        sums = super().sums(cohort)
        return {**sums, "age": sums["age"] / max(cohort.n, 1)}


class ReadsWhatOnlyAnotherFieldDeclares(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        older = cohort.column("trait") * (cohort.column("age") > 0)
        return {**super().sums(cohort), "cases": np.bincount(cohort.fold, older, FOLDS)}


class ReadsTheGenotypes(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        carrier = np.nan_to_num(cohort.dosage(0, 1)[0]) > 0
        case = cohort.column("trait") * carrier
        return {**super().sums(cohort), "cases": np.bincount(cohort.fold, case, FOLDS)}


class ReadsTheFolds(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        first = cohort.dosage(0, 2)[:, cohort.fold == 0]
        return {**super().sums(cohort), "alleles": np.nansum(first, axis=1)}


class ReadsAnUndeclaredColumn(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        women = cohort.column("trait") * cohort.column("sex")
        return {**super().sums(cohort), "cases": np.bincount(cohort.fold, women, FOLDS)}


class HigherDegree(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        squares = cohort.column("trait") * cohort.column("age") ** 2 / 4
        return {**super().sums(cohort), "age": np.bincount(cohort.fold, squares, FOLDS)}


class OnePersonCountsTwice(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        sums = super().sums(cohort)
        return {**sums, "cases": 2 * sums["cases"]}


class AnotherFoldsCell(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        return super().sums(replace(cohort, fold=(cohort.fold + 1) % FOLDS))


class MutatesAColumn(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        age = cohort.column("age")
        age -= 0.5
        return super().sums(cohort)


class MutatesTheGenotypes(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        sums = super().sums(cohort)
        cohort.genotypes.packed(0, 1)[:] = 0
        return sums


class DrawsByItself(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        sums = super().sums(cohort)
        return {**sums, "age": sums["age"] + np.random.default_rng().normal(size=FOLDS)}


class DependsOnTheOrder(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        early = cohort.column("trait") * (np.arange(cohort.n) < cohort.n / 2)
        return {**super().sums(cohort), "cases": np.bincount(cohort.fold, early, FOLDS)}


class AddsAPseudoCount(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        sums = super().sums(cohort)
        return {**sums, "cases": sums["cases"] + 1}


class FractionsAsCounts(Toy):
    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        sums = super().sums(cohort)
        return {**sums, "alleles": sums["alleles"] / 4}


class AnotherFormInTheSecondRound(Toy):
    def schema(self, state: ToyState) -> Schema:
        block = self.block()
        return Schema((block, block) if state.round else (block,))

    def advance(self, state: ToyState, totals: Iterable[Sums]) -> Next[ToyState] | Done[ToyResult]:
        return Next(ToyState(1)) if state.round == 0 else super().advance(state, list(totals)[:1])


class AnExtraRound(Toy):
    def advance(self, state: ToyState, totals: Iterable[Sums]) -> Next[ToyState] | Done[ToyResult]:
        return Next(ToyState(1)) if state.round == 0 else super().advance(state, totals)


class TellsAboutTheGram(Toy):
    def block(self) -> Block:
        gram = real((2, 2), 4.0, self.people, (), (Read(GENOTYPE, 2),))
        return {**super().block(), "gram": gram}

    def sums(self, cohort: Cohort) -> dict[str, NDArray[np.float64]]:
        g = np.nan_to_num(cohort.dosage(0, 2))
        return {**super().sums(cohort), "gram": g @ g.T}


class CentresAtTheSite(Toy):
    def derive(self, cohort: Cohort, result: ToyResult) -> Columns:
        age = cohort.column("age")
        return {"older": age - (age.mean() if cohort.n else 0.0)}


class ImputesWithItsOwnFrequency(LinearScan):
    def summarise(self, cohort: Cohort, state: LinearState) -> Iterator[Sums]:
        dosage = cohort.dosage(0, self.n_variants)
        called = np.count_nonzero(~np.isnan(dosage), axis=1)
        own = Frequencies(called, np.nansum(dosage, axis=1).astype(np.int64), 1, 0)
        parameters = {f.name: getattr(self, f.name) for f in fields(LinearScan)}
        sound = LinearScan(**{**parameters, "frequencies": own})
        return sound.summarise(cohort, state)


@dataclass(frozen=True)
class FormFromAResult:
    """Its form needs the result of an earlier step, which no plan has."""

    frequencies: Frequencies

    def start(self) -> ToyState:
        return ToyState(0)

    def schema(self, state: ToyState) -> Schema:
        used = int(self.frequencies.used.sum())
        return Schema(({"n": head_count((used,), 10)},))


RECORDS: Mapping[str, type] = {"ToyState": ToyState, "ToyResult": ToyResult}
START = [ToyState(0)]
Law = Callable[[Any, Rows], None]


def halves(people: Rows) -> list[Cohort]:
    return people.split(np.arange(people.n) * 3 // people.n, 3)


def split(toy: Any, people: Rows) -> None:
    near = {"mean": 2.0**-19}  # one step of the grid, and its rounding
    law.split_equals_pooled(toy, people, halves(people), "masked", near, records=RECORDS)


def rounds(toy: Any, people: Rows) -> None:
    law.states(toy, people, rounds=1, records=RECORDS)


def form(toy: Any, people: Rows) -> None:
    law.states(toy, people, rounds=2, records=RECORDS)


def order(toy: Any, people: Rows) -> None:
    law.order_is_irrelevant(toy, people, np.arange(people.n)[::-1], START)


def empty(toy: Any, people: Rows) -> None:
    law.an_empty_site_answers_zeros(toy, people, START)


def person(toy: Any, people: Rows) -> None:
    law.one_person_moves_little(toy, people, START)


def reads(toy: Any, people: Rows) -> None:
    law.only_declared_columns_are_read(toy, people, np.random.default_rng(5), START)


def degree(toy: Any, people: Rows) -> None:
    for seed in range(8):  # eight people, so that one of them has the trait
        law.columns_enter_by_their_degree(toy, people, np.random.default_rng(seed), START)


def pure(toy: Any, people: Rows) -> None:
    law.it_is_pure(toy, people, START)


def whole(toy: Any, people: Rows) -> None:
    law.counts_are_whole(toy, people, START)


def gram(toy: Any, people: Rows) -> None:
    law.products_of_variants_are_declared(toy, START)


def derived(toy: Any, people: Rows) -> None:
    result = ToyResult(np.asarray(0.25))
    law.columns_are_derived_person_by_person(toy, people, halves(people), result)


FAULTS: list[tuple[type[Toy], Law]] = [
    (MeanInsteadOfSum, split),
    (AddsAPseudoCount, split),
    (DependsOnTheOrder, split),
    (DependsOnTheOrder, order),
    (AddsAPseudoCount, empty),
    (OnePersonCountsTwice, person),
    (AnotherFoldsCell, person),
    (ReadsWhatOnlyAnotherFieldDeclares, reads),
    (ReadsTheGenotypes, reads),
    (ReadsTheFolds, reads),
    (ReadsAnUndeclaredColumn, reads),
    (HigherDegree, degree),
    (MutatesAColumn, pure),
    (MutatesTheGenotypes, pure),
    (DrawsByItself, pure),
    (FractionsAsCounts, whole),
    (TellsAboutTheGram, gram),
    (CentresAtTheSite, derived),
    (AnExtraRound, rounds),
    (AnotherFormInTheSecondRound, form),
]
NAMED = [f"{fault.__name__}-{check.__name__}" for fault, check in FAULTS]
LAWS = list(dict.fromkeys(check for _, check in FAULTS))


@pytest.fixture
def people() -> Rows:
    return make_rows(11, missing=0.2)


@pytest.mark.parametrize(("fault", "check"), FAULTS, ids=NAMED)
def test_the_fault_is_caught(fault: type[Toy], check: Law, people: Rows) -> None:
    with pytest.raises(CAUGHT):
        check(fault(people.n), people)


@pytest.mark.parametrize("check", LAWS, ids=lambda check: check.__name__)
def test_the_sound_analysis_passes(check: Law, people: Rows) -> None:
    check(Toy(people.n), people)


def test_a_site_that_imputes_with_its_own_frequency_is_caught(people: Rows) -> None:
    sound = cases.analysis("linear", people)
    parameters = {f.name: getattr(sound, f.name) for f in fields(LinearScan)}
    near = cases.CASES["linear"].tolerance
    law.split_equals_pooled(sound, people, halves(people), "masked", near)
    faulty = ImputesWithItsOwnFrequency(**parameters)
    with pytest.raises(AssertionError, match="totals differ"):
        law.split_equals_pooled(faulty, people, halves(people), "masked", near)


@pytest.mark.parametrize(
    ("fault", "allowed", "words"),
    [
        (AnExtraRound, 1, "more than its 1 rounds"),
        (AnotherFormInTheSecondRound, 2, "another form"),
    ],
)
def test_the_course_refuses_it_by_name(
    fault: type[Toy], allowed: int, words: str, people: Rows
) -> None:
    with pytest.raises(DisclosureError, match=words):
        law.states(fault(people.n), people, rounds=allowed, records=RECORDS)


def test_an_undeclared_column_is_not_there_at_the_gate(people: Rows) -> None:
    with pytest.raises(ProtocolError, match="'sex' is not among those declared"):
        split(ReadsAnUndeclaredColumn(people.n), people)


def test_one_person_over_the_limit_of_all_is_not_encoded(people: Rows) -> None:
    lonely = people.cohort(np.flatnonzero(people.columns["trait"])[:1])
    with pytest.raises(DisclosureError, match="the most that 1 people may add"):
        law.harness.run(OnePersonCountsTwice(people.n), [lonely], "clear", records=RECORDS)


def test_a_form_that_needs_a_result_is_caught(
    people: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "ANALYSES", {**registry.ANALYSES, "planted": FormFromAResult})
    wanted = replace(
        cases.step("linear", people),
        analysis="planted",
        parameters={"frequencies": cases.Ref("frequency")},
    )
    with pytest.raises(AssertionError, match="needs a result"):
        law.a_plan_is_judged_without_results(wanted, cases.earlier("linear", people))
