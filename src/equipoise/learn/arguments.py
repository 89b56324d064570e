"""What is given to an estimator, checked: the one typed seam to scikit-learn's own checks."""

from contextlib import AbstractContextManager
from importlib import import_module
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import multiclass, validation

Array = NDArray[np.float64]

EVERYBODY: Final = "all"
"""The name of the one group where none are given."""

_check = cast("Any", validation)
_OF_X: Final = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}


def rows(estimator: object, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return dosages and a quantitative trait, and note the number of variants."""
    values, trait = _check.validate_data(estimator, X, y, y_numeric=True, **_OF_X)
    return values, np.asarray(trait, np.float64)


def rows_of_classes(estimator: object, X: ArrayLike, y: ArrayLike) -> tuple[Array, NDArray[Any]]:
    """Return dosages and a trait of classes, and note the number of variants."""
    values, trait = _check.validate_data(estimator, X, y, **_OF_X)
    cast("Any", multiclass).check_classification_targets(trait)
    return values, trait


def two_classes(trait: NDArray[Any]) -> tuple[NDArray[Any], Array]:
    """Return the two values of a trait, and 1 for whoever has the later, else 0."""
    classes, place = np.unique(trait, return_inverse=True)
    if len(classes) != 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is"
            f" {len(classes)} class(es); expected two values"
        )
    return classes, place.astype(np.float64)


def dosages(estimator: object, X: ArrayLike) -> Array:
    """Return dosages of the variants of the fit; NotFittedError before it."""
    _check.check_is_fitted(estimator)
    return _check.validate_data(estimator, X, reset=False, **_OF_X)


def fitted(estimator: object) -> None:
    """Raise NotFittedError before `fit`."""
    _check.check_is_fitted(estimator)


def generator(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """Return the generator that `random_state` means to scikit-learn."""
    return _check.check_random_state(random_state)


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which BLAS takes one thread.

    Some thousand products of matrices of a hundred rows take up to fifty times as long where
    threads wait for each other on a busy machine.
    """
    # A dependency of scikit-learn's own, without types.
    return cast("Any", import_module("threadpoolctl")).threadpool_limits(1, user_api="blas")


def blocks(starts: ArrayLike | None, variants: int, size: int) -> NDArray[np.int64]:
    """Return where LD blocks begin; ValueError unless they rise from 0 to the last variant."""
    if starts is None:
        return np.append(np.arange(0, variants, size), variants).astype(np.int64)
    found = np.asarray(starts, np.int64)
    whole = found.ndim == 1 and len(found) > 1 and bool((np.diff(found) > 0).all())
    if not whole or found[0] != 0 or found[-1] != variants:
        raise ValueError(
            f"ld_blocks that do not rise from 0 to {variants}; expected where each block begins"
            " among the variants, and the number of variants at the end"
        )
    return found


def genes(ranges: ArrayLike | None, variants: int, size: int) -> tuple[tuple[int, int], ...]:
    """Return the variants of each gene, (start, stop), in order of their first ones.

    Where none are given, runs of at most `size` variants, as even as can be. ValueError for a
    range that is empty or reaches beyond the variants.
    """
    if ranges is None:
        number = -(-variants // size)
        cuts = -(-np.arange(number + 1) * variants // number)
        return tuple(pairwise(cuts.tolist()))
    found = np.asarray(ranges)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found) or found.dtype.kind not in "iu":
        raise ValueError(
            "genes that are not pairs of whole numbers; expected (start, stop) of each"
        )
    start, stop = found.T
    if start.min() < 0 or (start >= stop).any() or stop.max() > variants:
        raise ValueError(
            f"a gene without variants, or beyond them; expected 0 <= start < stop <= {variants}"
        )
    return tuple(sorted((a, b) for a, b in found.tolist()))


def column(values: ArrayLike, people: int, name: str) -> Array:
    """Return one finite number a person, (people,)."""
    found = np.asarray(values, np.float64)
    if found.shape != (people,) or not np.isfinite(found).all():
        raise ValueError(f"{name} of the shape {found.shape}; expected ({people},), none missing")
    return found


def labels(groups: ArrayLike | None, people: int) -> NDArray[np.object_]:
    """Return the name of each person's group."""
    if groups is None:
        return np.full(people, EVERYBODY, object)
    found = np.asarray(groups)
    if found.shape != (people,):
        raise ValueError(f"groups of the shape {found.shape}; expected ({people},): one a person")
    return np.array([str(label) for label in found.tolist()], object)


def beside_ones(covariates: ArrayLike | None, people: int) -> Array:
    """Return covariates beside a column of ones, which is the first."""
    ones = np.ones((people, 1))
    if covariates is None:
        return ones
    found = np.asarray(_check.check_array(covariates, dtype=np.float64), np.float64)
    if len(found) != people:
        raise ValueError(f"covariates of {len(found)} people; expected {people}, as in X")
    return np.concatenate([ones, found], axis=1)


def means(dosage: Array) -> Array:
    """Return the mean of each column over who is called, 0 where nobody is."""
    called = ~np.isnan(dosage)
    number = called.sum(axis=0)
    return np.where(called, dosage, 0.0).sum(axis=0) / np.maximum(number, 1)
