"""A site's private memory of what it answered: written before anything is sent."""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from equipoise.errors import ProtocolError

_LENGTH = struct.Struct(">Q")


class Journal:
    """Answers each request once, and a repeated one with the same bytes or not at all.

    The bytes of the last answer are kept in a file until the next request comes; of
    earlier ones only digests remain.
    """

    def __init__(self, directory: Path) -> None:
        """Keep the journal in `directory`, which belongs to the site alone."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._spool = directory / "answer"
        self._index = directory / "journal.jsonl"
        self._last: tuple[str, bytes] = ("", b"")
        self._answered: set[str] = set()
        self._places: set[str] = set()

    def repeated(self, request: str) -> Iterator[bytes] | None:
        """Return the very answer that this request had, None where it is new.

        Raises ProtocolError for an earlier request whose answer is no longer kept.
        """
        if request not in self._answered:
            return None
        if request != self._last[0]:
            raise ProtocolError("this request was answered before; its answer is not given twice")
        return self.answer()

    def open(self, place: str) -> None:
        """Raise ProtocolError where `place`, the one thing asked for, has had its answer."""
        if place in self._places:
            raise ProtocolError(f"{place} was answered before, to another request")

    def spool(self, blocks: Iterable[bytes]) -> tuple[int, str, int]:
        """Write the blocks of an answer down; return their number, joint digest and bytes."""
        self._last = ("", b"")  # its blocks are overwritten now, even if the new ones fail
        joint, number, size = hashlib.sha256(), 0, 0
        with self._spool.open("wb") as file:
            for block in blocks:
                file.write(_LENGTH.pack(len(block)) + block)
                joint.update(hashlib.sha256(block).digest())
                number, size = number + 1, size + len(block)
            _settle(file)
        return number, joint.hexdigest(), size

    def enter(self, place: str, request: str, first: bytes) -> None:
        """Enter an answer, its blocks spooled before: from now on it is the only one."""
        line = {"place": place, "request": request, "sha256": hashlib.sha256(first).hexdigest()}
        with self._index.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            _settle(file)
        self._places.add(place)
        self._answered.add(request)
        self._last = (request, first)

    def answer(self) -> Iterator[bytes]:
        """Return the frames of the last answer."""
        yield self._last[1]
        with self._spool.open("rb") as file:
            while prefix := file.read(_LENGTH.size):
                yield file.read(_LENGTH.unpack(prefix)[0])


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
