"""Messages of encrypted scoring: fixed heads, then frames that a length precedes. All little-endian.

    request   "EQSQ", version, people, digest of the list, seed;
              a frame for the public pair; then, group by group, a frame a ciphertext
    reply     "EQSA", version, people; a frame a group

A frame is its length in 4 bytes and 30-bit numbers in 4 bytes each. Every length follows from the
number of people and of weights, so that a message of another length is refused unread, and a
number that is not below its prime before anything is computed with it.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from equipoise.errors import ProtocolError
from equipoise.protections import score_ring as ring
from equipoise.protections.score_ring import SHAPE, Residues
from equipoise.protections.score_scheme import Answer, Asked, group_size, n_blocks

VERSION: Final = 1
ELEMENT: Final = 4 * SHAPE[0] * SHAPE[1]
"""Bytes of an element."""

MOST_BYTES: Final = 1 << 25
"""What a request of several groups may be long; one of a single group has its own length."""

Read = Callable[[int], bytes]
"""Returns exactly so many bytes, or raises."""

_ASKED: Final = struct.Struct("<4sHxxI32s32s")
_ANSWERED: Final = struct.Struct("<4sHxxI")
_LENGTH: Final = struct.Struct("<I")
_FRAME: Final = _LENGTH.size + ELEMENT


@dataclass(frozen=True, slots=True)
class Head:
    """How a request begins."""

    people: int
    digest: bytes
    seed: bytes = field(repr=False)

    def packed(self) -> bytes:
        """Return its bytes."""
        return _ASKED.pack(b"EQSQ", VERSION, self.people, self.digest, self.seed)


def most_people(n_weights: int) -> int:
    """Return how many people a request may have.

    >>> [most_people(n) for n in (77, 110_000, 1_000_000)]
    [21518, 14, 1]
    """
    groups = (MOST_BYTES - _ASKED.size - _FRAME) // (n_blocks(n_weights) * _FRAME)
    return max(groups, 1) * group_size(n_weights)


def groups(people: int, n_weights: int) -> list[int]:
    """Return how many people each group of a request has.

    >>> groups(107, 77), groups(2, 9000)
    ([106, 1], [1, 1])
    """
    size = group_size(n_weights)
    return [min(size, people - first) for first in range(0, people, size)]


def asked_bytes(people: int, n_weights: int) -> int:
    """Return the length of a request."""
    n = len(groups(people, n_weights)) * n_blocks(n_weights)
    return _ASKED.size + _FRAME * (1 + n)


def answered_bytes(people: int, n_weights: int) -> int:
    """Return the length of a reply."""
    sums = 4 * SHAPE[0] * people
    return _ANSWERED.size + sums + _FRAME * len(groups(people, n_weights))


def read_head(read: Read, length: int, n_weights: int, digest: bytes) -> Head:
    """Return a request's head; ProtocolError unless it fits the model and the length said."""
    if length < _ASKED.size:
        raise ProtocolError(f"a request of {length} bytes; expected {_ASKED.size} and more")
    magic, version, people, listed, seed = _ASKED.unpack(read(_ASKED.size))
    if (magic, version) != (b"EQSQ", VERSION):
        raise ProtocolError(
            f"a request that is not of version {VERSION} of encrypted scoring; install the same"
            " version of equipoise on both sides"
        )
    if listed != digest:
        raise ProtocolError(
            "a request for another list of variants than this model's; fetch the list again"
        )
    most = most_people(n_weights)
    if not 0 < people <= most:
        raise ProtocolError(f"a request for {people} people; expected 1 to {most} at a time")
    if length != asked_bytes(people, n_weights):
        raise ProtocolError(
            f"a request of {length} bytes for {people} people; expected"
            f" {asked_bytes(people, n_weights)}"
        )
    return Head(people, listed, seed)


def write_element(element: Residues) -> bytes:
    """Return the frame of an element."""
    return _LENGTH.pack(ELEMENT) + element.astype("<u4", copy=False).tobytes()


def read_asked(read: Read, head: Head, n_weights: int) -> list[Asked]:
    """Return all groups of a request, each number checked; ProtocolError where one is wrong."""
    public = _element(read)
    found: list[Asked] = []
    for group in range(len(groups(head.people, n_weights))):
        blocks = np.empty((n_blocks(n_weights), *SHAPE), np.uint32)
        for block in blocks:
            block[:] = _element(read)
        found.append(Asked(public, blocks, head.seed, group))
    return found


def write_answers(answers: list[Answer]) -> Iterator[bytes]:
    """Yield the parts of a reply."""
    yield _ANSWERED.pack(b"EQSA", VERSION, sum(len(one.sums) for one in answers))
    for one in answers:
        yield _LENGTH.pack(4 * one.sums.size + ELEMENT)
        yield one.sums.astype("<u4", copy=False).tobytes()
        yield one.mask.astype("<u4", copy=False).tobytes()


def read_answers(read: Read, people: int, n_weights: int) -> list[Answer]:
    """Return the groups of a reply; ProtocolError where it is not one for so many people."""
    found: list[Answer] = []
    if _ANSWERED.unpack(read(_ANSWERED.size)) != (b"EQSA", VERSION, people):
        raise ProtocolError("the server's reply is not one to this request; ask the model's owner")
    for size in groups(people, n_weights):
        sums = 4 * SHAPE[0] * size
        if _LENGTH.unpack(read(_LENGTH.size))[0] != sums + ELEMENT:
            raise ProtocolError("a reply of another length than its people need")
        parts = np.frombuffer(read(sums), "<u4").astype(np.uint32).reshape(size, -1)
        if not (parts < np.array(ring.PRIMES, np.uint32)).all():
            raise ProtocolError("a reply with a number that is not below its prime")
        found.append(Answer(parts, _numbers(read)))
    return found


def _element(read: Read) -> Residues:
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    if length != ELEMENT:
        raise ProtocolError(f"a ciphertext of {length} bytes; expected {ELEMENT}")
    return _numbers(read)


def _numbers(read: Read) -> Residues:
    found = np.frombuffer(read(ELEMENT), "<u4").astype(np.uint32, copy=False).reshape(SHAPE)
    if not ring.below(found):
        raise ProtocolError("a ciphertext with a number that is not below its prime")
    return found
