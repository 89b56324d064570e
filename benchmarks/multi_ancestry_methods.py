"""Risk models of several ancestries by method, each scored in the test people of each group.

All see sums alone: moments of the training people of each group by LD block, and sums over the
tuning people's scores in five folds; "once" is before the blocks are refined.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from simulated import GROUPS, Study

from equipoise.solvers.block_correlations import (
    BlockCorrelations,
    Residuals,
    correlations,
    refined,
)
from equipoise.solvers.block_moments import BlockMoments
from equipoise.solvers.risk_baselines import baselines
from equipoise.solvers.risk_stages import (
    First,
    Liked,
    Second,
    chosen,
    first,
    liked,
    second,
    singles,
    total,
)
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.solvers.stack import GroupStack, StackMoments, stack_moments

REFERENCE = "EUR"
FOLDS = 5
METHODS = {
    "reference": f"{REFERENCE} only",
    "own": "own ancestry only",
    "clumped": "clumping and thresholding",
    "pooled": "one shared model, pooled sums",
    "weighted": "weighted stack of single best",
    "weighted refined": "weighted stack of refined singles",
    "joint": "joint elastic net, best point",
    "stacked once": "joint elastic net and stack, once",
    "stacked": "joint elastic net and stack",
    "adelie": "adelie, pooled people",
    "truth": "truth (genetic value)",
}

Array = NDArray[np.float64]


def moments(study: Study, rows: slice) -> BlockMoments:
    """Return the sums over some people; exact in double precision, as dosages are whole."""
    dosage = study.dosage[rows]
    trait = study.trait[rows]
    ones = np.ones((len(trait), 1))
    gram, with_trait = [], []
    for a, b in zip(study.starts[:-1], study.starts[1:], strict=True):
        part = dosage[:, a:b].astype(np.float32)
        # Sums of products of 0, 1, 2 over 20,000 people stay below 2^24.
        gram.append((part.T @ part).astype(np.float64))
        with_trait.append(part.T.astype(np.float64) @ trait)
    return BlockMoments(
        float(len(trait)),
        np.array([trait.sum(), trait @ trait]),
        ones.T @ ones,
        ones.T @ trait,
        dosage.sum(axis=0, dtype=np.float64)[:, None],
        np.concatenate(with_trait),
        tuple(gram),
        study.starts,
    )


def scores(study: Study, rows: slice, weights: SparseWeights) -> Array:
    """Return the scores of all candidates, (people, candidates), as a site makes them."""
    found = np.zeros((rows.stop - rows.start, len(weights.labels)))
    for a, b in zip(study.starts[:-1].tolist(), study.starts[1:].tolist(), strict=True):
        part = study.dosage[rows, a:b].astype(np.float32)
        found += part @ weights.dense(a, b).astype(np.float32)
    return found


def tuned(study: Study, weights: SparseWeights) -> dict[str, list[StackMoments]]:
    """Return the sums over each group's tuning people, in folds."""
    folds: dict[str, list[StackMoments]] = {}
    for group in GROUPS:
        rows = study.rows[group, "tuning"]
        made = scores(study, rows, weights)
        trait = study.trait[rows]
        fold = np.arange(len(trait)) % FOLDS
        folds[group] = [
            stack_moments(made[fold == k], np.ones((int((fold == k).sum()), 1)), trait[fold == k])
            for k in range(FOLDS)
        ]
    return folds


def residuals(study: Study, rows: slice, weights: Array) -> Residuals:
    """Return the sums of what a score leaves of the trait, as a site makes them."""
    left = study.trait[rows] - scored(study, rows, weights)
    parts = zip(study.starts[:-1].tolist(), study.starts[1:].tolist(), strict=True)
    sums = [study.dosage[rows, a:b].T.astype(np.float64) @ left for a, b in parts]
    return Residuals(np.array([left.sum()]), np.concatenate(sums))


def r2(score: Array, trait: Array) -> float:
    return float(np.corrcoef(score, trait)[0, 1] ** 2) if score.std() > 0 else 0.0


def scored(study: Study, rows: slice, weights: Array) -> Array:
    """Return the scores of one set of weights, (people,)."""
    found = np.zeros(rows.stop - rows.start)
    for a, b in zip(study.starts[:-1].tolist(), study.starts[1:].tolist(), strict=True):
        found += study.dosage[rows, a:b].astype(np.float64) @ weights[a:b]
    return found


