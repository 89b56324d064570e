"""What steps of risk models for several ancestries ask for over drawn people.

Each function is named after its analysis; those of all other steps are in `study_parameters`.
"""

from collections.abc import Mapping

from equipoise.plan import Parameter, Ref
from equipoise.solvers.risk_stages import most_first
from laws.derived_columns import AXES
from laws.study_parameters import sizes
from strategies import BOUNDS, COVARIATES, Rows

# A trait that is no yes and no: it varies in however few people.
_RISK_COLUMNS: Mapping[str, Parameter] = {
    "trait": "age",
    "covariates": ("sex",),
    "bounds": (16.0, 16.0),
    "stratum": "half",
}


def moments(rows: Rows) -> Mapping[str, Parameter]:
    # One stratum's linkage is borrowed; two blocks, so that they do not divide the variants.
    return {
        **sizes(rows),
        "starts": (0, (rows.n_variants + 1) // 2, rows.n_variants),
        "trait": "trait",
        "covariates": COVARIATES,
        "bounds": (*(4 * bound for bound in BOUNDS), 4.0),
        "counted": (60, 60, 10),
        "frequencies": Ref("frequency"),
        "stratum": "stratum",
        "borrowed": (2,),
    }


def risk_moments(rows: Rows) -> Mapping[str, Parameter]:
    # One part of four trains; linkage of its own in every stratum.
    own = {k: v for k, v in moments(rows).items() if k != "borrowed"}
    return {
        **own,
        "folds": 1,
        "part": "part",
        "training": 3,
        "counted": (60, 60),
        **_RISK_COLUMNS,
    }


def risk_parts(rows: Rows) -> Mapping[str, Parameter]:
    del rows
    return {"tuning": 1, "test": 1, "name": "risk_part"}


def risk_singles(rows: Rows) -> dict[str, Parameter]:
    del rows
    return {"linkage": Ref("risk_moments.held"), "frequencies": Ref("frequency")}


def _sums(rows: Rows) -> dict[str, Parameter]:
    return {
        "people": rows.n,
        "strata": 2,
        "part": "part",
        "trait": "age",
        "covariates": ("sex",),
        "frequencies": Ref("frequency"),
        "columns": Ref("risk_moments"),
        "stratum": "half",
    }


def score_sums(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **_sums(rows),
        "candidates": most_first(2),
        "tuning": 3,
        "bounds": BOUNDS[:1],
        "weights": Ref("risk_singles"),
        "full": False,  # all products of so many scores take long; `tests/analyses` has them
    }


def risk_joint(rows: Rows) -> Mapping[str, Parameter]:
    return {**risk_singles(rows), "fits": Ref("risk_singles.held"), "totals": Ref("score_sums")}


def risk_stack(rows: Rows) -> Mapping[str, Parameter]:
    # Sums of other scores than those of the stack: of the same form, which is all a law sees.
    del rows
    return {
        "candidates": Ref("risk_joint"),
        "joint": Ref("risk_joint.held"),
        "totals": Ref("score_sums"),
        "frequencies": Ref("frequency"),
        "name": "risk",
        "stratum": "half",
    }


def residual_sums(rows: Rows) -> Mapping[str, Parameter]:
    return {
        **_sums(rows),
        "n_variants": rows.n_variants,
        "training": 3,
        "score": "score",
        "bounds": (16.0,),
    }


def risk_refined(rows: Rows) -> Mapping[str, Parameter]:
    del rows
    return {
        "linkage": Ref("risk_moments.held"),
        "columns": Ref("risk_moments"),
        "weights": Ref("risk_stack"),
        "residuals": Ref("residual_sums"),
    }


def risk_methods(rows: Rows) -> Mapping[str, Parameter]:
    del rows
    return {
        "fits": Ref("risk_singles.held"),
        "joint": Ref("risk_joint.held"),
        "totals": Ref("score_sums"),
        "once": Ref("risk_stack"),
        "ended": Ref("risk_stack"),
        "frequencies": Ref("frequency"),
        "people": Ref("risk_moments"),
    }


def absolute_risk(rows: Rows) -> Mapping[str, Parameter]:
    # Groups of which some are fitted whole, some by an intercept, and some not at all.
    return {
        "people": rows.n,
        "trait": "trait",
        "score": "score",
        "covariates": ("age",),
        "bounds": (4.0, 4.0, 1.0),
        "group": "stratum",
        "groups": 3,
        "k": 2,
        "refit": 7,
    }


def score_adjustment(rows: Rows) -> Mapping[str, Parameter]:
    # A threshold at the mean, so that groups of some ten people are shown.
    return {
        "people": rows.n,
        "trait": "trait",
        "score": "score",
        "components": AXES[:2],
        "bounds": (4.0, 4.0),
        "group": "stratum",
        "groups": 3,
        "k": 3,
        "high": 0.0137,  # no value of a drawn score, so that no tie is on the limit
    }


FITS = {
    "risk_parts": risk_parts,
    "risk_singles": risk_singles,
    "risk_joint": risk_joint,
    "risk_stack": risk_stack,
    "risk_refined": risk_refined,
    "risk_methods": risk_methods,
}
"""Those with equal results, pooled or split, that refuse people in whom nothing varies."""
