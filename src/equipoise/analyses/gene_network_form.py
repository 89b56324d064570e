"""What one round of a gene network's training asks of the sites: its fields."""

from dataclasses import dataclass, replace
from math import ceil, log2, sqrt
from typing import Final

import numpy as np

from equipoise.analyses.gene_network_result import PARTS
from equipoise.models.gene_network import Steps
from equipoise.models.gene_shape import Shape
from equipoise.models.gene_sums import PER_ALLELE
from equipoise.sums import GENOTYPE, Block, Field, Read, head_count, real

MOST_SCORE: Final = 16.0
"""Where a score is cut."""

MOST_LOSS, MOST_MORE = 16.0, 2.0
"""Where a loss is cut, and the difference of two."""

MOST_ENTRY: Final = 8.0
"""Where an entry of a gradient above genes is cut, without a bound on its norm."""

MOST_WEIGHT: Final = 64.0
"""Where a weight is cut."""


@dataclass(frozen=True, slots=True)
class Form:
    """The columns of one training, and its fields; parameters as in `gene_network`."""

    people: int
    n_variants: int
    shape: Shape
    clip: float
    trait: str
    score: str
    part: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    weight: str
    group: str
    groups: int

    @property
    def steps(self) -> Steps:
        """How a person's gradient is bounded and rounded: totals have room in 2**40 steps."""
        most = 2.0 ** ceil(log2(self.clip)) if self.clip else 1.0
        head = most if self.clip else MOST_ENTRY
        fine = 2.0 ** (ceil(log2(max(self.people, 1))) - 35)
        return Steps(self.clip, most * fine, head * fine, 1 / fine, 1 / fine)

    @property
    def most_left(self) -> float:
        """The most that a trait may be off its prediction."""
        return 1.0 if self.shape.binary else 2 * self.bounds[-1]

    def fields(self) -> Block:
        """Return all fields of a round."""
        return {**self.network(), **self.linear(), **self.losses()}

    def network(self) -> Block:
        """Return the fields of the network's gradient.

        The gradient of a variant's weights is its product with `width` columns of the people,
        which say something about G'G each; where genes overlap, with those of each. They are
        counted twice, since they tell of the people who train, at least half of all.
        """
        shape, steps, n = self.shape, self.steps, max(self.people, 1)
        edges = np.zeros(self.n_variants + 1, np.int64)
        np.add.at(edges, np.array(shape.starts), 1)
        np.subtract.at(edges, np.array(shape.stops), 1)
        columns = 2 * shape.width * int(np.cumsum(edges).max())
        gene, head = steps.gene_most * steps.gene, steps.head_most * steps.head
        reads = (Read(GENOTYPE, None), *self._reads, *self._group_reads)

        # Each entry of a person's gradient is rounded by half a step, times a dosage of 2 at most.
        rounding = shape.width * (4 * shape.entries + shape.genes) + shape.head_size
        l2 = self.clip + steps.head / 2 * sqrt(rounding) if self.clip else None

        def field(size: tuple[int, ...], most: float, quantum: float) -> Field:
            return Field(size, most, most * n, quantum, (), reads, l2=l2)

        weights = field((shape.entries, shape.width), 2 * gene, steps.gene / PER_ALLELE)
        block = min(shape.starts), max(shape.stops)
        return {
            "weights": replace(weights, directions=columns, block=block),
            "biases": field((shape.genes, shape.width), gene, steps.gene),
            "head": field((shape.head_size,), head, steps.head),
        }

    def linear(self) -> Block:
        """Return the fields of the linear model's gradient and curvature."""
        size = len(self.covariates) + 2
        most = max(1.0, MOST_SCORE, *self.bounds[:-1])
        weight = MOST_WEIGHT if self.weight else 1.0
        spread = 0.25 if self.shape.binary else 1.0
        gradient, curvature = weight * most * self.most_left, weight * most**2 * spread
        return {
            "linear_gradient": real((size,), gradient, self.people, reads=self._reads),
            "linear_curvature": real((size, size), curvature, self.people, reads=self._reads),
        }

    def losses(self) -> Block:
        """Return the fields of counts and losses: by part, and by group of those who train."""
        n, by_part = self.people, (self.part,)
        reads = (Read(GENOTYPE, None), *self._reads, *self._group_reads)
        trait = (Read(self.trait, None, two_valued=True),) if self.shape.binary else ()
        found: dict[str, Field] = {
            "counts": head_count((PARTS, 2), n, by_part, (Read(self.part, None), *trait)),
            "losses": real((PARTS,), MOST_LOSS, n, by_part, reads),
            "more": real((PARTS,), MOST_MORE, n, by_part, reads),
            "squares": real((PARTS,), MOST_MORE**2, n, by_part, reads),
        }
        if self.group:
            by_group, inside = (self.group,), (Read(self.part, None), *self._group_reads)
            found["group_counts"] = head_count((self.groups,), n, by_group, inside)
            found["group_losses"] = real((self.groups,), MOST_LOSS, n, by_group, reads)
        return found

    @property
    def _reads(self) -> tuple[Read, ...]:
        """Every column but genotypes and groups."""
        weight = (Read(self.weight, None),) if self.weight else ()
        names = (self.score, self.part, *self.covariates)
        trait = Read(self.trait, None, two_valued=self.shape.binary)
        return (*(Read(name, None) for name in names), trait, *weight)

    @property
    def _group_reads(self) -> tuple[Read, ...]:
        return (Read(self.group, None),) if self.group else ()
