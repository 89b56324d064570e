"""A small cohort with a modelled trait, taken through every step up to its explanation."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from equipoise.analyses.calibration import Calibrated, Calibration
from equipoise.analyses.census import Census, People
from equipoise.analyses.elastic import ElasticNet
from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.analyses.hardy import Hardy, HardyWeinberg
from equipoise.analyses.linear import Association, LinearScan
from equipoise.analyses.nets import Nets
from equipoise.analyses.relevance import Relevance, RelevanceTotals
from equipoise.analyses.tuned import Tuned
from equipoise.analyses.tuning import Tuning
from laws import harness
from strategies import FOLDS, Rows, make_rows

COVARIATES, BOUNDS, BACKGROUND = ("sex", "PC1"), (1.0, 20.0), ("PC1",)
PENALTIES = (0.3, 0.2, 0.1, 0.2, 0.05, 1.0)
KINDS = ("common", "linked", "linked", "common", "rare", "common", "linked", "common")
WINDOWS = (0, 3, 6, 8)
TILES = (1, 2, 9)
LOCI = 4


@dataclass(frozen=True)
class Modelled:
    """Rows with every derived column, and all that was published on the way."""

    rows: Rows
    census: People
    frequencies: Frequencies
    quality: HardyWeinberg
    association: Association
    nets: Nets
    tuned: Tuned
    calibrated: Calibrated
    relevance: RelevanceTotals
    elastic_net: ElasticNet
    tuning: Tuning
    calibration: Calibration
    summing: Relevance


@cache
def modelled(seed: int = 3, n: int = 240, effect: float = 2.5) -> Modelled:
    rows = with_component(make_rows(seed, n, KINDS, effect=effect))
    people = {"people": rows.n, "folds": FOLDS}
    census = run(Census(rows.n, FOLDS, 0, 0, "trait"), rows)
    frequencies = run(Frequency(rows.n, rows.n_variants, 4, rows.n // 2), rows)
    quality = run(Hardy(rows.n, rows.n_variants, 1, "trait", "", frequencies), rows)
    scan = LinearScan(
        **people,
        n_variants=rows.n_variants,
        trait="trait",
        covariates=COVARIATES,
        bounds=BOUNDS,
        frequencies=frequencies,
    )
    association = run(scan, rows)
    elastic = ElasticNet(
        **people,
        trait="trait",
        windows=WINDOWS,
        columns=4,
        counted=1.0,
        threshold=2.0,
        penalties=PENALTIES,
        covariates=COVARIATES,
        bounds=BOUNDS,
        background=BACKGROUND,
        census=census,
        frequencies=frequencies,
        quality=quality,
        association=association,
    )
    nets = run(elastic, rows)
    rows = rows.with_columns(elastic.derive(rows.cohort(), nets))
    common = {"trait": "trait", "covariates": COVARIATES, "frequencies": frequencies}
    tuning = Tuning(**people, **common, penalties=len(PENALTIES) // 2, nets=nets)
    tuned = run(tuning, rows)
    calibration = Calibration(
        **people,
        **common,
        rounds=12,
        background=BACKGROUND,
        tiles=TILES,
        loci=LOCI,
        nets=nets,
        tuned=tuned,
    )
    calibrated = run(calibration, rows)
    rows = rows.with_columns(calibration.derive(rows.cohort(), calibrated))
    summing = Relevance(people=rows.n, k=5, loci=LOCI, tiles=TILES, nets=nets)
    relevance = run(summing, rows)
    published = (census, frequencies, quality, association, nets, tuned, calibrated, relevance)
    return Modelled(rows, *published, elastic, tuning, calibration, summing)


def with_component(rows: Rows) -> Rows:
    """Return the rows with a component of ancestry that follows some of the genotypes."""
    draw = np.random.default_rng(rows.n)
    leaning = np.nan_to_num(rows.dosage[-2:], nan=0.8).sum(axis=0) + draw.normal(size=rows.n)
    return rows.with_column("PC1", (leaning - leaning.mean()) / leaning.std())


def run(analysis, rows: Rows):
    return harness.run(analysis, [rows.cohort()], "clear", rounds=16).result


def imputed(found: Modelled) -> np.ndarray:
    """Return dosages, (variants, people), missing ones as 2p."""
    mean = 2 * found.frequencies.frequency[:, None]
    return np.where(np.isnan(found.rows.dosage), mean, found.rows.dosage)


def terms(rows: Rows) -> np.ndarray:
    return np.column_stack([np.ones(rows.n), *(rows.columns[name] for name in COVARIATES)])


def left(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return what least squares on the columns of x leaves of y, column by column."""
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
