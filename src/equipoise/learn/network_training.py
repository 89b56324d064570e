"""A gene network trained on rows: the analysis of `analyses.gene_network`, driven in one place."""

from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.gene_network import GeneNetwork
from equipoise.analyses.gene_network_result import COMPARE, PARTS, STOP, TRAIN, TrainedNetwork
from equipoise.analysis import Analysis
from equipoise.cohort import Cohort
from equipoise.learn.arguments import one_blas_thread
from equipoise.learn.people import spread
from equipoise.packed.decode import encode as packed
from equipoise.record import rounded
from equipoise.step import Done
from equipoise.sums import decode, encode

R = TypeVar("R")
Array = NDArray[np.float64]

TRAIT, SCORE, PART = "trait", "score", "part"

LEAST_PARTED: Final = 4
"""People in three parts: one to stop by, one to compare on, and half of all to train on."""

MOST: Final = 8.0
"""Standard deviations at which a trait, a score or a covariate is cut."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Dosages in memory, from 0 to 2 in whoever is trained on: a `cohort.DosageSource`.

    calls      (variants, ceil(people / 4)) the nearest hard calls, 2 bits each
    every      (variants, people) dosages where some are no hard calls, else (variants, 0)
    n_samples  people
    """

    calls: NDArray[np.uint8]
    every: NDArray[np.float32]
    n_samples: int

    @classmethod
    def of(cls, X: Array) -> Self:
        """Return the dosages of X, (people, variants), NaN where not called."""
        dosage = np.ascontiguousarray(X.T)
        nearest = np.clip(np.rint(dosage), 0, 2)
        hard = bool(np.all((nearest == dosage) | np.isnan(dosage)))
        every = dosage[:, :0] if hard else dosage
        return cls(packed(nearest), every.astype(np.float32), len(X))

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return len(self.calls)

    @property
    def has_dosages(self) -> bool:
        """Whether some dosages are no hard calls."""
        return self.every.shape[1] > 0

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the hard calls of variants start to stop."""
        return self.calls[start:stop]

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the dosages of variants start to stop, (stop - start, people)."""
        return self.every[start:stop]


@dataclass(frozen=True, slots=True)
class Scale:
    """Means and standard deviations of columns, (columns,), by which they are standardised."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, columns: Array) -> Self:
        """Return those of (people, columns); a deviation of 0 is taken for 1."""
        deviation = columns.std(axis=0)
        return cls(columns.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def standardised(self, columns: Array) -> Array:
        """Return columns in standard deviations from their means."""
        return (columns - self.mean) / self.deviation


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, and the scales of what it was trained on.

    rows   of the score and each covariate
    trait  of a quantitative trait; mean 0 and deviation 1 for a yes/no one
    """

    analysis: GeneNetwork
    result: TrainedNetwork
    rows: Scale
    trait: Scale

    def predictors(self, X: Array, rows: Array, *, network: bool) -> Array:
        """Return what is expected of people, (people,): log odds, or in units of the trait.

        rows     (people, covariates + 1) score and covariates
        network  whether by the network, or by the linear model
        """
        columns = _columns(self.rows.standardised(rows))
        with one_blas_thread():
            found = self.analysis.derive(_cohort(X, columns), self.result)
        own = found["network_predictor" if network else "linear_predictor"]
        return np.asarray(own * self.trait.deviation[0] + self.trait.mean[0])


def parts(
    trait: Array, shares: tuple[float, float], draw: np.random.RandomState
) -> NDArray[np.int64]:
    """Return what each person is for, (people,): parts by chance, of like traits.

    shares  of the people to stop by, and of those to compare on; one person at least
    """
    found = np.full(len(trait), TRAIN)
    left = np.arange(len(trait))
    for part, share in zip((STOP, COMPARE), shares, strict=True):
        number = min(max(int(share * len(trait)), 1), len(left))
        order, chosen = spread(trait[left], number, draw)
        found[left[order[chosen]]] = part
        left = left[order[~chosen]]
    return found


def large_parts(
    trait: Array,
    shares: tuple[float, float],
    draw: np.random.RandomState,
    least: int,
    n: int,
    *,
    binary: bool,
) -> NDArray[np.int64]:
    """Return `parts`; ValueError unless each has so many people, and of both kinds where `binary`.

    least  people of each part; of a yes/no trait: with it, and without it
    n      people in all, those that a score was fitted to among them: for the message
    """
    if len(trait) < LEAST_PARTED:
        raise ValueError(f"n_samples={n} is too few; expected {LEAST_PARTED} at least")
    part = parts(trait, shares, draw)
    for of in range(PARTS):
        own = trait[part == of]
        kinds = np.array([own.sum(), (1 - own).sum()]) if binary else np.array([len(own)])
        if kinds.min() < least:
            each = " with the trait and without" if binary else ""
            raise ValueError(
                f"n_samples={n} is too few for three parts of which each has {least}"
                f" people{each}; take more people, or set `least` lower"
            )
    return part


def trained(
    X: Array, rows: Array, trait: Array, part: NDArray[np.int64], *, binary: bool, **options: Any
) -> Trained:
    """Return the network of people whose dosages are X, (people, variants).

    rows     (people, covariates + 1) score and covariates
    options  what else `analyses.gene_network.GeneNetwork` takes
    """
    trains = part == TRAIN
    scale = Scale.of(rows[trains])
    of_trait = Scale(np.zeros(1), np.ones(1)) if binary else Scale.of(trait[trains, None])
    columns = _columns(scale.standardised(rows))
    covariates = tuple(columns)[1:]
    columns[TRAIT] = of_trait.standardised(trait[:, None])[:, 0]
    columns[PART] = part.astype(np.float64)
    analysis = GeneNetwork(
        people=len(X),
        n_variants=X.shape[1],
        trait=TRAIT,
        score=SCORE,
        part=PART,
        covariates=covariates,
        bounds=(MOST,) * len(covariates) + (1.0 if binary else MOST,),
        frequencies=frequencies(X),
        binary=binary,
        **options,
    )
    with one_blas_thread():
        result = run(analysis, _cohort(X, columns))
    return Trained(analysis, result, scale, of_trait)


def frequencies(X: Array) -> Frequencies:
    """Return counts of calls and effect alleles; one that does not vary is not used."""
    called = (~np.isnan(X)).sum(axis=0)
    alleles = np.rint(np.nansum(X, axis=0)).astype(np.int64)
    return Frequencies(called.astype(np.int64), alleles, 1, 1)


def run(analysis: Analysis[Any, R], cohort: Cohort) -> R:
    """Return the result of an analysis over one cohort, by the encoding and grids of a study."""
    state = rounded(analysis.start())
    while True:
        schema = analysis.schema(state)
        own = cohort.restrict(schema.columns)
        sums = analysis.summarise(own, state) if schema.blocks else ()
        pairs = zip(schema.blocks, sums, strict=True)
        totals = [decode(block, encode(block, found, cohort.n)) for block, found in pairs]
        outcome = analysis.advance(state, totals)
        if isinstance(outcome, Done):
            return rounded(outcome.result)
        state = rounded(outcome.state)


def _columns(rows: Array) -> dict[str, Array]:
    """Return the score and the covariates by name."""
    names = (SCORE, *(f"covariate {i}" for i in range(1, rows.shape[1])))
    return dict(zip(names, rows.T, strict=True))


def _cohort(X: Array, columns: dict[str, Array]) -> Cohort:
    people = np.arange(len(X), dtype=np.int64)
    return Cohort(Matrix.of(X), people, columns, np.zeros_like(people))
