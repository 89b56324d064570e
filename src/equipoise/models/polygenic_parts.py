"""A polygenic model as plain arrays and text, to be kept in files, and back.

Numbers are all arrays but the few of a site, so that they come back to the last bit; names and
reasons are text. What comes back is checked whole: InputError says what is wrong with which part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.models.polygenic import KINDS, ModelVariants, PolygenicModel, SiteCalibration
from equipoise.solvers.absolute_risk import Calibration
from equipoise.solvers.score_adjustment import Adjustment
from equipoise.solvers.sparse_weights import SparseWeights

AnyArray = NDArray[Any]

TEXTS: Final = ("identifier", "chromosome", "effect_allele", "other_allele")
"""Of each variant; kept as bytes of UTF-8, a line each."""


def to_parts(model: PolygenicModel) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Return the arrays of a model, and what else there is, as JSON can hold it.

    ValueError for a name of a variant that is more than one line.
    """
    variants, candidates, held = model.variants, model.candidates, model.calibrations
    arrays: dict[str, AnyArray] = {
        **{name: _lines(getattr(variants, name)) for name in TEXTS},
        "position": variants.position,
        "weights": model.weights,
        "means": model.means,
        "candidate_starts": candidates.starts,
        "candidate_places": candidates.candidate,
        "candidate_weights": candidates.weight,
        "mixture": model.mixture,
        "shares": model.shares,
        "centre": model.centre,
        "deviation": model.deviation,
        "candidate_centre": model.candidate_centre,
        "candidate_deviation": model.candidate_deviation,
        "calibration_coefficients": np.stack([c.coefficients for c in held]),
        "calibration_covariance": np.stack([c.covariance for c in held]),
        "calibration_deviation": np.array([c.deviation for c in held]),
        "calibration_people": np.array([c.people for c in held], np.int64),
        "calibration_own_slope": np.array([c.own_slope for c in held], np.int64),
    }
    if model.adjustment is not None:
        arrays["adjustment_mean"] = model.adjustment.mean
        arrays["adjustment_log_variance"] = model.adjustment.log_variance
    described = {
        "name": model.name,
        "trait": model.trait,
        "kind": model.kind,
        "build": model.build,
        "groups": list(model.groups),
        "covariates": list(model.covariates),
        "candidates": list(candidates.labels),
        "not_estimable": [c.reason for c in held],
        "components": list(model.adjustment.components) if model.adjustment else None,
        "sites": {
            name: {"intercept": s.intercept, "slope": s.slope, "reason": s.reason}
            for name, s in model.sites.items()
        },
    }
    return arrays, described


def from_parts(
    arrays: Mapping[str, AnyArray], described: Mapping[str, Any], where: str = "the model"
) -> PolygenicModel:
    """Return the model of such parts; InputError where they are not those of one.

    where  what messages call them, such as the folder
    """
    said, held = _Text(described, where), _Arrays(arrays, where)
    groups, covariates = said.names("groups"), said.names("covariates")
    labels = said.names("candidates", unique=False)  # two ways may lead to one penalty
    kind = said.text("kind")
    if kind not in KINDS:
        raise _wrong(where, "kind", "a trait of another kind", " or ".join(KINDS))
    variants = _variants(held)
    n, g, k = variants.n_variants, len(groups), len(labels)
    if not g:
        raise _wrong(where, "groups", "no group", "one at least")
    deviation = held.numbers("deviation", (g,))
    if not bool((deviation > 0).all()):
        raise _wrong(where, "deviation", "a score that does not vary", "deviations above 0")
    return PolygenicModel(
        said.text("name"),
        said.text("trait"),
        kind,
        said.text("build"),
        groups,
        variants,
        held.numbers("weights", (n, g)),
        held.numbers("means", (n, g)),
        _candidates(held, n, labels),
        held.numbers("mixture", (k, g)),
        _shares(held, (k, g)),
        held.numbers("centre", (g,)),
        deviation,
        held.numbers("candidate_centre", (k, g)),
        held.numbers("candidate_deviation", (k, g)),
        covariates,
        _calibrations(held, said, g, 2 + len(covariates), binary=kind == KINDS[1]),
        said.sites(),
        _adjustment(held, said),
    )


def _variants(held: "_Arrays") -> ModelVariants:
    position = held.whole("position", None)
    n = len(position)
    if n and int(position.min()) < 1:
        raise _wrong(held.where, "position", "a position below 1", "1-based positions")
    identifier, chromosome, effect, other = (held.lines(name, n) for name in TEXTS)
    return ModelVariants(identifier, chromosome, position, effect, other)


def _candidates(held: "_Arrays", n: int, labels: tuple[str, ...]) -> SparseWeights:
    starts = held.whole("candidate_starts", (n + 1,))
    place = held.array("candidate_places", np.dtype(np.int32), None)
    weight = held.numbers("candidate_weights", (len(place),))
    rows = np.diff(starts)
    if int(starts[0]) != 0 or int(starts[-1]) != len(place) or bool((rows < 0).any()):
        raise _wrong(held.where, "candidate_starts", "rows of another number", "one a variant")
    inside = (place >= 0) & (place < len(labels))
    row = np.repeat(np.arange(n), rows)
    rising = (np.diff(place) > 0) | (np.diff(row) > 0)
    if not bool(inside.all() and rising.all()):
        raise _wrong(held.where, "candidate_places", "places of no candidate", "rising places")
    return SparseWeights(starts, place, weight, labels)


