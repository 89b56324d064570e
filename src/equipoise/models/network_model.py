"""A trained gene network by itself: what it takes to predict by it, and as plain arrays and text.

It stands on a polygenic model, whose standardised score is one of its columns, and is of no use
without that. Numbers are arrays, so that they come back to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.models.gene_shape import Shape, parts
from equipoise.models.gene_sums import Coding, Columns, Reading

Array = NDArray[np.float64]

_TEXTS: Final = ("trait", "build", "table")
_NAMES: Final = ("groups", "covariates")
_BY_VARIANT: Final = ("chromosome", "effect_allele", "other_allele")


@dataclass(frozen=True, slots=True, eq=False)
class NetworkModel:
    """A network; v are variants, c covariates, e those of them and of groups, g groups.

    trait, build   what the trait is called, and the genome build of the positions
    table          what its genes are
    binary         whether the trait is yes/no
    groups         of ancestry, by name, in the order of the polygenic model's
    covariates     beside the score, by name
    genes          names; starts, stops: (genes,) the variants of each, a range of the list
    sizes          (3,) width, attention and hidden, as in `gene_shape.Shape`
    parameters     as `gene_shape.Parts.vector`
    linear         (e + 2,) of the linear model: intercept, of the score, of covariates and groups
    mean, used     (v,) mean dosages 2p, NaN where nobody has a call; 1 where a variant is used
    position       (v,) 1-based; chromosome, effect_allele, other_allele: texts, (v,)
    centre, scale  (c + 1,) mean and standard deviation of each covariate, then of the trait
    bounds         (e + 1,) where score, covariates and columns of groups are cut
    """

    trait: str
    build: str
    table: str
    binary: bool
    groups: tuple[str, ...]
    covariates: tuple[str, ...]
    genes: tuple[str, ...] = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)
    stops: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64]
    parameters: Array = field(repr=False)
    linear: Array = field(repr=False)
    mean: Array = field(repr=False)
    used: NDArray[np.int64] = field(repr=False)
    position: NDArray[np.int64] = field(repr=False)
    chromosome: tuple[str, ...] = field(repr=False)
    effect_allele: tuple[str, ...] = field(repr=False)
    other_allele: tuple[str, ...] = field(repr=False)
    centre: Array = field(repr=False)
    scale: Array = field(repr=False)
    bounds: Array = field(repr=False)

    @property
    def shape(self) -> Shape:
        """What the network is made of."""
        beside = len(self.covariates) + 2 * (len(self.groups) - 1)
        width, attention, hidden = self.sizes.tolist()
        starts, stops = tuple(self.starts.tolist()), tuple(self.stops.tolist())
        return Shape(starts, stops, beside, width, attention, hidden, self.binary)

    def predict(
        self, cohort: Cohort, score: Array, covariates: Array, group: NDArray[np.int64]
    ) -> Array:
        """Return what is expected of people, (people,): log odds, or in units of the trait.

        cohort      their genotypes at the model's variants, effect alleles counted
        score       (people,) standardised, of their group, by the polygenic model
        covariates  (people, c) as they come
        group       (people,) the number of each person's
        """
        own = (covariates - self.centre[:-1]) / self.scale[:-1]
        by_group = group_columns(group, score, len(self.groups))
        rows = np.column_stack([score, own, *by_group])
        rows = np.clip(rows, -self.bounds, self.bounds)
        n, shape = cohort.n, self.shape
        linear = (np.column_stack([np.ones(n), rows]) * self.linear).sum(axis=1)
        columns = Columns(linear, rows[:, 1:], np.zeros(n), np.zeros(n))
        coding = Coding.of(self.mean, self.used.astype(np.bool_))
        found = Reading(cohort, shape, coding, parts(shape, self.parameters)).predict(columns)
        return found * self.scale[-1] + self.centre[-1]


def group_columns(group: NDArray[np.int64], score: Array, groups: int) -> list[Array]:
    """Return for each group but the first who is in it, and their scores, else 0, by turns."""
    return [
        column
        for s in range(1, groups)
        for column in ((group == s).astype(np.float64), np.where(group == s, score, 0.0))
    ]


def to_parts(model: NetworkModel) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of a model, and what else there is, as JSON can hold it."""
    held: dict[str, Any] = {one.name: getattr(model, one.name) for one in fields(model)}
    arrays: dict[str, NDArray[Any]] = {name: held[name] for name in _arrays()}
    # Names of variants, which are many, are kept as bytes of UTF-8, a line each.
    arrays |= {name: _lines(held[name]) for name in (*_BY_VARIANT, "genes")}
    said: dict[str, Any] = {name: held[name] for name in _TEXTS}
    return arrays, {
        **said,
        "binary": model.binary,
        **{name: list(held[name]) for name in _NAMES},
    }


def from_parts(
    arrays: Mapping[str, NDArray[Any]], described: Mapping[str, Any], where: str = "the network"
) -> NetworkModel:
    """Return the model of such parts; InputError where they are not those of one.

    where  what messages call them, such as the folder
    """
    try:
        held: dict[str, Any] = {name: arrays[name] for name in _arrays()}
        held |= {name: _texts(arrays[name]) for name in (*_BY_VARIANT, "genes")}
        held |= {name: str(described[name]) for name in _TEXTS}
        held |= {name: tuple(map(str, described[name])) for name in _NAMES}
        model = NetworkModel(**held, binary=bool(described["binary"]))
        wrong = _misfit(model)
    except (KeyError, TypeError, ValueError, InputError) as error:
        wrong = f"parts that are missing or of another form ({type(error).__name__})"
    else:
        if not wrong:
            return model
    raise InputError(
        f"{where}: {wrong}; expected those of one network; take its files as they were saved"
    )


def _arrays() -> list[str]:
    """Return which fields are arrays."""
    others = {*_TEXTS, *_NAMES, *_BY_VARIANT, "genes", "binary"}
    return [one.name for one in fields(NetworkModel) if one.name not in others]


def _misfit(model: NetworkModel) -> str:
    """Return which part does not fit the others, "" where all do."""
    shape, v = model.shape, len(model.position)
    e, c = shape.covariates, len(model.covariates)
    expected: dict[str, tuple[tuple[int, ...], type[Any]]] = {
        "parameters": ((sum(shape.sizes),), np.float64),
        "linear": ((e + 2,), np.float64),
        "mean": ((v,), np.float64),
        "used": ((v,), np.int64),
        "position": ((v,), np.int64),
        "centre": ((c + 1,), np.float64),
        "scale": ((c + 1,), np.float64),
        "bounds": ((e + 1,), np.float64),
    }
    for name, (size, kind) in expected.items():
        held: NDArray[Any] = getattr(model, name)
        if held.shape != size or held.dtype != kind:
            return f"{name}: an array of {held.dtype} and the shape {held.shape}"
        if name != "mean" and not bool(np.isfinite(held).all()):
            return f"{name}: an entry that is no number"
    if len(model.genes) != shape.genes or max(shape.stops) > v:
        return "genes: other genes than their ranges, or ranges beyond the list"
    sizes = {name: len(getattr(model, name)) for name in _BY_VARIANT}
    wrong = [name for name, size in sizes.items() if size != v]
    return f"{wrong[0]}: not one a variant" if wrong else ""


def _lines(texts: tuple[str, ...]) -> NDArray[np.uint8]:
    if any("\n" in text for text in texts):
        raise ValueError("a name of more than one line; expected one")
    return np.frombuffer("".join(f"{text}\n" for text in texts).encode(), np.uint8)


def _texts(data: NDArray[Any]) -> tuple[str, ...]:
    return tuple(data.tobytes().decode().split("\n")[:-1])
