"""The gene network as scikit-learn estimators, beside the linear model that it must beat.

X are dosages of the effect allele, NaN where not called. Beside X and y, `fit` takes which
variants are a gene's, a polygenic score that was fitted to none of these people, and covariates.
Errors about arguments are ValueErrors, as scikit-learn has them; a missing JAX is an InputError.
"""

from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from equipoise.analyses.gene_network_result import TrainedNetwork
from equipoise.learn import arguments
from equipoise.learn.base import Dosages, TwoClasses, both
from equipoise.learn.estimators import PolygenicRisk
from equipoise.learn.network_training import LEAST_PARTED, Trained, large_parts, trained
from equipoise.learn.people import LEAST_PEOPLE, spread
from equipoise.models.gene_network import library
from equipoise.solvers.logistic import probability

Array = NDArray[np.float64]

MODELS = ("recommended", "network", "linear")
_COUNTED = ("least", "gene_size", "width", "attention", "hidden", "rounds", "patience")
"""Parameters that are 1 at least."""

_PASSED = ("width", "attention", "hidden", "rate", "decay", "rounds", "patience", "least")
"""Parameters of the training that are parameters of the estimators."""


class _GeneNetwork(Dosages):
    """What both estimators share; see `GeneNetwork` for parameters."""

    trained_: TrainedNetwork
    genes_: tuple[tuple[int, int], ...]
    part_: NDArray[np.int64]
    recommended_: str
    recommendation_: str
    score_model_: PolygenicRisk | None
    _held: Trained
    _score_given: bool
    _low: Array
    _span: Array

    def __init__(
        self,
        *,
        score_share: float = 0.4,
        stop_share: float = 0.2,
        compare_share: float = 0.2,
        gene_size: int = 50,
        width: int = 8,
        attention: int = 8,
        hidden: int = 8,
        rate: float = 0.03,
        decay: float = 0.1,
        rounds: int = 150,
        patience: int = 20,
        least: int = 20,
        model: str = "recommended",
        rescale: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.score_share = score_share
        self.stop_share = stop_share
        self.compare_share = compare_share
        self.gene_size = gene_size
        self.width = width
        self.attention = attention
        self.hidden = hidden
        self.rate = rate
        self.decay = decay
        self.rounds = rounds
        self.patience = patience
        self.least = least
        self.model = model
        self.rescale = rescale
        self.random_state = random_state

    def _fit(
        self,
        X: Array,
        y: Array,
        genes: ArrayLike | None,
        score: ArrayLike | None,
        covariates: ArrayLike | None,
        *,
        binary: bool,
    ) -> None:
        self._check_parameters()
        n, names = len(X), arguments.genes(genes, X.shape[1], self.gene_size)
        c = arguments.beside_ones(covariates, n)[:, 1:]
        given = None if score is None else arguments.column(score, n, "a score")
        dosage = self._rescaled(X, fit=True)
        draw = arguments.generator(self.random_state)
        model, rest = None, np.arange(n)
        if given is None and self.score_share > 0:
            model, rest = self._score_model(dosage, y, c, draw)
        own = _score(model, dosage[rest]) if given is None else given
        shares = self.stop_share, self.compare_share
        part = large_parts(y[rest], shares, draw, self.least, n, binary=binary)
        self._held = trained(
            dosage[rest],
            np.column_stack([own, c[rest]]),
            y[rest],
            part,
            binary=binary,
            starts=tuple(start for start, _ in names),
            stops=tuple(stop for _, stop in names),
            seed=int(draw.randint(2**31 - 1)),
            **{name: getattr(self, name) for name in _PASSED},
        )
        self.part_ = np.full(n, -1)
        self.part_[rest] = part
        self.genes_, self.n_covariates_, self.score_model_ = names, c.shape[1], model
        self._score_given, self.trained_ = given is not None, self._held.result
        self.recommended_ = self.trained_.recommended
        self.recommendation_ = self.trained_.recommendation

    def _predictors(
        self, X: ArrayLike, score: ArrayLike | None, covariates: ArrayLike | None
    ) -> Array:
        """Return log odds, or expected values, (people,)."""
        values = self._rescaled(arguments.dosages(self, X), fit=False)
        n = len(values)
        c = self._beside_ones(covariates, n)[:, 1:]
        if (score is not None) != self._score_given:
            said = "the same score, of these people" if self._score_given else "none"
            raise ValueError(f"a score is given to one of fit and predict alone; expected {said}")
        own = _score(self.score_model_, values)
        own = own if score is None else arguments.column(score, n, "a score")
        by = self.recommended_ if self.model == MODELS[0] else self.model
        rows = np.column_stack([own, c])
        return self._held.predictors(values, rows, network=by == "network")

    def _score_model(
        self, X: Array, y: Array, c: Array, draw: np.random.RandomState
    ) -> tuple[PolygenicRisk, NDArray[np.int64]]:
        """Return a score that was fitted to a share of the people, and who the others are."""
        number = max(LEAST_PEOPLE, ceil(self.score_share * len(X)))
        if len(X) - number < LEAST_PARTED:
            raise ValueError(
                f"n_samples={len(X)} is too few for a score and a network; expected"
                f" {LEAST_PEOPLE + LEAST_PARTED} at least"
            )
        order, chosen = spread(y, number, draw)
        own = order[chosen]
        model = PolygenicRisk(random_state=draw)
        return model.fit(X[own], y[own], covariates=c[own] if c.shape[1] else None), order[~chosen]

    def _rescaled(self, X: Array, *, fit: bool) -> Array:
        """Return dosages from 0 to 2: as they are, or each column brought there linearly."""
        if not self.rescale:
            if np.any((X < 0) | (X > 2)):
                raise ValueError(
                    "X has a value that is no dosage; expected 0 to 2, and NaN where not called"
                    " (or rescale=True, for other codings)"
                )
            return X
        if fit:
            low, high = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
            self._low = np.nan_to_num(low)
            self._span = np.where(high > low, high - low, 1.0)
        return np.asarray((X - self._low) / self._span * 2)

    def _check_parameters(self) -> None:
        if not 0 <= self.score_share < 1:
            raise ValueError(f"score_share={self.score_share}; expected one from 0 to below 1")
        stop, compare = self.stop_share, self.compare_share
        if min(stop, compare) <= 0 or stop + compare > 0.5:
            raise ValueError(
                f"stop_share={stop} and compare_share={compare}; expected both above 0, and half"
                " of the people at most together"
            )
        self._check_at_least(**dict.fromkeys(_COUNTED, 1))
        if self.model not in MODELS:
            raise ValueError(f"model={self.model!r}; expected one of {MODELS}")


def _score(model: PolygenicRisk | None, X: Array) -> Array:
    """Return the score of people alone, without covariates; zeros where there is no model."""
    if model is None:
        return np.zeros(len(X))
    return np.where(np.isnan(X), model.means_[:, 0], X) @ model.fitted_.weights[:, 0]


class GeneNetwork(RegressorMixin, _GeneNetwork):
    """A gene network of a quantitative trait, and the linear model of score and covariates.

    score_share    of the people, on whom a `PolygenicRisk` is fitted where `fit` is given no
                   score; 0 for no score at all: then the network is recommended for additive
                   effects too
    stop_share, compare_share  of the others: to stop by, and to compare both models on; the rest
                   are trained on
    gene_size      variants of a gene at most, where `fit` is not told which are a gene's
    width, attention, hidden   sizes of the network; see `models.gene_network`
    rate, decay    Adam's step, and the decay of weights beside it
    rounds, patience  the most that there are; how many may pass without a lesser loss to stop by
    least          people of each part (of a yes/no trait: with it, and without it)
    model          what predicts: "recommended", "network" or "linear"; may be changed after a fit
    rescale        whether columns of X may be anything, and are brought to 0 to 2 linearly
    random_state   parts people, and draws the first parameters

    After `fit`, `recommended_` is "network" or "linear", `recommendation_` says why, and
    `trained_` holds the losses, in squared standard deviations of the trait, halved. `part_` says
    what each person was for: 0 to train on, 1 to stop by, 2 to compare on, -1 for the score.

    >>> draw = np.random.default_rng(1)
    >>> X = draw.binomial(2, 0.4, (300, 20)).astype(float)
    >>> y = X[:, 0] - X[:, 1] + draw.normal(size=300)
    >>> model = GeneNetwork(rounds=8, width=2, random_state=1).fit(X, y)
    >>> model.recommended_, model.genes_
    ('linear', ((0, 20),))
    """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        genes: ArrayLike | None = None,
        score: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> Self:
        """Fit to dosages, (people, variants), and a trait, (people,).

        genes       (genes, 2) where the variants of each begin and end; they may overlap
        score       (people,) a polygenic score that none of these people was used to fit
        covariates  (people, c) none missing
        """
        library()
        values, trait = arguments.rows(self, X, y)
        self._fit(values, trait, genes, score, covariates, binary=False)
        return self

    def predict(
        self, X: ArrayLike, score: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> Array:
        """Return expected values, (people,)."""
        return self._predictors(X, score, covariates)


class GeneNetworkClassifier(TwoClasses, _GeneNetwork):
    """A gene network of a yes/no trait, and the linear model; parameters as in `GeneNetwork`.

    Losses in `trained_` are logistic.
    """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        genes: ArrayLike | None = None,
        score: ArrayLike | None = None,
        covariates: ArrayLike | None = None,
    ) -> Self:
        """Fit to dosages and a trait of two values, of which the later is the yes."""
        library()
        values, place = self._of_classes(X, y)
        self._fit(values, place, genes, score, covariates, binary=True)
        return self

    def decision_function(
        self, X: ArrayLike, score: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> Array:
        """Return the log odds of the later value, (people,)."""
        return self._predictors(X, score, covariates)

    def predict_proba(
        self, X: ArrayLike, score: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> Array:
        """Return the probabilities of both values, (people, 2)."""
        return both(probability(self._predictors(X, score, covariates)))

    def predict(
        self, X: ArrayLike, score: ArrayLike | None = None, covariates: ArrayLike | None = None
    ) -> NDArray[Any]:
        """Return the likelier value of each person, (people,)."""
        return self._likelier(self._predictors(X, score, covariates) > 0)
