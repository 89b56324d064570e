"""Polygenic models in files: whole in a folder, or one group's weights as a scoring file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.absolute_risk import INTERCEPT, SLOPE
from equipoise.analysis import Figure
from equipoise.artefacts import model_files, scoring_file
from equipoise.artefacts.pgs_catalog import ScoringFile, same_build
from equipoise.artefacts.scoring_file import ScoredVariant
from equipoise.errors import InputError
from equipoise.models.polygenic import PolygenicModel, SiteCalibration
from equipoise.models.polygenic_parts import from_parts, to_parts

WEIGHT_TYPE: Final = "beta"
"""Weights are in units of the trait; of a yes/no trait, of its share: no log odds."""


def save(folder: Path, model: PolygenicModel) -> None:
    """Write a model to a folder."""
    model_files.save(folder, *to_parts(model))


def load(folder: Path) -> PolygenicModel:
    """Return the model of a folder; InputError where it is not as it was saved."""
    return from_parts(*model_files.load(folder), where=str(folder))


def sites_of(figures: Mapping[str, Mapping[str, Figure]]) -> dict[str, SiteCalibration]:
    """Return how each site's people lie about the risk, from what `absolute_risk` published."""
    found: dict[str, SiteCalibration] = {}
    for site, own in figures.items():
        intercept, slope = own[INTERCEPT], own[SLOPE]
        reason = intercept.reason or slope.reason or ""
        values = (None, None) if reason else (intercept.value, slope.value)
        found[site] = SiteCalibration(*values, reason)
    return found


def write_score(path: Path, model: PolygenicModel, group: str) -> None:
    """Write the weights of one group, those that are not 0, as a scoring file.

    Each is spelled so that it comes back to the last bit. What takes the score to a risk is not
    in the file: it needs the model.
    """
    g, own = model.place(group), model.variants
    kept = np.flatnonzero(model.weights[:, g]).tolist()
    variants = [
        ScoredVariant(
            own.chromosome[i],
            int(own.position[i]),
            own.effect_allele[i],
            own.other_allele[i],
            float(model.weights[i, g]),
            float(model.means[i, g]) / 2,
        )
        for i in kept
    ]
    scoring_file.write(
        path,
        variants,
        name=f"{model.name}_{group}",
        trait=model.trait,
        build=model.build,
        notes={"group": group, "kind": model.kind},
        weight_type=WEIGHT_TYPE,
        spelled=repr,
    )


def read_weights(file: ScoringFile, model: PolygenicModel) -> NDArray[np.float64]:
    """Return the weights of a scoring file at the variants of a model, (variants,), else 0.

    InputError for another build, and for a variant or an allele that the model does not have.
    """
    if file.build is None or not same_build(file.build, model.build):
        raise InputError(
            f"{file.name}: positions of {file.build or 'no build that it names'}; expected"
            f" {model.build}; take a file of that build"
        )
    own = model.variants
    columns = (own.chromosome, own.position.tolist(), own.effect_allele, own.other_allele)
    place = {key: i for i, key in enumerate(zip(*columns, strict=True))}
    found = np.zeros(own.n_variants)
    names = ("chromosome", "position", "effect_allele", "other_allele", "weight", "line")
    for *key, weight, line in file.weights.select(names).iter_rows():
        at = place.get(tuple(key))
        if at is None or weight is None:
            raise InputError(
                f"{file.name}, line {line}: a variant that the model {model.name} does not have;"
                " expected its variants, with their effect alleles; take a file of this model"
            )
        found[at] = weight
    return found
