"""Polygenic risk models of several groups: what was fitted, and what it predicts of a person.

A model is a record: weights for each group, the candidates that its stack is made of, and what
takes a score to an absolute risk (`solvers.absolute_risk`) and to a place among others
(`solvers.score_adjustment`). To predict is a pure function of it. Scores are made of dosages of
the effect allele; a missing call counts as the group's mean dosage 2p.

A standardised score is the score less `centre`, over `deviation`: those of the group's people on
whom the stack was tuned. Calibration and adjustment go by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.solvers.absolute_risk import (
    Calibration,
    Risk,
    candidate_variance,
    recalibrated,
    risk,
)
from equipoise.solvers.intervals import LEVEL
from equipoise.solvers.score_adjustment import Adjustment, percentile
from equipoise.solvers.sparse_weights import SparseWeights

Array = NDArray[np.float64]

QUANTITATIVE: Final = "quantitative"
BINARY: Final = "binary"
KINDS: Final = (QUANTITATIVE, BINARY)

_VARIANTS: Final = 4096
"""Of candidates, made dense at a time."""


@dataclass(frozen=True, slots=True)
class ModelVariants:
    """The variants of a model, in the order of its weights.

    identifier  such as an rsID, or "" where there is none
    chromosome  without `chr`
    position    (variants,) 1-based, in the model's genome build
    """

    identifier: tuple[str, ...] = field(repr=False)
    chromosome: tuple[str, ...] = field(repr=False)
    position: NDArray[np.int64] = field(repr=False)
    effect_allele: tuple[str, ...] = field(repr=False)
    other_allele: tuple[str, ...] = field(repr=False)

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return len(self.position)


@dataclass(frozen=True, slots=True)
class SiteCalibration:
    """How a site's own people lie about the risks predicted, on the scale of the linear predictor.

    intercept, slope  of their trait on it; None, with the reason, where people are too few
    """

    intercept: float | None
    slope: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Scores of people by the weights of one group, each (people,).

    score         in units of the trait
    standardised  in standard deviations of the group
    spread        variance of the standardised score between candidates of the stack
    """

    score: Array
    standardised: Array
    spread: Array


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of people, each array (people,).

    risk        expected values with intervals; None where not estimable, and `reason` says why
    adjusted    the score adjusted for ancestry; None without components, or without adjustment
    percentile  of the adjusted score, from 0 to 100
    """

    score: Score
    risk: Risk | None
    reason: str
    adjusted: Array | None
    percentile: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class PolygenicModel:
    """A model; g are groups, k candidates.

    name, trait          what the model and its trait are called
    kind                 of the trait: "quantitative" or "binary"
    build                genome build of the positions
    groups               strata of ancestry, by name
    weights              (variants, g) in units of the trait for each copy of the effect allele
    means                (variants, g) mean dosages 2p, for missing calls
    candidates           those of the stacks, over the same variants
    mixture              (k, g) how each group mixes them: its weights are their sum
    shares               (k, g) of each candidate in the spread of a person's scores; in sum 1,
                         or 0 where none has any
    centre, deviation    (g,) mean and standard deviation of the group's score
    candidate_centre, candidate_deviation  (k, g) those of each candidate
    covariates           beside the score, by name
    calibrations         one for each group
    sites                how people of each site lie about it
    adjustment           for ancestry, of standardised scores
    """

    name: str
    trait: str
    kind: str
    build: str
    groups: tuple[str, ...]
    variants: ModelVariants
    weights: Array = field(repr=False)
    means: Array = field(repr=False)
    candidates: SparseWeights = field(repr=False)
    mixture: Array = field(repr=False)
    shares: Array = field(repr=False)
    centre: Array = field(repr=False)
    deviation: Array = field(repr=False)
    candidate_centre: Array = field(repr=False)
    candidate_deviation: Array = field(repr=False)
    covariates: tuple[str, ...]
    calibrations: tuple[Calibration, ...] = field(repr=False)
    sites: Mapping[str, SiteCalibration] = field(default_factory=dict[str, SiteCalibration])
    adjustment: Adjustment | None = None

    def place(self, group: str) -> int:
        """Return the place of a group; InputError for another name."""
        if group not in self.groups:
            raise InputError(
                f"no group {group!r} in the model {self.name}; expected one of"
                f" {', '.join(self.groups)}; choose one of these"
            )
        return self.groups.index(group)

    def check_variants(
        self,
        chromosome: Sequence[str],
        position: NDArray[np.int64],
        effect_allele: Sequence[str],
        other_allele: Sequence[str],
    ) -> None:
        """Raise InputError unless these are the model's variants, in its order."""
        own = self.variants
        pairs = (
            (tuple(chromosome), own.chromosome),
            (tuple(position.tolist()), tuple(own.position.tolist())),
            (tuple(effect_allele), own.effect_allele),
            (tuple(other_allele), own.other_allele),
        )
        if any(theirs != ours for theirs, ours in pairs):
            raise InputError(
                f"{len(position)} variants that are not the {own.n_variants} of the model"
                f" {self.name}, in its order and with its effect alleles; match them first, or"
                " score a scoring file of the model with `equipoise score`"
            )

    def score(self, dosage: NDArray[np.floating], group: str) -> Score:
        """Return scores by the weights of one group.

        dosage  (people, variants) of the effect allele, NaN where not called

        InputError for another number of variants, and for dosages beyond 0 to 2.
        """
        g = self.place(group)
        if dosage.ndim != 2 or dosage.shape[1] != self.variants.n_variants:
            raise InputError(
                f"dosages of the shape {dosage.shape}; expected (people,"
                f" {self.variants.n_variants}): a column for each variant of the model"
            )
        missing = np.isnan(dosage)
        if bool((~missing & ((dosage < 0) | (dosage > 2))).any()):
            raise InputError(
                "dosages beyond 0 to 2; expected copies of the effect allele, NaN where not"
                " called; recode missing calls such as -9"
            )
        filled = np.where(missing, self.means[:, g], dosage).astype(np.float64)
        return self.scored(filled @ self.weights[:, g], self._candidate_scores(filled, g), group)

    def scored(self, score: Array, candidates: Array, group: str) -> Score:
        """Return the same of scores made elsewhere.

        score       (people,) by the group's weights
        candidates  (people, k) by each candidate; (people, 0) where they are not at hand: the
                    spread is then 0, and the interval that of the calibration alone
        """
        g = self.place(group)
        for scores, what in ((score, "score"), (candidates, "candidate's score")):
            if not bool(np.isfinite(scores).all()):
                raise InputError(
                    f"a {what} that is no number; expected none: leave such people out"
                )
        standardised = (score - self.centre[g]) / self.deviation[g]
        if not candidates.shape[1]:
            return Score(score, standardised, np.zeros(len(score)))
        size = self.candidate_deviation[:, g]
        each = (candidates - self.candidate_centre[:, g]) / np.where(size > 0, size, 1.0)
        spread = candidate_variance(each, self.shares[:, g])
        return Score(score, standardised, spread)

    def predict(
        self,
        score: Score,
        group: str,
        covariates: Array | None = None,
        *,
        components: Array | None = None,
        site: str | None = None,
        level: float = LEVEL,
    ) -> Prediction:
        """Return what follows from scores by the weights of `group`.

        covariates  (people, covariates) in the model's order
        components  (people, components) of ancestry, for the adjusted scale
        site        whose own intercept and slope are to be gone by, where it has them; the
                    interval does not hold their error
        level       of the interval
        """
        calibration = self.calibrations[self.place(group)]
        x = self._terms(score, covariates)
        if site is not None:
            calibration = self._at_site(site, calibration)
        expected = None if calibration.reason else risk(x, calibration, score.spread, level)
        adjusted = self._adjusted(score, components)
        place = None if adjusted is None else percentile(adjusted)
        return Prediction(score, expected, calibration.reason, adjusted, place)

    def _candidate_scores(self, filled: Array, g: int) -> Array:
        """Return the scores of the candidates that have a share, (people, k), 0 of others."""
        used = self.shares[:, g] > 0
        found = np.zeros((len(filled), len(used)))
        for start in range(0, self.variants.n_variants, _VARIANTS):
            stop = min(start + _VARIANTS, self.variants.n_variants)
            dense = self.candidates.dense(start, stop)
            found[:, used] += filled[:, start:stop] @ dense[:, used]
        return found

    def _terms(self, score: Score, covariates: Array | None) -> Array:
        people, wanted = len(score.score), len(self.covariates)
        given = np.zeros((people, 0)) if covariates is None else covariates
        if given.shape != (people, wanted):
            raise InputError(
                f"covariates of the shape {given.shape}; expected ({people}, {wanted}):"
                f" {', '.join(self.covariates) or 'none'}, in this order"
            )
        if not bool(np.isfinite(given).all()):
            raise InputError(
                "a covariate that is missing or no number; expected one for each person: leave"
                " such people out, or fill it in"
            )
        return np.column_stack([np.ones(people), score.standardised, given])

    def _at_site(self, site: str, calibration: Calibration) -> Calibration:
        if site not in self.sites:
            raise InputError(
                f"no site {site!r} in the model {self.name}; expected one of"
                f" {', '.join(self.sites) or 'none'}; leave it out for the risk of all sites"
            )
        own = self.sites[site]
        if own.intercept is None or own.slope is None:
            return calibration
        return recalibrated(calibration, own.intercept, own.slope)

    def _adjusted(self, score: Score, components: Array | None) -> Array | None:
        if components is None or self.adjustment is None:
            return None
        expected = (len(score.score), len(self.adjustment.components))
        if components.shape != expected or not bool(np.isfinite(components).all()):
            raise InputError(
                f"components of the shape {components.shape}, or not all numbers; expected"
                f" {expected}: {', '.join(self.adjustment.components)}"
            )
        return self.adjustment.adjusted(score.standardised, components)
