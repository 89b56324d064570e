"""Blocks of bytes that are read more than once: in memory while they are few, then in a file."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import BinaryIO, cast

from equipoise.protections.totals import LazyTotal
from equipoise.sums import Integers, Schema, from_bytes

MOST = 1 << 24
"""Bytes that are kept in memory."""


class Spool:
    """Blocks in the order they came. Any number of readers may go through them at a time.

    The file has no name: it ends with the process, however that ends.
    """

    def __init__(self, most: int = MOST) -> None:
        """Keep up to `most` bytes in memory."""
        self._most, self._size = most, 0
        self._held: list[bytes] = []
        self._file: BinaryIO | None = None
        self._ends: list[int] = []

    def add(self, block: bytes) -> None:
        """Take one more block."""
        self._size += len(block)
        if self._file is None and self._size <= self._most:
            self._held.append(block)
            return
        if self._file is None:
            self._file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
            # Whoever holds the spool need not know that there is a file to close.
            weakref.finalize(self, self._file.close)
            for earlier in self._held:
                self._write(earlier)
            self._held = []
        self._write(block)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._held) + len(self._ends)

    def __getitem__(self, place: int) -> bytes:
        """Return one block."""
        if self._file is None:
            return self._held[place]
        start = self._ends[place - 1] if place else 0
        return os.pread(self._file.fileno(), self._ends[place] - start, start)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks as they are read."""
        for place in range(len(self)):
            yield self[place]

    def clear(self) -> None:
        """Let all blocks go."""
        if self._file is not None:
            self._file.close()
        self._held, self._ends, self._file, self._size = [], [], None, 0

    def _write(self, block: bytes) -> None:
        file = self._file
        if file is None:
            raise ValueError("no file to write to")
        left = memoryview(block)
        while left:
            left = left[file.write(left) :]
        self._ends.append((self._ends[-1] if self._ends else 0) + len(block))


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
