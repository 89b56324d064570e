"""The genome scan of a study under noise, and what its noise comes to."""

from typing import Any

import numpy as np

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.scan import ScanTotals
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.errors import InputError
from equipoise.federation import agreement, costs, noised
from equipoise.federation.run import Run
from equipoise.genotypes.variants import Variants
from equipoise.solvers.noised_regression import added_variance
from equipoise.solvers.regression import Effects, Moments, Status
from equipoise.study.sections.association import MEDIAN_CHI2, neg_log_10_p, top
from equipoise.study.sections.numbers import digits


def is_noised(run: Run) -> bool:
    """Return whether totals of a run had noise."""
    return run.plan.protection == "noise"


def table_of(variants: Variants, run: Run) -> Statistics:
    """Return the scan, one row a variant; standard errors count the noise with the sampling.

    InputError where the noise leaves covariates that cannot be told apart.
    """
    counts: Frequencies = run.results["frequency"]
    effects, error = _effects(run)
    beta, used = effects.beta[:, 0], counts.used
    fine = used & (effects.status[:, 0] == Status.OK) & np.isfinite(error)
    beta, error = np.where(fine, beta, np.nan), np.where(fine, error, np.nan)
    dof = max(int(effects.dof[0]), 1)
    return Statistics(
        chromosome=variants.chromosome,
        base_pair_location=variants.position,
        effect_allele=variants.effect_allele,
        other_allele=variants.other_allele,
        beta=beta,
        standard_error=error,
        effect_allele_frequency=np.where(used, counts.frequency, np.nan),
        neg_log_10_p_value=neg_log_10_p(beta / error, dof),
        n=np.full(len(beta), run.plan.people, np.int64),
        status=np.where(used, np.where(fine, "ok", "collinear"), "withheld"),
    )


def _effects(run: Run) -> tuple[Effects, Any]:
    found: ScanTotals = run.results["association"]
    moments = Moments(found.cc, found.cy, found.yy)
    sd = _deviations(run)["association"]
    try:
        effects = found.effects()
        noise = added_variance(moments, found.cg, found.gy, found.gg, sd)
    except ValueError as error:
        raise InputError(
            "under this much noise the covariates cannot be told apart; agree on a greater"
            " `epsilon`, scan fewer variants, or have more people take part"
        ) from error
    return effects, np.sqrt(effects.standard_error[:, 0] ** 2 + noise[:, 0])


def _deviations(run: Run) -> dict[str, dict[str, float]]:
    account = agreement.account(run.plan)
    return noised.deviations(run.plan, account.prices) if account else {}


def association(run: Run, table: Statistics) -> dict[str, Any]:
    """Return the section `association` of a noised scan, in the form of the exact one."""
    squared = (table.beta / table.standard_error) ** 2
    known = squared[~np.isnan(squared)]
    return {
        "tested": len(known),
        "withheld": int(np.count_nonzero(table.status == "withheld")),
        "failed_hardy_weinberg": None,
        "covariates": list(run.plan.step("association").parameters["covariates"]),  # pyright: ignore
        "left_out": [],
        "lambda_gc": digits(np.median(known) / MEDIAN_CHI2) if len(known) else None,
        "top": top(table),
    }


def privacy(run: Run) -> dict[str, Any] | None:
    """Return what the noise of a run is: budget, what was spent, and deviations by step."""
    told = costs.told(run.plan)
    if told is None:
        return None
    steps = {
        name: {
            "epsilon_so_far": digits(own["epsilon_so_far"]),
            "standard_deviation_of_noise": {
                field: digits(sd) for field, sd in own["standard_deviation_of_noise"].items()
            },
        }
        for name, own in told["steps"].items()
    }
    return {**told, "steps": steps}
