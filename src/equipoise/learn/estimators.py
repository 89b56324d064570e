"""Polygenic risk models as scikit-learn estimators.

X are dosages of the effect allele, NaN where not called. Beside X and y, `fit` takes each
person's group (stratum of ancestry), covariates, and where LD blocks begin; `predict` the same
groups and covariates. Errors about arguments are ValueErrors, as scikit-learn has them.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from equipoise.learn import arguments
from equipoise.learn.base import Dosages, TwoClasses, both
from equipoise.learn.fitting import Fitted, fit
from equipoise.learn.people import Options, Parted, People, parted
from equipoise.models.polygenic import BINARY, QUANTITATIVE, ModelVariants, PolygenicModel
from equipoise.solvers.absolute_risk import Risk, candidate_variance, risk
from equipoise.solvers.intervals import LEVEL

Array = NDArray[np.float64]

_EDGE = 1e-3
"""Shares of a yes/no trait that are not calibrated are cut here and at 1 less it."""


class _PolygenicRisk(Dosages):
    """What both estimators share; see `PolygenicRisk` for parameters."""

    fitted_: Fitted
    groups_: tuple[str, ...]
    means_: Array

    def __init__(
        self,
        *,
        tuning_share: float = 0.3,
        folds: int = 5,
        refinements: int = 1,
        block_size: int = 100,
        least: int = 50,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.tuning_share = tuning_share
        self.folds = folds
        self.refinements = refinements
        self.block_size = block_size
        self.least = least
        self.random_state = random_state

    def _fit(
        self,
        X: Array,
        y: Array,
        groups: ArrayLike | None,
        covariates: ArrayLike | None,
        ld_blocks: ArrayLike | None,
        *,
        binary: bool,
    ) -> None:
        self._check_parameters()
        starts = arguments.blocks(ld_blocks, X.shape[1], self.block_size)
        labels, c = arguments.labels(groups, len(X)), arguments.beside_ones(covariates, len(X))
        self.n_covariates_ = c.shape[1] - 1
        names = tuple(sorted(set(labels.tolist())))
        draw = arguments.generator(self.random_state)
        means = np.zeros((X.shape[1], len(names)))
        parts: dict[str, Parted] = {}
        for g, name in enumerate(names):
            rows = np.flatnonzero(labels == name)
            means[:, g] = arguments.means(X[rows])
            dosage = np.where(np.isnan(X[rows]), means[:, g], X[rows])
            people = People(dosage, c[rows], y[rows])
            parts[name] = parted(people, self.tuning_share, draw)
        options = Options(self.tuning_share, self.folds, self.refinements, self.least)
        self.fitted_ = fit(parts, starts, options, binary=binary)
        self.groups_, self.means_ = names, means

    def _expected(
        self, X: Array, groups: ArrayLike | None, covariates: ArrayLike | None
    ) -> tuple[Array, NDArray[np.bool_], Array, Array]:
        """Return expected values with interval, and of whom there is one, each (people,)."""
        labels, c = arguments.labels(groups, len(X)), self._beside_ones(covariates, len(X))
        strange = sorted(set(labels.tolist()) - set(self.groups_))
        if strange:
            raise ValueError(f"groups that were not fitted: {strange}; expected {self.groups_}")
        value, low, high = np.zeros((3, len(X)))
        has = np.zeros(len(X), np.bool_)
        for g, name in enumerate(self.groups_):
            rows = np.flatnonzero(labels == name)
            if not len(rows):
                continue
            found = self._of_group(X[rows], c[rows], g)
            if isinstance(found, Risk):
                value[rows], low[rows], high[rows] = found.value, found.low, found.high
                has[rows] = True
            else:
                value[rows] = found
        return value, has, low, high

    def _of_group(self, X: Array, c: Array, g: int) -> Risk | Array:
        """Return the risk of people of a group; plain expected values where not calibrated."""
        held = self.fitted_
        filled = np.where(np.isnan(X), self.means_[:, g], X)
        score = filled @ held.weights[:, g]
        calibration = held.calibrations[g]
        if calibration.reason:
            return np.asarray(score + c @ held.linear[g], np.float64)
        size = held.candidate_deviation[:, g]
        dense = held.candidates.dense(0, X.shape[1])
        each = (filled @ dense - held.candidate_centre[:, g]) / np.where(size > 0, size, 1.0)
        spread = candidate_variance(each, held.shares[:, g])
        standardised = (score - held.centre[g]) / held.deviation[g]
        x = np.column_stack([np.ones(len(X)), standardised, c[:, 1:]])
        return risk(x, calibration, spread, LEVEL)

    def _check_parameters(self) -> None:
        if not 0 < self.tuning_share < 1:
            raise ValueError(f"tuning_share={self.tuning_share}; expected one between 0 and 1")
        self._check_at_least(folds=4, refinements=0, block_size=1, least=2)

    def predict_interval(
        self, X: ArrayLike, groups: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> Array:
        """Return the 95 % interval of each expected value, (people, 2).

        It holds the sampling error of the calibration and the spread of the stack's candidates;
        `solvers.absolute_risk` says what it does not hold. ValueError where a group had too few
        people to be calibrated.
        """
        values = arguments.dosages(self, X)
        _, has, low, high = self._expected(values, groups, covariates)
        if not has.all():
            raise ValueError(
                "people of a group that is not calibrated, so that there is no interval; expected"
                f" {self.least} tuning people at least (with the trait, and without it): join"
                " groups, or set `least` lower"
            )
        return np.column_stack([low, high])

    def to_model(
        self, variants: ModelVariants, *, name: str, trait: str, build: str
    ) -> PolygenicModel:
        """Return the fit as a model that can be saved; covariates are named by their number.

        A group that is not calibrated has scores in it and no absolute risk.
        """
        arguments.fitted(self)
        if variants.n_variants != self.n_features_in_:
            raise ValueError(
                f"{variants.n_variants} variants; expected the {self.n_features_in_} of the fit"
            )
        held = self.fitted_
        return PolygenicModel(
            name,
            trait,
            BINARY if isinstance(self, ClassifierMixin) else QUANTITATIVE,
            build,
            self.groups_,
            variants,
            held.weights,
            self.means_,
            held.candidates,
            held.mixture,
            held.shares,
            held.centre,
            held.deviation,
            held.candidate_centre,
            held.candidate_deviation,
            tuple(f"covariate {i + 1}" for i in range(self.n_covariates_)),
            held.calibrations,
        )


class PolygenicRisk(RegressorMixin, _PolygenicRisk):
    """Polygenic risk of a quantitative trait in several groups.

    tuning_share  of each group's people, on whom weights are not fitted but chosen and mixed
    folds         of these, four at least
    refinements   how often LD blocks are refitted to what the others leave of the trait
    block_size    variants of an LD block where `fit` is not told where blocks begin
    least         tuning people from which a group is calibrated, and has intervals
    random_state  parts people into training and tuning

    >>> draw = np.random.default_rng(1)
    >>> X = draw.binomial(2, 0.4, (400, 30)).astype(float)
    >>> y = X[:, 0] - X[:, 1] + draw.normal(size=400)
    >>> model = PolygenicRisk(random_state=1).fit(X, y)
    >>> model.groups_, model.score(X, y) > 0.4
    (('all',), True)
    """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
        ld_blocks: ArrayLike | None = None,
    ) -> Self:
        """Fit to dosages, (people, variants), and a trait, (people,).

        groups      (people,) the group of each, by name or number; None for one of everybody
        covariates  (people, c) none missing
        ld_blocks   (blocks + 1,) where LD blocks begin among the variants, and where the last ends
        """
        values, trait = arguments.rows(self, X, y)
        self._fit(values, trait, groups, covariates, ld_blocks, binary=False)
        return self

    def predict(
        self, X: ArrayLike, groups: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> Array:
        """Return expected values, (people,)."""
        return self._expected(arguments.dosages(self, X), groups, covariates)[0]


class PolygenicRiskClassifier(TwoClasses, _PolygenicRisk):
    """Polygenic risk of a yes/no trait in several groups; parameters as in `PolygenicRisk`.

    Weights are fitted on the trait as 0 and 1. Probabilities come from a logistic calibration in
    each group; one with fewer than `least` tuning people of either kind has its expected share
    instead, cut to .001 and .999.
    """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
        ld_blocks: ArrayLike | None = None,
    ) -> Self:
        """Fit to dosages and a trait of two values, of which the later is the yes."""
        values, place = self._of_classes(X, y)
        self._fit(values, place, groups, covariates, ld_blocks, binary=True)
        return self

    def predict_proba(
        self, X: ArrayLike, groups: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> Array:
        """Return the probabilities of both values, (people, 2)."""
        value, has, _, _ = self._expected(arguments.dosages(self, X), groups, covariates)
        return both(np.where(has, value, np.clip(value, _EDGE, 1 - _EDGE)))

    def predict(
        self, X: ArrayLike, groups: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Return the likelier value of each person, (people,)."""
        return self._likelier(self.predict_proba(X, groups, covariates)[:, 1] > 0.5)
