"""A site's private memory of what it answered: written before anything is sent.

A journal that lasts also keeps what was asked, so that a site which was restarted can come
to where it stood: the messages of the round under way, and the totals of those before it.
"""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import Any, Final

from equipoise.errors import IntegrityError, ProtocolError
from equipoise.federation import tape
from equipoise.protection import joint_digest

_MESSAGE: Final = ".message"
_TOTAL: Final = ".total"


@dataclass(frozen=True, slots=True)
class Line:
    """One answer, as the index has it.

    place     what was asked for, which has one answer
    request   the id of the message that asked
    first     the SHA-256 of the answer's first frame
    blocks    the joint SHA-256 of its blocks
    release   what the ledger says of it, None where it says nothing
    of_round  whether it is one of a round's phases
    """

    place: str
    request: str
    first: str
    blocks: str = ""
    release: Mapping[str, Any] | None = None
    of_round: bool = False

    @property
    def begins(self) -> bool:
        """Whether it is the first of an attempt at a round."""
        return self.of_round and self.place.endswith(" round 0")


@dataclass(frozen=True, slots=True)
class Retold:
    """A message with its line, or a round's total with the lines of all that led to it."""

    lines: Sequence[Line]
    total: bool
    frames: Iterator[bytes]


class Journal:
    """Answers each request once, and a repeated one with the same bytes or not at all.

    The bytes of the last answer are kept in a file until the next request comes; of
    earlier ones only digests remain.
    """

    def __init__(self, directory: Path, *, lasting: bool = False) -> None:
        """Keep the journal in `directory`, which belongs to the site alone, or take it up again.

        IntegrityError where what is there is no journal.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._spool, self._first = directory / "answer", directory / "first"
        self._index = directory / "journal.jsonl"
        self._past = directory / "past"
        self._coming = directory / "coming"
        self._lasting = lasting
        self._listening: Generator[bytes] | None = None
        if lasting:
            self._past.mkdir(exist_ok=True)
        self.lines: list[Line] = list(self._read())
        self._answered = {line.request for line in self.lines}
        self._places = {line.place for line in self.lines}
        self._last: tuple[str, bytes] = self._read_last()

    def listen(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the frames of a request on; a journal that lasts writes them down."""
        if not self._lasting:
            return frames
        if self._listening is not None:
            self._listening.close()
        self._listening = tape.record(self._coming, frames)
        return self._listening

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

        def passing() -> Iterator[bytes]:
            nonlocal number, size
            for block in blocks:
                joint.update(hashlib.sha256(block).digest())
                number, size = number + 1, size + len(block)
                yield block

        for _ in tape.record(self._spool, passing()):
            pass
        return number, joint.hexdigest(), size

    def enter(self, line: Line, first: bytes) -> None:
        """Enter an answer, its blocks spooled before: from now on it is the only one."""
        if self._lasting:
            self._coming.replace(self._past / f"{len(self.lines):06}{_MESSAGE}")
            tape.settle_folder(self._past)
            _write(self._first, first)
        said = {name: getattr(line, name) for name in Line.__slots__}
        self._append(json.dumps(said).encode() + b"\n")
        self.lines.append(line)
        self._places.add(line.place)
        self._answered.add(line.request)
        self._last = (line.request, first)

    def answer(self) -> Iterator[bytes]:
        """Return the frames of the last answer."""
        yield self._last[1]
        yield from tape.play(self._spool)

    def settle(self, total: Iterable[bytes]) -> None:
        """Keep a round's total instead of the messages that led to it."""
        if not self._lasting:
            return
        began = ended = len(self.lines)
        while began and self.lines[began - 1].of_round:
            began -= 1
        for _ in tape.record(self._coming, iter(total)):
            pass
        self._coming.replace(self._past / f"{began:06}-{ended:06}{_TOTAL}")
        tape.settle_folder(self._past)
        for number in range(began, ended):
            (self._past / f"{number:06}{_MESSAGE}").unlink(missing_ok=True)

    def retold(self) -> Iterator[Retold]:
        """Yield what led to where the site stands: messages, and totals in place of rounds.

        IntegrityError where something is missing.
        """
        totals = {int(path.name[:6]): path for path in self._past.glob(f"*{_TOTAL}")}
        number = 0
        while number < len(self.lines):
            path = totals.get(number, self._past / f"{number:06}{_MESSAGE}")
            after = int(path.name[7:13]) if number in totals else number + 1
            if tape.ending(path) is not tape.End.WHOLE:
                raise IntegrityError(f"{path} is missing, or is not what was kept")
            yield Retold(self.lines[number:after], number in totals, tape.play(path))
            number = after

    def _append(self, line: bytes) -> None:
        """Add a line to the index, whole or not at all."""
        with self._index.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(ENOSPC, "no room for a line of the journal")
                tape.settle(file)
            except OSError:
                file.truncate(size)
                raise

    def _read(self) -> Iterator[Line]:
        """Yield the lines of the index; a last one that was cut was never acted on."""
        if not self._index.exists():
            return
        content = self._index.read_bytes()
        whole, _, cut = content.rpartition(b"\n")
        if cut:
            with self._index.open("r+b") as file:
                file.truncate(len(whole) + 1 if whole else 0)
        for line in whole.splitlines():
            try:
                yield Line(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise IntegrityError(f"{self._index} is not a journal of this package") from error

    def _read_last(self) -> tuple[str, bytes]:
        if not (self._lasting and self.lines and self._first.exists()):
            return ("", b"")
        first, last = self._first.read_bytes(), self.lines[-1]
        kept = hashlib.sha256(first).hexdigest() == last.first
        return (last.request, first) if kept and self._spooled(last) else ("", b"")

    def _spooled(self, line: Line) -> bool:
        """Whether the blocks in the spool are those of an answer."""
        if tape.ending(self._spool) is not tape.End.WHOLE:
            return False
        return joint_digest(tape.play(self._spool)).hex() == line.blocks


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        tape.settle(file)
