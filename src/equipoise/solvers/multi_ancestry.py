"""Elastic nets of several strata fitted together, from correlations by LD block.

With R_a the correlations of genotypes and r_a those with the trait in stratum a, this sum is
made least, where j runs over variants and pairs of strata over those that both carry j:

    sum_a w_a [ b_a'R_a b_a / 2 - r_a'b_a + l2_a |b_a|^2 / 2 + l1_a |b_a|_1 ]
        + c / 2 sum_{a < a'} sum_j (v_ja b_ja - v_ja' b_ja')^2

It is the model of PROSPER (Zhang et al. 2024, doi:10.1038/s41467-024-47357-7, Methods) with
w = v = 1. Departures: strata may weigh differently (w, such as by their people), effects may be
drawn together per allele (v); and all strata's weights of one variant are found at once, since
one after the other they hardly move where c is large. For that, with m strata that carry j and
T = sum_a v_ja b_ja, each is

    b_ja = S(w_a (r_ja - R_a[j,:] b_a + b_ja) + c v_ja T, w_a l1_a) / (w_a (1 + l2_a) + c m v_ja^2)

S the soft threshold, and T is the root of a falling function made of straight lines.

Blocks have nothing to do with one another, so each goes through all penalties by itself. What
did not converge is reported with how far it is from the optimum, and left as it is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from equipoise.solvers.block_correlations import BlockCorrelations
from equipoise.solvers.joint_descent import LAYERS, descend

Array = NDArray[np.float64]
A = TypeVar("A")
B = TypeVar("B")

TOLERANCE: Final = 1e-5
"""Of the residual of the conditions of an optimum, in units of a correlation: the standard error
of one is 1e-3 in a million people. Sums in single precision are good to about 1e-6."""

MOST_SWEEPS: Final = 10_000
"""Few take more than 100; a lasso of nearly equal variants without an l2 can take thousands."""

_AHEAD: Final = 4
"""Blocks handed to an executor before the first of them is asked for: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Penalties:
    """Points of a path, in the order in which they are fitted.

    l1, l2    (points, strata)
    coupling  (points,) c
    start     (points,) the earlier point whose weights a point begins with, or -1 for zeros
    weights   (strata,) w
    """

    l1: Array
    l2: Array
    coupling: Array
    start: NDArray[np.int64]
    weights: Array

    def __post_init__(self) -> None:
        """Refuse what has no least sum: ValueError."""
        points, strata = self.l1.shape
        if self.l2.shape != (points, strata) or self.weights.shape != (strata,):
            raise ValueError("penalties of unlike shapes; expected (points, strata) and (strata,)")
        if self.coupling.shape != (points,) or self.start.shape != (points,):
            raise ValueError("coupling or start of another shape; expected one for each point")
        least = float(self.l1.min()), float(self.l2.min()), float(self.coupling.min())
        if min(least) < 0 or float(self.weights.min()) <= 0:
            raise ValueError("a penalty below 0, or a weight that is not above 0")
        if any(not -1 <= start < p for p, start in enumerate(self.start.tolist())):
            raise ValueError("a point that begins with a later one; expected an earlier one or -1")


@dataclass(frozen=True, slots=True)
class JointBlock:
    """One LD block of all strata.

    genotypes  (strata, b, b) R; sums R b are kept in its precision, single or double
    trait      (strata, b) r
    scale      (strata, b) v, 0 where a stratum does not carry the variant
    """

    genotypes: Array | NDArray[np.float32]
    trait: Array
    scale: Array


@dataclass(frozen=True, slots=True)
class BlockPath:
    """What one block came to.

    weights   (points, strata, b) standardised
    sweeps    (points,) over the variants with a weight or off the optimum; the first look at
              all of them counts as one
    change    (points,) greatest of any weight in the last sweep
    residual  (points,) greatest distance from the conditions of an optimum (KKT)
    """

    weights: Array
    sweeps: NDArray[np.int64]
    change: Array
    residual: Array


def joint_blocks(
    strata: Sequence[BlockCorrelations], *, allelic: bool = False
) -> Iterator[JointBlock]:
    """Return the blocks of all strata, one by one.

    allelic  draw together effects per allele in units of the trait, instead of standardised
             ones; v is then their ratio to the standardised one, over its mean over strata
    """
    starts = strata[0].starts
    if any(not np.array_equal(s.starts, starts) for s in strata):
        raise ValueError("strata with other LD blocks; expected the same in all")
    carried = np.stack([s.usable for s in strata]).astype(np.float64)
    scale = carried
    if allelic:
        each = np.stack([s.allelic(own) for s, own in zip(strata, carried, strict=True)])
        mean = each.sum(axis=0) / np.maximum(carried.sum(axis=0), 1)
        scale = np.where(carried > 0, each / np.where(mean > 0, mean, 1.0), 0.0)
    for i in range(len(starts) - 1):
        part = slice(int(starts[i]), int(starts[i + 1]))
        yield JointBlock(
            np.stack([s.genotypes[i] for s in strata]),
            np.stack([s.trait[part] for s in strata]),
            scale[:, part],
        )


def fit_block(
    block: JointBlock,
    penalties: Penalties,
    tolerance: float = TOLERANCE,
    most: int = MOST_SWEEPS,
) -> BlockPath:
    """Return the weights of one block along the path; ValueError for what is not finite.

    >>> block = JointBlock(np.eye(2)[None], np.array([[0.5, 0.1]]), np.ones((1, 2)))
    >>> one = Penalties(
    ...     np.array([[0.2]]), np.array([[1.0]]), np.zeros(1), np.array([-1]), np.ones(1)
    ... )
    >>> fit_block(block, one).weights.round(3).tolist()
    [[[0.15, 0.0]]]
    """
    if not (np.isfinite(block.genotypes).all() and np.isfinite(block.trait).all()):
        raise ValueError("a correlation that is no number; expected them of sums without gaps")
    kind = block.genotypes.dtype
    if kind.name not in descend:
        raise ValueError(f"correlations as {kind}; expected float32 or float64")
    strata, size = block.trait.shape
    points = len(penalties.coupling)
    found = np.zeros((points, strata, size))
    report = np.zeros((points, 3))
    descend[kind.name](
        np.ascontiguousarray(block.genotypes),
        np.stack([block.trait, block.scale]),
        np.stack([penalties.l1, penalties.l2]),
        penalties.coupling,
        penalties.start,
        penalties.weights,
        tolerance,
        most,
        found,
        report,
        np.zeros((strata, size), kind),
        np.zeros((LAYERS, size, strata)),
        np.zeros((LAYERS, strata)),
        np.zeros((2, size), np.int64),
    )
    return BlockPath(found, report[:, 0].astype(np.int64), report[:, 1], report[:, 2])


def fit(
    blocks: Iterable[JointBlock],
    penalties: Penalties,
    executor: Executor | None = None,
    tolerance: float = TOLERANCE,
    most: int = MOST_SWEEPS,
) -> Iterator[BlockPath]:
    """Return what each block came to, in order; a few at a time where there is an executor."""
    return in_order(lambda b: fit_block(b, penalties, tolerance, most), blocks, executor)


def in_order(
    work: Callable[[A], B], items: Iterable[A], executor: Executor | None = None
) -> Iterator[B]:
    """Return what `work` gives for each item, in order, a few at once.

    >>> list(in_order(str, [1, 2]))
    ['1', '2']
    """
    if executor is None:
        yield from map(work, items)
        return
    waiting: deque[Future[B]] = deque()
    for item in items:
        waiting.append(executor.submit(work, item))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
