"""A scan of a yes/no trait: the score test of every variant, and better tails where needed.

At one site the exact p value of rare variants, saddle-points for others far out, and Firth's
effects (`solvers.score`). Over several sites what is a sum over people: the score test and
the saddle-point (`analyses.binary_scan`, `analyses.binary_tails`); effects are the score
test's, S / V.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.binary_scan import BinaryScan, BinaryScores, NullLogistic
from equipoise.analyses.binary_tails import BinaryTails, Tails
from equipoise.analyses.frequency import Frequencies, Frequency
from equipoise.cohort import Cohort, Held, blocks_of
from equipoise.solvers.firth import Status
from equipoise.solvers.score import (
    FAR,
    Method,
    NullModel,
    binary_block,
    columns,
    doubtful,
    normal_log_p,
    null_logistic,
    score_test,
)
from equipoise.tools.adding import Adding
from equipoise.tools.design import Design
from equipoise.tools.linear import block_size

ROUNDS: Final = 30
"""Of Newton's method for the null model: it takes about 8."""

TAIL_ROUNDS: Final = 10
MOST_FLAGGED: Final = 4096
ALLELES_PER_ROUND: Final = 30
"""Under masks a variant's tail is asked for only with so many minor alleles for each round."""

AT_ONCE: Final = 64
"""Variants of which dosages are held at a time."""

FIRTH_BELOW: Final = 1e-3
"""p values below which the effect is Firth's."""

WITHHELD: Final = "tail_withheld"
_LN_10: Final = float(np.log(10.0))


@dataclass(frozen=True, slots=True)
class Tested:
    """What a scan gives, each array (variants,); NaN where not estimable.

    method  score, saddle_point or exact; `firth` is appended where beta is Firth's
    status  ok, or why there is no effect or no p value
    """

    beta: NDArray[np.float64] = field(repr=False)
    standard_error: NDArray[np.float64] = field(repr=False)
    neg_log_10_p: NDArray[np.float64] = field(repr=False)
    method: NDArray[Any] = field(repr=False)
    status: NDArray[Any] = field(repr=False)
    called: NDArray[np.float64] = field(repr=False)
    alleles: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Model:
    """The null model and its columns, ready to be multiplied."""

    null: NullModel = field(repr=False)
    once: Held = field(repr=False)
    weight: Held = field(repr=False)


