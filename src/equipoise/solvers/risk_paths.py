"""Candidate scores of a risk model: single-ancestry and joint elastic nets over a grid.

Stage 1 fits each stratum alone over l1 and l2; the best of a stratum, by the tuning people, gives
the joint fit its l2 and the l1 that stage 2 multiplies (Zhang et al. 2024,
doi:10.1038/s41467-024-47357-7, Methods). Weights come back per copy of the effect allele.
Defaults were chosen on simulated people (benchmarks/simulated.py, seeds 101 to
103), not on those reported.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.block_correlations import BlockCorrelations
from equipoise.solvers.multi_ancestry import (
    MOST_SWEEPS,
    TOLERANCE,
    BlockPath,
    Penalties,
    fit,
    joint_blocks,
)
from equipoise.solvers.sparse_weights import SparseWeights, sparse

Array = NDArray[np.float64]

L2: Final = (0.0, 0.1, 1.0)
L1_STEPS: Final = 10
LEAST_L1: Final = 0.5
"""The least l1 of a path, in standard errors of a correlation, 1 / sqrt(n). Fits below it
take longest; with paths down to .3, and with an l2 of 10, test people's R^2 was no better."""

NEAR: Final = 2.0
"""How far about what was liked a path goes that is near it, up and down."""

PRECISION: Final = 0.01
"""Of the standard error of a correlation, 1 / sqrt(n): how near to the optimum a path's candidates
are, as r itself is off by a hundred times as much. By group, what is made of them has the R^2 of
what is made of candidates exact to 1e-5, to .0002 on average (seeds as above)."""

MULTIPLES: Final = (4.0, 2.0, 1.0, 0.5, 0.25)
"""Of the l1 that was best in each stratum alone, for the joint fit."""

COUPLINGS: Final = (0.05, 0.2, 0.8, 3.2, 12.8, 51.2)
"""In fourfold steps. Departure: PROSPER begins at .5, where distant ancestries liked less best."""

BY_PEOPLE: Final = 0.5
"""Departure: with PROSPER's 0 a small stratum pulls a large one as hard as the other way round."""


@dataclass(frozen=True, slots=True)
class Convergence:
    """How the points of a path ended, each over all blocks.

    sweeps    (points,) most of any block
    change    (points,) greatest in a last sweep
    residual  (points,) greatest distance from the conditions of an optimum
    reached   (points,) whether every block came within the tolerance
    """

    sweeps: NDArray[np.int64]
    change: Array
    residual: Array
    reached: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Setting:
    """The penalties of one stratum alone."""

    l1: float
    l2: float


@dataclass(frozen=True, slots=True)
class Path:
    """Candidates of one path: those of point p and stratum a at p * strata + a."""

    weights: SparseWeights
    penalties: Penalties
    convergence: Convergence

    def setting(self, point: int) -> Setting:
        """Return the penalties of the first stratum at a point."""
        at = self.penalties
        return Setting(float(at.l1[point, 0]), float(at.l2[point, 0]))


def enough(people: float) -> float:
    """Return a tolerance for candidates fitted in so many people, in units of a correlation.

    >>> enough(10_000), enough(1e9)
    (0.0001, 1e-05)
    """
    return float(max(TOLERANCE, PRECISION / np.sqrt(people)))


def single_path(
    name: str,
    stratum: BlockCorrelations,
    executor: Executor | None = None,
    *,
    l2: Sequence[float] = L2,
    steps: int = L1_STEPS,
    tolerance: float | None = None,
    most: int = MOST_SWEEPS,
) -> Path:
    """Return one stratum's candidates, for each l2 from the greatest l1 down.

    From the l1 that just leaves one weight to `LEAST_L1` standard errors, evenly in the log;
    each point begins with the weights of the one before. ValueError where no variant is usable.

    tolerance  by default `enough(people)`
    """
    top = float(np.abs(stratum.trait).max(initial=0.0))
    if not top > 0:
        raise ValueError(f"no variant of {name} varies with the trait; expected at least one")
    least = min(LEAST_L1 / np.sqrt(stratum.people), 0.5 * top)
    l1 = np.asarray(np.geomspace(0.95 * top, least, steps), np.float64)
    penalties = _falling(l1, l2)
    return path({name: stratum}, penalties, executor, tolerance=tolerance, most=most)


def near_path(
    name: str,
    stratum: BlockCorrelations,
    liked: Sequence[Setting],
    executor: Executor | None = None,
    *,
    tolerance: float | None = None,
    most: int = MOST_SWEEPS,
) -> Path:
    """Return one stratum's candidates near settings that were liked before.

    For each l2 liked, from `NEAR` times the greatest l1 liked to the least one over `NEAR`, in
    steps of a square root of 2 at most, or in `L1_STEPS` where that would take more.
    """
    each = [setting.l1 for setting in liked]
    top, least = NEAR * max(each), min(each) / NEAR
    steps = min(int(np.ceil(2 * np.log2(top / least) - 1e-9)) + 1, L1_STEPS)
    l1 = np.asarray(np.geomspace(top, least, steps), np.float64)
    penalties = _falling(l1, sorted({s.l2 for s in liked}))
    return path({name: stratum}, penalties, executor, tolerance=tolerance, most=most)


