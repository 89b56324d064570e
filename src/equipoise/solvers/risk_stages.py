"""The stages of a risk model for several ancestries, each a function of sums.

    first       strata alone, the pool of all, clumped scores            from moments
    liked       what each group's tuning people like best                from sums of scores
    second      joint fits beside the best single and pooled ones        from moments
    chosen      each group's stack, or its own best candidate            from sums of scores

Between them sites make the scores of public weights and sum them (`stack.StackMoments`). The
groups are the strata: each is fitted on its training people and tuned on others.

The stages can be gone through again on `block_correlations.refined` moments, which cost one
column more: with each group's score as the public one, blocks are fitted to what the others
leave of the trait. `prior` then brings the earlier single-ancestry scores into the stack, so that
no group falls behind them.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import reduce
from operator import add

from equipoise.solvers.block_correlations import BlockCorrelations, pooled
from equipoise.solvers.risk_paths import (
    COUPLINGS,
    L1_STEPS,
    L2,
    MULTIPLES,
    Path,
    Setting,
    joint_path,
    near_path,
    single_path,
)
from equipoise.solvers.sparse_weights import SparseWeights, beside
from equipoise.solvers.stack import GroupStack, StackMoments, best, stack
from equipoise.solvers.thresholding import P_VALUES, thresholded

Strata = Mapping[str, BlockCorrelations]
Totals = Mapping[str, StackMoments]
Folds = Mapping[str, Sequence[StackMoments]]


@dataclass(frozen=True, slots=True)
class First:
    """Candidates that need one stratum or the pool alone.

    weights  of all of them, by place
    single   for each stratum the places of its path
    pooled   the places of the path of all strata as one
    clumped  the places of clumped scores of any stratum
    paths    of each stratum
    shared   the path of the pool
    """

    weights: SparseWeights
    single: dict[str, range]
    pooled: range
    clumped: range
    paths: dict[str, Path]
    shared: Path


@dataclass(frozen=True, slots=True)
class Liked:
    """Places of the candidates that each group's tuning people like best.

    settings  of each group's single one
    shared    of each group's pooled one
    """

    single: dict[str, int]
    pooled: dict[str, int]
    clumped: dict[str, int]
    settings: dict[str, Setting]
    shared: dict[str, Setting]


@dataclass(frozen=True, slots=True)
class Second:
    """Candidates of the stack.

    weights  of all of them, by place: joint ones, then single ones, pooled ones, prior ones
    own      for each group the places of those fitted in it alone
    joint    the path, whose point p and stratum a lie at p * strata + a
    """

    weights: SparseWeights
    own: dict[str, tuple[int, ...]]
    joint: Path


def most_first(strata: int) -> int:
    """Return how many candidates `first` makes of so many strata, at most."""
    return (strata + 1) * len(L2) * L1_STEPS + strata * len(P_VALUES)


def most_second(strata: int) -> int:
    """Return how many candidates `second` makes of so many strata, at most."""
    return strata * (len(MULTIPLES) * len(COUPLINGS) + 3)


def first(strata: Strata, executor: Executor | None = None, before: Liked | None = None) -> First:
    """Return the candidates that need one stratum, or the pool.

    before  what was liked the first time: paths then stay near it
    """
    together = pooled(list(strata.values()))
    if before is None:
        paths = {name: single_path(name, held, executor) for name, held in strata.items()}
        shared = single_path("all", together, executor)
    else:
        paths = {
            name: near_path(name, held, [before.settings[name]], executor)
            for name, held in strata.items()
        }
        shared = near_path("all", together, list(before.shared.values()), executor)
    clumps = [thresholded(name, held) for name, held in strata.items()]
    places: dict[str, range] = {}
    start = 0
    for name, path in paths.items():
        places[name] = range(start, start + len(path.weights.labels))
        start = places[name].stop
    middle = start + len(shared.weights.labels)
    weights = beside([*(path.weights for path in paths.values()), shared.weights, *clumps])
    return First(
        weights, places, range(start, middle), range(middle, len(weights.labels)), paths, shared
    )


def liked(candidates: First, totals: Totals) -> Liked:
    """Return what each group's tuning people like best, by R^2 over all of them."""
    single = {name: best(totals[name], places) for name, places in candidates.single.items()}
    shared = {name: best(totals[name], candidates.pooled) for name in single}
    return Liked(
        single,
        shared,
        {name: best(totals[name], candidates.clumped) for name in single},
        {
            name: candidates.paths[name].setting(place - candidates.single[name].start)
            for name, place in single.items()
        },
        {
            name: candidates.shared.setting(place - candidates.pooled.start)
            for name, place in shared.items()
        },
    )


def second(
    strata: Strata,
    candidates: First,
    choice: Liked,
    executor: Executor | None = None,
    prior: SparseWeights | None = None,
) -> Second:
    """Return the candidates of the stack.

    prior  earlier single-ancestry scores, one for each stratum in their order
    """
    joint = joint_path(strata, choice.settings, executor)
    single = singles(candidates, choice)
    shared = candidates.weights.chosen(sorted(set(choice.pooled.values())))
    sets = [joint.weights, single, shared, *([prior] if prior else [])]
    own: dict[str, tuple[int, ...]] = {}
    last = sum(len(held.labels) for held in sets[:3])
    for a, name in enumerate(strata):
        places = (len(joint.weights.labels) + a, last + a)
        own[name] = places if prior else places[:1]
    return Second(beside(sets), own, joint)


def singles(candidates: First, choice: Liked) -> SparseWeights:
    """Return the best single-ancestry score of each stratum, in their order."""
    return candidates.weights.chosen(list(choice.single.values()))


def chosen(candidates: Second, folds: Folds) -> dict[str, GroupStack]:
    """Return what each group ends with; `folds` are its tuning people's sums by fold."""
    return {name: stack(folds[name], own) for name, own in candidates.own.items()}


def total(folds: Folds) -> dict[str, StackMoments]:
    """Return each group's sums over all folds."""
    return {name: reduce(add, parts) for name, parts in folds.items()}