def tested(study: Study, group: str, weights: Array) -> float:
    rows = study.rows[group, "test"]
    return r2(scored(study, rows, weights), study.trait[rows])


@dataclass
class Round:
    """Once through the stages: candidates, what was liked, and each group's weights."""

    alone: First
    choice: Liked
    singles: SparseWeights
    joint: Second
    folds: dict[str, list[StackMoments]]
    ends: dict[str, GroupStack]
    weights: dict[str, Array]


def gone_through(
    study: Study,
    strata: dict[str, BlockCorrelations],
    executor: ThreadPoolExecutor,
    before: "Round | None" = None,
) -> Round:
    prior = before.singles if before else None
    alone = first(strata, executor, before.choice if before else None)
    choice = liked(alone, total(tuned(study, alone.weights)))
    joint = second(strata, alone, choice, executor, prior)
    folds = tuned(study, joint.weights)
    ends = chosen(joint, folds)
    weights = {group: joint.weights.combined(ends[group].weights) for group in GROUPS}
    return Round(alone, choice, singles(alone, choice), joint, folds, ends, weights)


def fitted(
    study: Study, executor: ThreadPoolExecutor
) -> tuple[dict[str, dict[str, float]], dict[str, object]]:
    """Return R^2 by method and group, and what there is to say of the fit."""
    clock = [perf_counter()]
    sums = {g: moments(study, study.rows[g, "training"]) for g in GROUPS}
    strata = {g: correlations(held, np.float32) for g, held in sums.items()}
    clock.append(perf_counter())
    one = gone_through(study, strata, executor)
    clock.append(perf_counter())
    left = {g: residuals(study, study.rows[g, "training"], one.weights[g]) for g in GROUPS}
    again = {g: refined(strata[g], sums[g], left[g], one.weights[g]) for g in GROUPS}
    two = gone_through(study, again, executor, one)
    clock.append(perf_counter())
    found = {method: {} for method in METHODS if method != "adelie"}
    plain, again = (
        baselines(of.alone, of.choice, of.joint, of.folds, REFERENCE) for of in (one, two)
    )
    for i, group in enumerate(GROUPS):
        own = {"stacked once": one.weights[group], "stacked": two.weights[group]}
        for method, weights in {**methods(plain, again, i), **own}.items():
            found[method][group] = tested(study, group, weights)
        rows = study.rows[group, "test"]
        found["truth"][group] = r2(study.truth[rows], study.trait[rows])
    seconds = dict(zip(("moments", "first round", "refined"), np.diff(clock), strict=True))
    told = {"seconds": seconds, "groups": described(two), "fits": [ended(one), ended(two)]}
    return found, told


def methods(plain: SparseWeights, again: SparseWeights, i: int) -> dict[str, Array]:
    """Return the weights of the baselines for one group, before the blocks were refined and after."""
    names = ("reference", "own", "clumped", "pooled", "weighted", "joint")
    places = {name: m * len(GROUPS) + i for m, name in enumerate(names)}
    found = {name: plain.combined(_one(plain, place)) for name, place in places.items()}
    return {**found, "weighted refined": again.combined(_one(again, places["weighted"]))}


def described(of: Round) -> dict[str, object]:
    return {
        group: {
            "single": of.alone.weights.labels[of.choice.single[group]],
            "stacked": of.ends[group].stacked,
            "ridge": of.ends[group].ridge,
            "tuning_r2": of.ends[group].r2,
            "tuning_own_r2": of.ends[group].own_r2,
            "variants": int(np.count_nonzero(of.weights[group])),
        }
        for group in GROUPS
    }


def ended(of: Round) -> dict[str, object]:
    """Return how the paths of a round converged."""
    paths = [*of.alone.paths.values(), of.alone.shared, of.joint.joint]
    return {
        "points": sum(len(p.convergence.reached) for p in paths),
        "not_converged": sum(int((~p.convergence.reached).sum()) for p in paths),
        "most_sweeps": max(int(p.convergence.sweeps.max()) for p in paths),
        "worst_residual": max(float(p.convergence.residual.max()) for p in paths),
    }


def _one(weights: SparseWeights, place: int) -> Array:
    mixture = np.zeros(len(weights.labels))
    mixture[place] = 1.0
    return mixture
