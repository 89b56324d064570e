"""What steps of a study ask for over drawn people; each function is named after its analysis.

Those of risk models for several ancestries are in `risk_parameters`.
"""

from collections.abc import Mapping

from equipoise.plan import Parameter, Ref
from laws.derived_columns import AXES
from strategies import BOUNDS, COVARIATES, FOLDS, Rows

PENALTIES = (0.3013, 0.2, 0.1013, 1.0)


def sizes(rows: Rows) -> dict[str, Parameter]:
    return {"people": rows.n, "folds": FOLDS}


def census(rows: Rows) -> Mapping[str, Parameter]:
    return {**sizes(rows), "least": 0, "k": 0, "trait": "trait"}


def frequency(rows: Rows) -> Mapping[str, Parameter]:
    # Blocks that do not divide the variants; a floor that withholds some rare ones, and a call
    # rate that few variants miss even where three calls in ten are missing.
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "floor": 3,
        "least_called": least_called(rows),
        "block_size": 5,
    }


def least_called(rows: Rows) -> int:
    """Return how many people must have a call: half of them, rounded up."""
    return -(-rows.n // 2)


def linear(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **sizes(rows),
        "n_variants": rows.n_variants,
        "trait": "trait",
        "covariates": COVARIATES,
        "bounds": BOUNDS,
        "frequencies": Ref("frequency"),
        "block_size": 5,
    }


def scan(rows: Rows) -> Mapping[str, Parameter]:
    # A value beyond its bound is refused; laws make values up to three times as large.
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "traits": ("trait",),
        "covariates": COVARIATES,
        "bounds": (*(4 * bound for bound in BOUNDS), 4.0),
        "frequencies": Ref("frequency"),
        "block_size": 5,
    }


def ld_blocks(rows: Rows) -> Mapping[str, Parameter]:
    # Two chromosomes, the second of one variant; blocks of fewer variants than a window reaches.
    return {
        "people": rows.n,
        "segments": (0, rows.n_variants - 1, rows.n_variants),
        "window": 3,
        "most": 2,
        "counted": (60, 60, 60),
        "frequencies": Ref("frequency"),
        "stratum": "stratum",
        "least_r2": 0.0537,  # no ratio of small whole numbers, so that no tie is on the limit
    }


def elastic_net(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **sizes(rows),
        "trait": "trait",
        "windows": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "columns": 4,
        "counted": 1.0,
        "threshold": 1.0137,  # no t of small whole numbers, so that no tie is on the limit
        "penalties": PENALTIES,
        "covariates": COVARIATES,
        "bounds": BOUNDS,
        "background": COVARIATES[1:],
        "census": Ref("census"),
        "frequencies": Ref("frequency"),
        "quality": Ref("hardy"),
        "association": Ref("linear"),
    }


def _scored(rows: Rows) -> dict[str, Parameter]:
    refs: dict[str, Parameter] = {"frequencies": Ref("frequency"), "nets": Ref("elastic_net")}
    return {**sizes(rows), "trait": "trait", "covariates": COVARIATES, **refs}


def tuning(rows: Rows) -> Mapping[str, Parameter]:
    return {**_scored(rows), "penalties": len(PENALTIES) // 2}


def calibration(rows: Rows) -> Mapping[str, Parameter]:
    explained: dict[str, Parameter] = {"background": COVARIATES[1:], "tiles": (1, 9), "loci": 2}
    return {**_scored(rows), **explained, "rounds": 12, "tuned": Ref("tuning")}


def relevance(rows: Rows) -> Mapping[str, Parameter]:
    sizes: dict[str, Parameter] = {"people": rows.n, "k": 5, "loci": 2, "tiles": (1, 9)}
    return {**sizes, "nets": Ref("elastic_net")}


def _audited(rows: Rows) -> dict[str, Parameter]:
    # A floor that some drawn cohorts miss in one sex: then no sums are asked by sex.
    sizes: dict[str, Parameter] = {"people": rows.n, "k": 2, "floor": 4}
    return {
        **sizes,
        "trait": "trait",
        "score": "score",
        "groups": ("sex",),
        "rank": "age",
        "span": 3.0,
    }


def performance(rows: Rows) -> Mapping[str, Parameter]:
    return {**_audited(rows), "bins": 6}


def recalibration(rows: Rows) -> Mapping[str, Parameter]:
    return {**_audited(rows), "tables": 3, "performance": Ref("performance")}


def pruning(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "windows": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "columns": 3,
        "frequencies": Ref("frequency"),
        "r2": 0.2137,  # no ratio of small whole numbers, so that no tie is on the limit
    }


def components(rows: Rows) -> Mapping[str, Parameter]:
    # One round in as many columns as there are dimensions: all that can be known.
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "k": 2,
        "width": 6,
        "rounds": 1,
        "size": 6,
        "frequencies": Ref("frequency"),
        "pruned": Ref("pruning"),
        "seed": 5,
    }


def strata(rows: Rows) -> Mapping[str, Parameter]:
    sizes: dict[str, Parameter] = {"people": rows.n, "trait": "trait", "components": AXES}
    return {**sizes, "least": 4, "rounds": 8}


def hardy(rows: Rows) -> Mapping[str, Parameter]:
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "strata": 3,
        "trait": "trait",
        "stratum": "stratum",
        "frequencies": Ref("frequency"),
        "least": 6,
        "block_size": 5,
    }


def ancestry_map(rows: Rows) -> Mapping[str, Parameter]:
    return {"people": rows.n, "bins": 5, "components": AXES[:2], "k": 2, "least": 10}


def gene_network(rows: Rows) -> Mapping[str, Parameter]:
    # Two genes that share a variant; some parts have nobody.
    middle = (rows.n_variants + 1) // 2
    return {
        "people": rows.n,
        "n_variants": rows.n_variants,
        "rounds": 10,
        "starts": (0, middle - 1),
        "stops": (middle, rows.n_variants),
        **dict.fromkeys(("width", "attention", "hidden"), 4),
        **{name: name for name in ("trait", "score", "part", "weight")},
        "covariates": COVARIATES,
        "bounds": (*BOUNDS, 1.0),
        "seed": 5,
        "frequencies": Ref("frequency"),
        "clip": 1.0,
        "group": "stratum",
        "groups": 3,
        "least": 0,
    }
