"""Blocks of bytes that are read more than once: in memory while they are few, then in a file."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from fcntl import F_GETFL, F_SETFL, fcntl
from itertools import accumulate
from mmap import mmap
from threading import Lock
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.protections.totals import LazyTotal
from equipoise.sums import Integers, Schema, from_bytes

MOST = 3 << 22
"""Bytes that are kept in memory."""

ROOM = 1 << 22
"""Bytes that are written at a time."""

SECTOR = 1 << 12
"""Of a disk: past the cache, its file is written and read in multiples of this."""


class Spool:
    """Blocks in the order they came. Any number of readers may go through them at a time.

    The file has no name: it ends with the process, however that ends. Where the file system
    allows it, the file is written and read past the system's cache: a message of 100 million
    values would fill as much of the machine's memory, which costs more than to mask it.
    """

    def __init__(self, most: int = MOST) -> None:
        """Keep up to `most` bytes in memory."""
        self._most, self._size = most, 0
        self._held: list[bytes] = []
        self._ends: list[int] = []
        self._file: BinaryIO | None = None
        self._room = self._desk = memoryview(b"")
        self._written = 0
        self._reading = Lock()

    def add(self, block: bytes | memoryview) -> None:
        """Take one more block; what can be written is copied, since it may change afterwards."""
        self._size += len(block)
        if self._file is None and self._size <= self._most:
            fixed = isinstance(block, bytes) or block.readonly
            self._held.append(cast("bytes", block) if fixed else bytes(block))
            return
        if self._file is None:
            self._file = _nameless()
            # Whoever holds the spool need not know that there is a file to close.
            weakref.finalize(self, self._file.close)
            # Memory mapped is aligned as the disk wants it.
            self._room = memoryview(mmap(-1, ROOM))
            for earlier in self._held:
                self._write(self._file, earlier)
            self._held = []
        self._write(self._file, block)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._held) + len(self._ends)

    def __getitem__(self, place: int) -> bytes:
        """Return one block."""
        if self._file is None:
            return self._held[place]
        start, end = self._ends[place - 1] if place else 0, self._ends[place]
        written = min(end, self._written)
        on_disk = self._read(self._file, start, written) if start < written else b""
        first = max(start, self._written) - self._written
        return on_disk + bytes(self._room[first : max(first, end - self._written)])

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks as they are read."""
        for place in range(len(self)):
            yield self[place]

    def taken(self) -> Iterator[bytes]:
        """Yield the blocks for the last time: memory of those that were read is free for others."""
        for place in range(len(self)):
            block = self[place]
            if self._held:
                self._held[place] = b""
            yield block
            del block
        self.clear()

    def clear(self) -> None:
        """Let all blocks go."""
        if self._file is not None:
            self._file.close()
        self._held, self._ends, self._file, self._size = [], [], None, 0
        self._room = self._desk = memoryview(b"")
        self._written = 0

    def _read(self, file: BinaryIO, start: int, end: int) -> bytes:
        """Return the bytes of the file from `start` to `end`, by whole sectors."""
        low, high = start // SECTOR * SECTOR, -(-end // SECTOR) * SECTOR
        with self._reading:  # one room for all readers: new memory would cost more than the disk
            if len(self._desk) < high - low:
                self._desk = memoryview(mmap(-1, high - low))
            done = 0
            while done < high - low:
                room = self._desk[done : high - low]
                got = os.preadv(file.fileno(), [room], low + done)
                if not got:
                    raise OSError("a spool's file is shorter than what was written to it")
                done += got
            return bytes(self._desk[start - low : end - low])

    def _write(self, file: BinaryIO, block: bytes | memoryview) -> None:
        """Put a block behind the others: whole rooms go to the file, the rest waits."""
        left, end = memoryview(block), (self._ends[-1] if self._ends else 0)
        self._ends.append(end + len(block))
        while left:
            used = end - self._written
            taken = left[: ROOM - used]
            self._room[used : used + len(taken)] = taken
            left, end = left[len(taken) :], end + len(taken)
            if end - self._written == ROOM:
                _write_whole(file, self._room, self._written)
                self._written = end


def rooms(schema: Schema) -> Iterator[NDArray[np.uint64]]:
    """Yield memory for each block of a message that a spool will keep, to be written.

    Where the spool keeps it in memory it is all one piece: large pieces consist of large pages,
    which the system hands out in a third of the time.
    """
    sizes = [sum(field.size for field in block.values()) for block in schema.blocks]
    if 8 * sum(sizes) > MOST:
        yield from (np.empty(size, np.uint64) for size in sizes)
        return
    piece = np.empty(sum(sizes), np.uint64)
    for start, size in zip(accumulate([0, *sizes]), sizes, strict=False):
        yield piece[start : start + size]


def _nameless() -> BinaryIO:
    """Return a new file that has no name, past the system's cache where that can be."""
    file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115  closed later
    with suppress(OSError, AttributeError):  # memory's own file system, or another system
        fcntl(file.fileno(), F_SETFL, fcntl(file.fileno(), F_GETFL) | os.O_DIRECT)
    return file


def _write_whole(file: BinaryIO, content: memoryview, place: int) -> None:
    done = 0
    while done < len(content):
        done += os.pwrite(file.fileno(), content[done:], place + done)


class Kept(LazyTotal):
    """A total whose blocks lie in a spool and are read when they are asked for."""

    def __init__(self, schema: Schema, spool: Spool) -> None:
        """Take the blocks, as many as the schema has."""
        self._schema, self._spool = schema, spool

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._spool)

    def made(self, place: int) -> Integers:
        """Return one block."""
        return from_bytes(self._schema.blocks[place], self._spool[place])
