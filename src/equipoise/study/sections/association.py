"""The genome scan: its table, and its strongest variants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.hardy import HardyWeinberg
from equipoise.analyses.linear import Association
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.federation.run import Run
from equipoise.genotypes.variants import Variants
from equipoise.solvers.student import student_log_tail
from equipoise.study.sections.numbers import digits

TOP = 20
NAMES = ("chromosome", "base_pair_location", "effect_allele", "other_allele")

MEDIAN_CHI2 = 0.454936423119573
"""Median of chi-square with one degree of freedom."""


def table_of(variants: Variants, run: Run) -> Statistics:
    """Return the scan of everybody, one row a variant of the public list."""
    found: Association = run.results["association"]
    counts: Frequencies = run.results["frequency"]
    hardy: HardyWeinberg = run.results["quality"]
    beta, used = found.beta(0), counts.used
    status = np.where(np.isnan(beta), "collinear", "ok")
    status = np.where(hardy.failed, "hardy_weinberg", status)
    return Statistics(
        chromosome=variants.chromosome,
        base_pair_location=variants.position,
        effect_allele=variants.effect_allele,
        other_allele=variants.other_allele,
        beta=beta,
        standard_error=found.standard_error(0),
        effect_allele_frequency=np.where(used, counts.frequency, np.nan),
        neg_log_10_p_value=neg_log_10_p(found.t(0), found.dof(0)),
        n=np.full(len(beta), int(found.people[0]), np.int64),
        status=np.where(used, status, "withheld"),
    )


def neg_log_10_p(t: NDArray[np.float64], dof: int) -> NDArray[np.float64]:
    """Return -log10 of the two-sided p of a t statistic, right where p itself is 0.

    >>> round(float(neg_log_10_p(np.array([1.959963984540054]), 10**9)[0]), 6)
    1.30103
    """
    return 0.0 - (student_log_tail(np.abs(t), dof) + np.log(2.0)) / np.log(10.0)


def association(run: Run, table: Statistics, left_out: list[str]) -> dict[str, Any]:
    """Return the section `association`; `left_out` are components that were dropped."""
    found: Association = run.results["association"]
    covariates = run.plan.step("association").parameters["covariates"]
    adjusted = [str(n) for n in covariates if n not in left_out]  # pyright: ignore
    squared = found.t(0) ** 2
    known = squared[~np.isnan(squared)]
    return {
        "tested": int(np.count_nonzero(~np.isnan(table.beta))),
        "withheld": int(np.count_nonzero(table.status == "withheld")),
        "failed_hardy_weinberg": int(np.count_nonzero(table.status == "hardy_weinberg")),
        "covariates": adjusted,
        "left_out": left_out,
        "lambda_gc": digits(np.median(known) / MEDIAN_CHI2) if len(known) else None,
        "top": top(table),
    }


def top(table: Statistics) -> list[dict[str, Any]]:
    """Return the strongest variants, the smallest p first."""
    p = np.nan_to_num(table.neg_log_10_p_value, nan=-1.0)
    order = np.argsort(-p, kind="stable")[:TOP]
    return [row(table, int(i)) for i in order if p[i] >= 0]


def place(table: Statistics, i: int) -> dict[str, Any]:
    """Return where a variant is and what its alleles are."""
    return {
        "chromosome": str(table.chromosome[i]),
        "base_pair_location": int(table.base_pair_location[i]),
        "effect_allele": str(table.effect_allele[i]),
        "other_allele": str(table.other_allele[i]),
    }


def row(table: Statistics, i: int) -> dict[str, Any]:
    """Return one row of the table."""
    numbers = ("beta", "standard_error", "effect_allele_frequency", "neg_log_10_p_value")
    ends = {name: digits(getattr(table, name)[i]) for name in numbers}
    return {**place(table, i), **ends, "status": str(table.status[i])}