def at_one_site(
    cohort: Cohort,
    design: Design,
    executor: Executor | None,
    at: Callable[[int], None],
    *,
    firth: bool = False,
) -> Tested:
    """Return the scan of one trait, the first of the design, at one site.

    `firth` has Firth's effect of every variant, and not only of those with a small p.
    """
    cohort = replace(cohort, executor=executor)
    terms = np.column_stack([np.ones(cohort.n), *map(cohort.column, design.covariates)])
    null = null_logistic(terms, cohort.column(design.traits[0]))
    model = _Model(null, cohort.held(columns(null)), cohort.held(null.weight[:, None]))
    bounds = blocks_of(cohort.genotypes.n_variants, block_size(cohort.genotypes.n_samples))

    def work(start: int, stop: int) -> Tested:
        return _tested(cohort, model, start, stop, firth=firth)

    parts: list[Tested] = []
    for (_, stop), part in zip(bounds, cohort.map_blocks(work, bounds), strict=True):
        parts.append(part)
        at(stop)
    names = [f.name for f in fields(Tested)]
    return Tested(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _tested(cohort: Cohort, model: _Model, start: int, stop: int, *, firth: bool) -> Tested:
    null = model.null
    called, alleles, once, square = _sums(cohort, model, start, stop)
    score, variance = score_test(once[:, 0], square, once[:, 1:], null.inverse)
    known = variance > 0
    safe = np.where(known, variance, 1.0)
    z = np.where(known, score / np.sqrt(safe), np.nan)
    mac = np.minimum(alleles, 2 * called - alleles)
    p = 0.0 - normal_log_p(z) / _LN_10
    beta, error = np.where(known, score / safe, np.nan), np.where(known, 1 / np.sqrt(safe), np.nan)
    method = np.where(known, "score", ".").astype(object)
    status = np.where(known, "ok", _why(called, mac)).astype(object)
    again = np.flatnonzero(known if firth else doubtful(z, mac, null.case_share))
    for first in range(0, len(again), AT_ONCE):
        chosen = again[first : first + AT_ONCE]
        found = binary_block(
            cohort.dosage_at(start + chosen), null, firth_below=1.1 if firth else FIRTH_BELOW
        )
        beta[chosen], error[chosen] = found.beta, found.standard_error
        p[chosen] = found.neg_log_10_p
        fitted = np.where(found.beta_method == Method.FIRTH, "_firth", "")
        words = np.array([_METHODS[Method(m)] for m in found.method], object)
        method[chosen] = words + fitted.astype(object)
        status[chosen] = np.array([Status(s).name.lower() for s in found.status], object)
    return Tested(beta, error, p, method, status, called, alleles)


_METHODS: Final = {
    Method.NONE: ".",
    Method.SCORE: "score",
    Method.SADDLE_POINT: "saddle_point",
    Method.EXACT: "exact",
    Method.FIRTH: "firth",
}


def _sums(cohort: Cohort, model: _Model, start: int, stop: int) -> tuple[NDArray[np.float64], ...]:
    """Return people called, alleles, and the sums of g and of g^2 with the model's columns.

    A missing call is the mean of those called, as SAIGE and regenie have it.
    """
    if cohort.with_dosages:
        dosage = cohort.dosage(start, stop)
        gone = np.isnan(dosage)
        called = np.count_nonzero(~gone, axis=1).astype(np.float64)
        alleles = np.nansum(dosage, axis=1)
        g = np.where(gone, (alleles / np.maximum(called, 1))[:, None], dosage)
        return called, alleles, g @ model.once.values, ((g * g) @ model.weight.values)[:, 0]
    twice, single, none, missing = cohort.counts(start, stop).T.astype(np.float64)
    called, alleles = twice + single + none, 2 * twice + single
    once = cohort.products(start, stop, model.once)
    square = cohort.products(start, stop, model.weight, "square")[:, 0]
    if missing.any():
        mean = alleles / np.maximum(called, 1)
        absent = cohort.not_called(start, stop, model.once)
        # The second of these columns is the weight: that of the constant.
        once, square = once + mean[:, None] * absent, square + mean**2 * absent[:, 1]
    return called, alleles, once, square


def _why(called: NDArray[np.float64], mac: NDArray[np.float64]) -> NDArray[Any]:
    """Return why a variant without variance has none."""
    return np.select([called < 1, mac <= 0], ["not_called", "monomorphic"], "collinear")


def over_sites(
    cohorts: tuple[Cohort, ...], design: Design, protection: str, executor: Executor | None
) -> Tested:
    """Return the scan of one trait over several sites.

    Under masks, a variant far out and with too few minor alleles has no p value: its normal
    one would be wrong, and its tail would tell of single carriers.
    """
    cohorts = tuple(replace(cohort, executor=executor) for cohort in cohorts)
    people, n_variants = sum(c.n for c in cohorts), cohorts[0].genotypes.n_variants
    size = block_size(max(cohort.genotypes.n_samples for cohort in cohorts))
    trait, bounds = design.traits[0], design.bounds[: len(design.covariates)]
    adding = Adding(cohorts, protection)
    counted = adding.run(Frequency(people, n_variants, 0, 1, size))
    null = NullLogistic(people, ROUNDS, trait, design.covariates, bounds)
    fit = adding.run(null)
    adding = replace(adding, cohorts=[c.with_columns(null.derive(c, fit)) for c in cohorts])
    scan = BinaryScan(people, n_variants, trait, design.covariates, bounds, counted, (), size)
    scores = adding.run(scan)
    least = ALLELES_PER_ROUND * TAIL_ROUNDS if protection != "clear" else 0
    tails = _tails(adding, design, counted, scores, least)
    return _with_tails(counted, scores, tails)


def _tails(
    adding: Adding, design: Design, counted: Frequencies, scores: BinaryScores, least: int
) -> list[Tails]:
    """Return the tails of all that are far out, a few thousand at a time."""
    left, found = scores, list[Tails]()
    while True:
        asked = BinaryTails(
            scores.people, TAIL_ROUNDS, MOST_FLAGGED, least, design.covariates, counted, left
        )
        tails = adding.run(asked)
        chosen = tails.chosen[tails.chosen >= 0]
        found.append(tails)
        if len(chosen) < MOST_FLAGGED:
            return found
        score = left.score.copy()
        score[chosen] = 0.0
        left = replace(left, score=score)


def _with_tails(counted: Frequencies, scores: BinaryScores, tails: list[Tails]) -> Tested:
    p, z, known = scores.neg_log_10_p(), scores.z(), scores.estimable
    called, alleles = counted.called.astype(np.float64), counted.alleles.astype(np.float64)
    mac = np.minimum(alleles, 2 * called - alleles)
    method = np.where(known, "score", ".").astype(object)
    status = np.where(known, "ok", _why(called, mac)).astype(object)
    far = known & (np.abs(z) > FAR)
    status[far], p[far] = WITHHELD, np.nan
    for part in tails:
        settled = part.settled > 0
        chosen = part.chosen[settled]
        p[chosen], method[chosen], status[chosen] = part.neg_log_10_p[settled], "saddle_point", "ok"
        lost = part.chosen[~settled & (part.chosen >= 0)]
        status[lost] = "not_converged"
    return Tested(scores.beta(), scores.standard_error(), p, method, status, called, alleles)
