"""What a gene network is made of, and how its parameters lie in one vector."""

from dataclasses import dataclass
from math import prod, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError

Array = NDArray[np.float64]

LEAST_BATCH, MOST_BATCH = 16, 256
"""People whose gradients are taken at a time."""

IN_CACHE: Final = 1 << 15
"""Genes times people of a batch, where that leaves enough people: so they stay in cache."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the network is made of.

    starts, stops  the variants of each gene, a range of the list; ranges may overlap
    covariates     how many there are
    width          values of a gene; attention: of its gate; hidden: after pooling
    binary         whether the trait is yes/no, with logistic loss; else half the squared error
    """

    starts: tuple[int, ...]
    stops: tuple[int, ...]
    covariates: int
    width: int = 8
    attention: int = 8
    hidden: int = 8
    binary: bool = True

    def __post_init__(self) -> None:
        """InputError for no genes, genes without variants, or genes out of order."""
        if not self.starts or len(self.starts) != len(self.stops):
            raise InputError("a gene network needs at least one gene, each with a start and a stop")
        if any(not 0 <= a < b for a, b in zip(self.starts, self.stops, strict=True)):
            raise InputError("a gene of the network has no variants; leave such genes out")
        if list(self.starts) != sorted(self.starts):
            raise InputError("the genes of a network are in the order of their first variants")

    @property
    def genes(self) -> int:
        """Number of genes."""
        return len(self.starts)

    @property
    def entries(self) -> int:
        """Number of pairs of a gene and a variant of it."""
        return sum(self.stops) - sum(self.starts)

    @property
    def members(self) -> NDArray[np.int64]:
        """(entries,) the variants of all genes, gene by gene."""
        ranges = zip(self.starts, self.stops, strict=True)
        return np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in ranges])

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(genes + 1,) where each gene begins among the entries."""
        sizes = np.subtract(self.stops, self.starts)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @property
    def head(self) -> dict[str, tuple[int, ...]]:
        """The parameters above the genes, in the order in which they lie in a vector."""
        return {
            "gate": (self.width, self.attention),
            "gate_out": (self.attention,),
            "gene": (self.genes,),
            "hidden": (self.width, self.hidden),
            "hidden_bias": (self.hidden,),
            "out": (self.hidden,),
            "covariates": (self.covariates,),
            "bias": (1,),
        }

    @property
    def head_size(self) -> int:
        """Number of parameters above the genes."""
        return sum(map(prod, self.head.values()))

    @property
    def batch(self) -> int:
        """Number of people whose gradients are taken at a time, a power of two."""
        fit = 1 << max(IN_CACHE // self.genes, 1).bit_length() - 1
        return min(max(fit, LEAST_BATCH), MOST_BATCH)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of parameters of each kind, in the order in which they lie, none of them 0."""
        return tuple(n for n in (*self.sizes[:2], *map(prod, self.head.values())) if n)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of weights of variants, of biases of genes, and of parameters above."""
        return self.entries * self.width, self.genes * self.width, self.head_size


@dataclass(frozen=True, slots=True)
class Parts:
    """A vector of parameters by what they are for.

    weights  (entries, width) of standardised dosages; biases (genes, width); head (head_size,)
    """

    weights: Array
    biases: Array
    head: Array

    def vector(self) -> Array:
        """Return the parameters in one row."""
        return np.concatenate([self.weights.ravel(), self.biases.ravel(), self.head])


def parts(shape: Shape, vector: Array) -> Parts:
    """Return views of a vector of parameters, or of anything that lies like one."""
    first, second, third = np.split(vector, np.cumsum(shape.sizes[:2]))
    return Parts(first.reshape(-1, shape.width), second.reshape(-1, shape.width), third)


def initial(shape: Shape, seed: int) -> Array:
    """Return first parameters: random weights, equal attention, small last weights.

    Weights of a gene are normal with variance 1 over its number of variants, so that h has
    variance 1 without linkage.
    """
    draw = np.random.default_rng(seed)
    sizes = np.repeat(np.diff(shape.offsets), np.diff(shape.offsets))
    weights = draw.standard_normal((shape.entries, shape.width)) / np.sqrt(sizes)[:, None]
    deviations = {"gate": 1 / sqrt(shape.width), "hidden": 1 / sqrt(shape.width), "out": 0.1}
    head = [
        draw.standard_normal(prod(size)) * deviations.get(name, 0.0)
        for name, size in shape.head.items()
    ]
    biases = np.zeros((shape.genes, shape.width))
    return Parts(weights, biases, np.concatenate(head)).vector()
