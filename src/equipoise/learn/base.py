"""What the estimators share: X of dosages, and a trait of two values where they classify."""

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from equipoise.learn import arguments

Array = NDArray[np.float64]


class Dosages(BaseEstimator):
    """An estimator whose X are dosages, NaN where not called, beside which covariates are given.

    n_covariates_   of the fit
    n_features_in_  variants of the fit
    """

    n_covariates_: int
    n_features_in_: int

    def __sklearn_tags__(self) -> Any:
        tags = cast("Any", super()).__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _beside_ones(self, covariates: ArrayLike | None, people: int) -> Array:
        """Return covariates beside a column of ones; ValueError unless as many as in the fit."""
        found = arguments.beside_ones(covariates, people)
        number = found.shape[1] - 1
        if number != self.n_covariates_:
            raise ValueError(f"{number} covariates; expected the {self.n_covariates_} of the fit")
        return found

    def _check_at_least(self, **least: int) -> None:
        """Raise ValueError where a parameter, by its name, is below the least that it may be."""
        for name, number in least.items():
            if getattr(self, name) < number:
                raise ValueError(f"{name}={getattr(self, name)}; expected {number} or more")


class TwoClasses(ClassifierMixin):
    """A classifier of a trait of two values, in their order, of which the later is the yes."""

    classes_: NDArray[Any]

    def __sklearn_tags__(self) -> Any:
        tags = cast("Any", super()).__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _of_classes(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Return dosages, and 1 for whoever has the later value, else 0; note both values."""
        values, trait = arguments.rows_of_classes(self, X, y)
        self.classes_, place = arguments.two_classes(trait)
        return values, place

    def _likelier(self, later: NDArray[np.bool_]) -> NDArray[Any]:
        """Return the value of each person, (people,), by whether the later one is likelier."""
        return self.classes_[later.astype(np.int64)]


def both(later: Array) -> Array:
    """Return the probabilities of both values, (people, 2), from that of the later one.

    >>> both(np.array([0.25, 1.0])).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    return np.column_stack([1 - later, later])