def _shares(held: "_Arrays", shape: tuple[int, int]) -> NDArray[np.float64]:
    found = held.numbers("shares", shape)
    total = found.sum(axis=0)
    # Shares are divided by their sum, and add up to 1 but for rounding.
    if bool((found < 0).any() or ((total != 0) & (np.abs(total - 1) > 1e-9)).any()):
        raise _wrong(held.where, "shares", "shares that are none", "1 or 0 in sum, none below 0")
    return found


def _calibrations(
    held: "_Arrays", said: "_Text", groups: int, terms: int, *, binary: bool
) -> tuple[Calibration, ...]:
    coefficients = held.numbers("calibration_coefficients", (groups, terms))
    covariance = held.numbers("calibration_covariance", (groups, terms, terms))
    deviation = held.numbers("calibration_deviation", (groups,))
    people = held.whole("calibration_people", (groups,))
    own = held.whole("calibration_own_slope", (groups,))
    reasons = said.names("not_estimable", unique=False)
    if len(reasons) != groups:
        raise _wrong(held.where, "not_estimable", "another number of groups", f"{groups}")
    return tuple(
        Calibration(
            binary,
            coefficients[g],
            covariance[g],
            float(deviation[g]),
            int(people[g]),
            bool(own[g]),
            reasons[g],
        )
        for g in range(groups)
    )


def _adjustment(held: "_Arrays", said: "_Text") -> Adjustment | None:
    if said.value("components") is None:
        return None
    names = said.names("components")
    shape = (1 + len(names),)
    return Adjustment(
        names,
        held.numbers("adjustment_mean", shape),
        held.numbers("adjustment_log_variance", shape),
    )


@dataclass(frozen=True)
class _Arrays:
    """Arrays that are checked as they are taken."""

    held: Mapping[str, AnyArray]
    where: str

    def array(self, name: str, kind: np.dtype[Any], shape: tuple[int, ...] | None) -> AnyArray:
        """Return an array of this type and shape; of any length, with one axis, for None."""
        if name not in self.held:
            raise _wrong(self.where, name, "an array that is not there", "all of a model's")
        found = self.held[name]
        fits = found.ndim == 1 if shape is None else found.shape == shape
        if found.dtype != kind or not fits:
            wanted = "one axis" if shape is None else f"the shape {shape}"
            said = f"an array of {found.dtype} and the shape {found.shape}"
            raise _wrong(self.where, name, said, f"{kind} and {wanted}")
        return found

    def numbers(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return real numbers, all of them finite."""
        found = self.array(name, np.dtype(np.float64), shape)
        if not bool(np.isfinite(found).all()):
            raise _wrong(self.where, name, "an entry that is no number", "finite numbers")
        return found

    def whole(self, name: str, shape: tuple[int, ...] | None) -> NDArray[np.int64]:
        """Return whole numbers."""
        return self.array(name, np.dtype(np.int64), shape)

    def lines(self, name: str, number: int) -> tuple[str, ...]:
        """Return lines of text."""
        data = self.array(name, np.dtype(np.uint8), None).tobytes()
        try:
            found = tuple(data.decode().split("\n")[:-1])
        except UnicodeDecodeError:
            raise _wrong(self.where, name, "bytes that are no UTF-8", "text") from None
        if len(found) != number:
            raise _wrong(self.where, name, f"{len(found)} lines", f"{number}, one a variant")
        return found


@dataclass(frozen=True)
class _Text:
    """What JSON held, checked as it is taken."""

    held: Mapping[str, Any]
    where: str

    def value(self, name: str) -> Any:
        """Return what has this name."""
        if name not in self.held:
            raise _wrong(self.where, name, "an entry that is not there", "all of a model's")
        return self.held[name]

    def text(self, name: str) -> str:
        """Return text."""
        found = self.value(name)
        if not isinstance(found, str):
            raise _wrong(self.where, name, "an entry that is no text", "text")
        return found

    def names(self, name: str, *, unique: bool = True) -> tuple[str, ...]:
        """Return a list of text, each once where `unique`."""
        found = self.value(name)
        every = cast("list[Any]", found) if isinstance(found, list) else []
        text = [each for each in every if isinstance(each, str)]
        if not isinstance(found, list) or len(text) != len(every):
            raise _wrong(self.where, name, "an entry that is no list of text", "names")
        if unique and len(set(text)) != len(text):
            raise _wrong(self.where, name, "a name that is there twice", "each once")
        return tuple(text)

    def sites(self) -> dict[str, SiteCalibration]:
        """Return the calibration of each site."""
        found, expected = self.value("sites"), "intercept, slope and reason of each site"
        if not isinstance(found, dict):
            raise _wrong(self.where, "sites", "an entry of another form", expected)
        sites: dict[str, SiteCalibration] = {}
        for name, said in cast("dict[str, Any]", found).items():
            own = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
            values = [own.get("intercept", ""), own.get("slope", "")]
            numbers = [v is None or (isinstance(v, float) and bool(np.isfinite(v))) for v in values]
            if not all(numbers) or not isinstance(own.get("reason"), str):
                raise _wrong(self.where, "sites", "an entry of another form", expected)
            sites[name] = SiteCalibration(values[0], values[1], own["reason"])
        return sites


def _lines(texts: tuple[str, ...]) -> AnyArray:
    if any("\n" in text for text in texts):
        raise ValueError("a name of a variant that is more than one line; expected one")
    return np.frombuffer("".join(f"{text}\n" for text in texts).encode(), np.uint8)


def _wrong(where: str, part: str, found: str, expected: str) -> InputError:
    return InputError(
        f"{where}: {part}: {found}; expected {expected}; take the model's files as they were saved"
    )