def _falling(l1: Array, l2: Sequence[float]) -> Penalties:
    """Return for each l2 the l1 in their order, each point begun with the one before."""
    points = np.arange(len(l1) * len(l2))
    return Penalties(
        np.tile(l1, len(l2))[:, None],
        np.repeat(np.array(l2, np.float64), len(l1))[:, None],
        np.zeros(len(points)),
        np.where(points % len(l1) == 0, -1, points - 1).astype(np.int64),
        np.ones(1),
    )


def joint_path(
    strata: Mapping[str, BlockCorrelations],
    best: Mapping[str, Setting],
    executor: Executor | None = None,
    *,
    multiples: Sequence[float] = MULTIPLES,
    couplings: Sequence[float] = COUPLINGS,
    by_people: float = BY_PEOPLE,
    allelic: bool = True,
    tolerance: float | None = None,
    most: int = MOST_SWEEPS,
) -> Path:
    """Return the joint candidates of all strata over multiples of l1 and couplings.

    best       each stratum's own best penalties
    by_people  strata weigh as their people to this power, the greatest 1; 0 as in PROSPER
    allelic    draw together effects per allele; PROSPER draws together standardised ones
    tolerance  by default `enough` for the stratum of most people
    """
    people = np.array([s.people for s in strata.values()])
    weights = (people / people.max()) ** by_people
    own = np.array([best[name].l1 for name in strata])
    l2 = np.array([best[name].l2 for name in strata])
    each = sorted(multiples, reverse=True)
    points = len(each) * len(couplings)
    first = np.arange(points) % len(each) == 0
    penalties = Penalties(
        np.tile(np.outer(each, own), (len(couplings), 1)),
        np.tile(l2, (points, 1)),
        np.repeat(np.array(couplings, np.float64), len(each)),
        np.where(first, -1, np.arange(points) - 1).astype(np.int64),
        weights,
    )
    return path(strata, penalties, executor, allelic=allelic, tolerance=tolerance, most=most)


def path(
    strata: Mapping[str, BlockCorrelations],
    penalties: Penalties,
    executor: Executor | None = None,
    *,
    allelic: bool = False,
    tolerance: float | None = None,
    most: int = MOST_SWEEPS,
) -> Path:
    """Return the candidates of given penalties, blocks on the executor's threads.

    tolerance  by default `enough` for the stratum of most people
    """
    names, held = list(strata), list(strata.values())
    if tolerance is None:
        tolerance = enough(max(s.people for s in held))
    blocks = fit(joint_blocks(held, allelic=allelic), penalties, executor, tolerance, most)
    starts = held[0].starts
    ones = np.ones(int(starts[-1]))
    scale = np.stack([s.allelic(ones) for s in held])
    parts: list[SparseWeights] = []
    ended: list[BlockPath] = []
    labels = _labels(names, penalties)
    for i, block in enumerate(blocks):
        own = block.weights * scale[:, int(starts[i]) : int(starts[i + 1])]
        parts.append(sparse([own.reshape(-1, own.shape[-1]).T], labels))
        ended.append(_without_weights(block))
    return Path(_stacked(parts, labels), penalties, _convergence(ended, tolerance))


def _without_weights(block: BlockPath) -> BlockPath:
    return BlockPath(np.zeros((0, 0, 0)), block.sweeps, block.change, block.residual)


def _stacked(parts: Sequence[SparseWeights], labels: tuple[str, ...]) -> SparseWeights:
    """Return the candidates over the variants of all blocks."""
    counts = [np.diff(held.starts) for held in parts]
    return SparseWeights(
        np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        np.concatenate([held.candidate for held in parts]),
        np.concatenate([held.weight for held in parts]),
        labels,
    )


def _convergence(ended: Sequence[BlockPath], tolerance: float) -> Convergence:
    residual = np.max([e.residual for e in ended], axis=0)
    return Convergence(
        np.max([e.sweeps for e in ended], axis=0).astype(np.int64),
        np.max([e.change for e in ended], axis=0),
        residual,
        np.asarray(residual <= tolerance, np.bool_),
    )


def _labels(names: Sequence[str], penalties: Penalties) -> tuple[str, ...]:
    labels: list[str] = []
    for p, c in enumerate(penalties.coupling.tolist()):
        for a, name in enumerate(names):
            l1, l2 = penalties.l1[p, a], penalties.l2[p, a]
            coupled = f" coupling {c:.4g}" if len(names) > 1 else ""
            labels.append(f"{name}: l1 {l1:.4g}, l2 {l2:.4g}{coupled}")
    return tuple(labels)
