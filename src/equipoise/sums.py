"""What may leave a site: named arrays that add up over people, block by block.

A `Field` declares one array of an answer. The same declaration serves the check of
what goes on the wire, its fixed-point encoding, the refusal of overflow, and the
computation, from a plan alone, of what the releases of a study let be derived.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2, prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, ProtocolError
from equipoise.native import native

Sums: TypeAlias = Mapping[str, NDArray[np.float64]]
"""One block of an answer: an array for each field."""

Integers: TypeAlias = Mapping[str, NDArray[np.int64]]
"""One block in units of each field's quantum: what is added up and published."""

GENOTYPE = "genotype"
"""The name under which `Field.reads` speaks of the genotypes."""

PEOPLE_PER_COLUMN = 5
"""At most one column v with G'Gv released for so many people of the smallest set."""

_STEPS = 2.0**40


@dataclass(frozen=True, slots=True)
class Read:
    """A column that a field's sum is made of, and how.

    `degree` is the highest power of the column in one person's term; None says that
    the term is some other function of it (a bin, an indicator). `two_valued` says that
    the column is 0 or 1: then the sum is over the people who have a 1.
    """

    column: str
    degree: int | None = 1
    two_valued: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One array of an answer, each entry a sum of one term a person.

    shape       of the array; leading axes run over the cells named by `over`
    per_person  the most that one person adds to an entry, in absolute value
    limit       the most that an entry of the total may be, in absolute value
    quantum     the smallest step kept; limit / quantum is at most 2**40
    over        the partitions whose cells the leading axes run over, in order:
                `("fold",)` says that entry f sums over the people of fold f
    reads       every column that the terms depend on
    counts      whether entries are head-counts
    directions  how many vectors v the field tells G'Gv for, G the genotypes
    block       the variants (start, stop) that those v and G range over
    l2          the most that one person adds to the field as a whole, the root of the sum of
                squares over its entries; None where `per_person` alone says it
    """

    shape: tuple[int, ...]
    per_person: float
    limit: float
    quantum: float = 1.0
    over: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    counts: bool = False
    directions: int = 0
    block: tuple[int, int] | None = None
    l2: float | None = None

    def __post_init__(self) -> None:
        """Refuse a range that does not fit: limit / quantum is at most 2**40."""
        if not 0 < self.quantum <= self.limit or self.limit / self.quantum > _STEPS:
            raise ValueError(
                f"limit {self.limit} and quantum {self.quantum} do not fit 2**40 steps"
            )
        if self.directions and self.block is None:
            raise ValueError("a field that tells about G'G names its block of variants")

    @property
    def size(self) -> int:
        """Number of entries."""
        return prod(self.shape)


Block: TypeAlias = Mapping[str, Field]
"""The fields of one item of a stream."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What one round's answer looks like: its blocks, in order.

    A schema without blocks asks nothing of the sites: the round is a public
    computation.

    sampling  the chance with which each person is in the round, drawn by their site for each
              attempt anew; 1 for everybody. Less is for noised sums alone
    """

    blocks: tuple[Block, ...] = ()
    sampling: float = 1.0

    @property
    def fields(self) -> Iterator[tuple[str, Field]]:
        """Every field of every block."""
        return ((name, field) for block in self.blocks for name, field in block.items())

    @property
    def size(self) -> int:
        """Number of values in one answer."""
        return sum(field.size for _, field in self.fields)

    @property
    def columns(self) -> frozenset[str]:
        """Every column that some field reads, the genotypes aside."""
        read = {r.column for _, field in self.fields for r in field.reads}
        return frozenset(read - {GENOTYPE})


def quantum_for(limit: float) -> float:
    """Return the smallest power of two that divides `limit` into at most 2**40 steps.

    >>> quantum_for(2.0**20) == 2.0**-20
    True
    """
    return 2.0 ** (ceil(log2(limit)) - 40)


def real(
    shape: tuple[int, ...],
    per_person: float,
    people: int,
    over: tuple[str, ...] = (),
    reads: tuple[Read, ...] = (),
) -> Field:
    """Return a field of real values as fine as the ring allows for so many people."""
    limit = max(per_person * people, 1.0)
    return Field(shape, per_person, limit, quantum_for(limit), over, reads)


def head_count(
    shape: tuple[int, ...],
    people: int,
    over: tuple[str, ...] = (),
    reads: tuple[Read, ...] = (),
    per_person: int = 1,
) -> Field:
    """Return a field of head-counts (or of alleles, two a person)."""
    limit = float(max(per_person * people, 1))
    return Field(shape, per_person, limit, 1.0, over, reads, counts=True)


def encode(block: Block, sums: Sums, people: int) -> Integers:
    """Return `sums` in units of each field's quantum, once they fit the declaration.

    Raises ProtocolError for other fields or shapes, and DisclosureError where an
    entry is not finite or is more than `people` could add by `per_person` each.
    """
    if list(block) != list(sums):
        raise ProtocolError(f"an answer must have the fields {list(block)}; it has {list(sums)}")
    return {name: _encode(name, field, sums[name], people) for name, field in block.items()}


def _encode(name: str, field: Field, value: NDArray[np.float64], people: int) -> NDArray[np.int64]:
    if value.shape != field.shape:
        raise ProtocolError(f"{name}: expected the shape {field.shape}, got {value.shape}")
    bound = min(field.limit, field.per_person * people)
    steps, beyond = np.empty(field.shape, np.int64), np.zeros(1, np.int64)
    flat = np.ascontiguousarray(value, np.float64).reshape(-1)
    _to_steps(flat, field.quantum, bound * (1 + 1e-9), steps.reshape(-1), beyond)
    if beyond[0]:
        raise DisclosureError(
            f"{name}: an entry is beyond {bound:g}, the most that {people} people may add;"
            " nothing was sent"
        )
    return steps


@native("float64[:]", "float64", "float64", "int64[:]", "int64[:]")
def _to_steps(values: Any, quantum: Any, most: Any, steps: Any, beyond: Any) -> None:
    """Write each value in whole steps, half to even; count those that are beyond `most` or NaN.

    In one pass: a site goes through all that it sends.
    """
    count = 0
    for i in range(len(values)):
        count += not (-most <= values[i] <= most)
        steps[i] = np.int64(np.rint(values[i] / quantum))
    beyond[0] = count


def decode(block: Block, integers: Integers) -> Sums:
    """Return the values that `integers` stand for."""
    return {
        name: integers[name].astype(np.float64) * field.quantum for name, field in block.items()
    }


def add(schema: Schema, answers: Sequence[Iterable[Integers]]) -> Iterator[Integers]:
    """Add up the answers of several sites, block by block."""
    for block, *parts in zip(schema.blocks, *answers, strict=True):
        total = {name: np.zeros(field.shape, np.int64) for name, field in block.items()}
        for part in parts:
            for name in total:
                total[name] += part[name]
        yield total


def check_total(schema: Schema, totals: Sequence[Integers]) -> None:
    """Raise ProtocolError where a total has another form or is beyond its limit."""
    if len(totals) != len(schema.blocks):
        raise ProtocolError(f"expected {len(schema.blocks)} blocks of totals, got {len(totals)}")
    for block, total in zip(schema.blocks, totals, strict=True):
        check_block(block, total)


def check_block(block: Block, total: Integers) -> None:
    """Raise ProtocolError where one block of a total has another form or is beyond its limit."""
    for name, field in block.items():
        if name not in total or total[name].shape != field.shape:
            raise ProtocolError(f"{name}: the total does not have the declared shape")
        most = field.limit / field.quantum + 0.5
        flat, beyond = np.ascontiguousarray(total[name]).reshape(-1), np.zeros(1, np.int64)
        _count_beyond(flat, int(most), beyond)
        if beyond[0]:
            raise ProtocolError(f"{name}: the total is beyond its declared limit")


@native("int64[:]", "int64", "int64[:]")
def _count_beyond(values: Any, most: Any, beyond: Any) -> None:
    """Count the values that are beyond `most` to either side, in one pass."""
    count = 0
    for i in range(len(values)):
        # Both ends by themselves: the least integer has no absolute value in 64 bits.
        count += (values[i] > most) | (values[i] < -most)
    beyond[0] = count


def to_bytes(block: Block, integers: Integers) -> bytes:
    """Return one block as bytes: fields in order, little-endian 64-bit."""
    return b"".join(np.ascontiguousarray(integers[name], "<i8").data for name in block)


def from_bytes(block: Block, data: bytes | memoryview) -> dict[str, NDArray[np.int64]]:
    """Return the block that `data` holds, read-only; ProtocolError for another length."""
    expected = 8 * sum(field.size for field in block.values())
    if len(data) != expected:
        raise ProtocolError(f"expected a block of {expected} bytes, got {len(data)}")
    values, result, start = np.frombuffer(data, "<i8"), dict[str, NDArray[np.int64]](), 0
    for name, field in block.items():
        part = values[start : start + field.size].reshape(field.shape)
        result[name] = part.astype(np.int64, copy=False)
        start += field.size
    return result
