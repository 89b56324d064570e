"""The model that `equipoise train` ends with: weights, absolute risk, and a place among others.

What takes a score to a risk is fitted on test people, whom neither weights nor stacks have seen,
from sums over sites. So figures of accuracy are of people on whom two or three numbers a group
were fitted afterwards, which squared correlations do not see.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.absolute_risk import AbsoluteRisk
from equipoise.analyses.score_adjustment import AdjustedScore, ScoreAdjustment
from equipoise.analysis import Figure
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.models.polygenic import BINARY, QUANTITATIVE, ModelVariants, PolygenicModel
from equipoise.solvers.absolute_risk import Calibration, shares
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.tools.adding import Adding
from equipoise.tools.model_files import sites_of
from equipoise.tools.train import Trained
from equipoise.tools.train_people import STRATUM
from equipoise.tools.train_scores import (
    MOST_SCORE,
    STANDARD,
    mixture_of,
    protection_of,
    scales,
    spread_of,
    stack_of,
    tested,
    trait_mean,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Built:
    """A model, and what was seen when it was made.

    figures     how each site's test people lie about the risk, by site
    adjustment  what adjusting for ancestry changes; None without components
    """

    model: PolygenicModel
    figures: Mapping[str, Mapping[str, Figure]]
    adjustment: AdjustedScore | None


def build(trained: Trained, name: str, genome_build: str, components: tuple[str, ...]) -> Built:
    """Return the model of a training.

    components  those of the covariates that are components of ancestry, for the adjusted scale
    """
    known, groups = trained.known, len(trained.groups)
    frequencies, listed = known["frequency"], trained.sites.variants
    candidates = known["refined_joint"].weights
    unit = known["linkage"].deviation * float(trained.columns.scale[0])
    mixture = mixture_of(trained)
    # Sums are of scores about the mean dosage; a model's scores are of dosages themselves.
    mean = np.where(frequencies.used, 2 * np.nan_to_num(frequencies.frequency), 0.0)
    shift = _products(candidates, mean)
    spread = spread_of(trained)
    cohorts = tested(trained, spread)
    risks, figures = _risks(trained, cohorts)
    adjusted = _adjusted(trained, cohorts, components) if components else None
    model = PolygenicModel(
        name=name,
        trait=trained.request.trait,
        kind=BINARY if trained.request.binary else QUANTITATIVE,
        build=genome_build,
        groups=trained.groups,
        variants=ModelVariants(
            tuple(map(str, trained.sites.ids.tolist())),
            tuple(map(str, listed.chromosome.tolist())),
            np.asarray(listed.position, np.int64),
            tuple(map(str, listed.effect_allele.tolist())),
            tuple(map(str, listed.other_allele.tolist())),
        ),
        weights=np.ascontiguousarray(trained.weights.T),
        means=np.tile(mean[:, None], (1, groups)),
        candidates=candidates,
        mixture=mixture * unit,
        shares=np.stack(
            [
                shares(stack_of(trained, s)[: len(mixture)], spread.candidate_deviation[:, s])
                for s in range(groups)
            ],
            axis=1,
        ),
        centre=unit * (spread.centre + shift @ mixture),
        deviation=unit * spread.deviation,
        candidate_centre=spread.candidate_centre + shift[:, None],
        candidate_deviation=spread.candidate_deviation,
        covariates=trained.columns.covariates,
        calibrations=risks,
        sites=sites_of(figures),
        adjustment=None if adjusted is None else adjusted.adjustment,
    )
    return Built(model, figures, adjusted)


def _products(candidates: SparseWeights, mean: Array) -> Array:
    """Return each candidate's score of mean dosages, (k,)."""
    rows = np.repeat(np.arange(len(mean)), np.diff(candidates.starts))
    terms = candidates.weight * mean[rows]
    found = np.bincount(candidates.candidate, terms, len(candidates.labels))
    return np.asarray(found, np.float64)


def _risks(
    trained: Trained, cohorts: tuple[Cohort, ...]
) -> tuple[tuple[Calibration, ...], dict[str, dict[str, Figure]]]:
    """Return each group's calibration, for covariates and trait as they come, and sites' figures."""
    form = trained.form
    analysis = AbsoluteRisk(
        people=sum(cohort.n for cohort in cohorts),
        trait=form.trait,
        score=STANDARD,
        covariates=form.covariates,
        bounds=(MOST_SCORE, *form.bounds),
        group=STRATUM,
        groups=len(trained.groups),
        binary=trained.request.binary,
    )
    result = Adding(cohorts, protection_of(trained)).run(analysis)
    figures = {
        site.name: dict(analysis.figures(cohort, result))
        for site, cohort in zip(trained.sites.sites, cohorts, strict=True)
    }
    made = (result.of_group(s) for s in range(len(trained.groups)))
    return tuple(_as_they_come(trained, one) for one in made), figures


def _as_they_come(trained: Trained, made: Calibration) -> Calibration:
    """Return a calibration for covariates and a trait that are not standardised."""
    if made.reason:
        return made
    columns = trained.columns
    means, spreads = scales(trained)
    terms = np.eye(2 + len(means))
    terms[2:, 2:] = np.diag(1 / spreads)
    terms[0, 2:] = -means / spreads
    scale = 1.0 if made.binary else float(columns.scale[0])
    coefficients = scale * (terms @ made.coefficients)
    if not made.binary:
        coefficients[0] += trait_mean(trained)
    return replace(
        made,
        coefficients=coefficients,
        covariance=scale**2 * (terms @ made.covariance @ terms.T),
        deviation=scale * made.deviation,
    )


def _adjusted(
    trained: Trained, cohorts: tuple[Cohort, ...], components: tuple[str, ...]
) -> AdjustedScore:
    form = trained.form
    place = {name: i for i, name in enumerate(form.covariates)}
    missing = [name for name in components if name not in place]
    if missing:
        raise InputError(
            f"--components {', '.join(missing)}: no covariates of the model; expected some of"
            f" {', '.join(form.covariates) or 'none'}; name them in --covariates as well"
        )
    analysis = ScoreAdjustment(
        people=sum(cohort.n for cohort in cohorts),
        trait=form.trait,
        score=STANDARD,
        components=components,
        bounds=(MOST_SCORE, form.bounds[-1]),
        group=STRATUM,
        groups=len(trained.groups),
        binary=trained.request.binary,
    )
    return Adding(cohorts, protection_of(trained)).run(analysis)
