"""The append-only store: a directory with `entries.jsonl` and `checkpoint`, nothing else.

`append` makes an entry durable: its line is on disk before it returns. `seal`
makes it provable: a signed checkpoint over all entries replaces the last one in
one step. Appends do not seal, since that would cost three waits for the disk
instead of one; leaving the context (or `close`) seals whatever is not yet.

After a crash `open` finds the last checkpoint and at least its entries.
Complete lines beyond it are kept and sealed; a last line without a newline
beyond it was never acknowledged and is dropped. Anything less than the
checkpoint, or another root, is an IntegrityError.

One writer at a time: `entries.jsonl` itself is locked with flock, so that no
lock file is left behind. POSIX only; `reading` works everywhere.
"""

import fcntl
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from equipoise.errors import FaultError, InputError, IntegrityError
from equipoise.ledger.checkpoint import Checkpoint, check_name, sign
from equipoise.ledger.entry import Entry
from equipoise.ledger.reading import (
    CHECKPOINT,
    ENTRIES,
    Reading,
    grow,
    load,
    load_note,
    opened_by,
    parse_entries,
    read,
    split,
)
from equipoise.ledger.tree import Frontier, leaf_hash

__all__ = ["CHECKPOINT", "ENTRIES", "Log", "Reading", "read"]

_TEMPORARY = ".checkpoint.new"
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Log:
    """A log that this process alone may append to; make one with `create` or `open`.

    >>> import tempfile
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Log.create(Path(folder), "example.com/log", key) as log:
    ...         index = log.append(Entry("closed", {"reason": "done"}))
    ...     kinds = [entry.kind for entry in read(Path(folder)).entries]
    >>> index, kinds
    (1, ['opened', 'closed'])
    """

    __slots__ = ("_broken", "_descriptor", "_directory", "_frontier", "_key", "_note", "_origin")

    def __init__(
        self, directory: Path, origin: str, private_key: Ed25519PrivateKey, descriptor: int
    ) -> None:
        """Take a locked descriptor; `create` and `open` fill in the rest."""
        self._directory = directory
        self._origin = origin
        self._key = private_key
        self._descriptor: int | None = descriptor
        self._frontier = Frontier()
        self._note: tuple[int, str] = (0, "")
        self._broken = False

    @classmethod
    def create(cls, directory: Path, origin: str, private_key: Ed25519PrivateKey) -> Self:
        """Give a new log, its `opened` entry written and sealed; the folder is made if needed.

        The origin also names the key in the checkpoints (C2SP: they should match).
        InputError: there is a log already, or the origin holds a space or a plus.
        """
        check_name(origin)
        public_key = private_key.public_key().public_bytes_raw().hex()
        opened = Entry("opened", {"origin": origin, "public_key": public_key})
        _make(directory)
        if os.path.lexists(directory / CHECKPOINT) or os.path.lexists(directory / ENTRIES):
            raise InputError(f"{directory}: holds a log already; open it or take another folder")
        log = cls(
            directory, origin, private_key, _lock(directory / ENTRIES, os.O_CREAT | os.O_EXCL)
        )
        try:
            log._append(opened)
            log.seal()
            _sync_directory(directory.parent)
        except BaseException:
            log._release()
            raise
        return log

    @classmethod
    def open(cls, directory: Path, origin: str, private_key: Ed25519PrivateKey) -> Self:
        """Give the log in the directory, repaired after a crash (see the module) and sealed.

        IntegrityError: less than the checkpoint covers, or not what it covers;
        FaultError: another process has the log open.
        """
        log = cls(directory, origin, private_key, _lock(directory / ENTRIES, 0))
        try:
            log._recover()
        except BaseException:
            log._release()
            raise
        return log

    def __enter__(self) -> Self:
        """Give the log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Seal and release the log, also after an error elsewhere."""
        self.close()

    @property
    def size(self) -> int:
        """The number of entries, sealed or not."""
        return self._frontier.size

    @property
    def root(self) -> bytes:
        """The root over all entries, sealed or not."""
        return self._frontier.root

    @property
    def note(self) -> str:
        """The text of the last checkpoint, as in the file."""
        return self._note[1]

    def entries(self) -> Iterator[Entry]:
        """Give the entries from the first to the last there is now, read from the file."""
        with (self._directory / ENTRIES).open("rb") as file:
            for line in islice(file, self.size):
                yield Entry.from_bytes(line.removesuffix(b"\n"))

    def append(self, entry: Entry) -> int:
        """Give the entry's index once its line is on disk.

        InputError: a second `opened` entry. FaultError: the disk failed, and
        nothing more can be appended before the log is opened anew.
        """
        if entry.kind == "opened":
            raise InputError("opened entry: a log has exactly one, written by create")
        return self._append(entry)

    def seal(self) -> str:
        """Give the checkpoint over all entries, once it is on disk in place of the last one."""
        self._writable()
        if self._note[0] != self.size:
            head = Checkpoint(self._origin, self.size, self.root)
            text = sign(head, self._origin, self._key)
            _replace(self._directory, text.encode())
            self._note = (self.size, text)
        return self._note[1]

    def close(self) -> None:
        """Seal what is not sealed and release the log; closing twice does nothing."""
        if self._descriptor is None:
            return
        try:
            if not self._broken:
                self.seal()
        finally:
            self._release()

    def _append(self, entry: Entry) -> int:
        descriptor, line = self._writable(), entry.to_bytes()
        grown = self._frontier.add(leaf_hash(line))
        self._broken = True  # until the line is known to be whole
        try:
            rest = line + b"\n"
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError as error:
            raise FaultError(f"{self._directory / ENTRIES}: {error.strerror}; free it") from error
        self._broken = False
        self._frontier = grown
        return grown.size - 1

    def _recover(self) -> None:
        """Check the files against the checkpoint, drop a torn line, seal the rest."""
        path = self._directory / ENTRIES
        text, sealed = self._last_checkpoint()
        lines, torn = split(load(path))
        if len(lines) < sealed.size:
            raise IntegrityError(f"{path}: {len(lines)} entries; the checkpoint says {sealed.size}")
        frontier = grow(Frontier(), lines[: sealed.size])
        if frontier.root != sealed.root:
            raise IntegrityError(f"{path}: altered; the checkpoint says another root")
        opened = opened_by(path, parse_entries(path, lines))
        if opened != (self._origin, self._key.public_key()):
            raise IntegrityError(f"{path}: the opened entry names another origin or key")
        if torn:
            descriptor = self._writable()
            os.ftruncate(descriptor, sum(len(line) + 1 for line in lines))
            os.fsync(descriptor)
        (self._directory / _TEMPORARY).unlink(missing_ok=True)
        self._frontier = grow(frontier, lines[sealed.size :])
        self._note = (sealed.size, text)
        self.seal()

    def _last_checkpoint(self) -> tuple[str, Checkpoint]:
        path = self._directory / CHECKPOINT
        text, note = load_note(path)
        try:
            sealed = note.verify(self._origin, self._key.public_key())
        except IntegrityError as error:
            raise IntegrityError(f"{path}: {error}") from error
        if sealed.origin != self._origin:
            raise IntegrityError(f"{path}: of another origin")
        return text, sealed

    def _writable(self) -> int:
        if self._descriptor is None or self._broken:
            raise FaultError(
                f"{self._directory}: the log is closed or a write failed; open it anew"
            )
        return self._descriptor

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # and with it the lock
            self._descriptor = None


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be made a folder: {error.strerror}") from error


def _lock(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, _OPEN | flags, 0o666)
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise FaultError(f"{path}: another process writes to this log; wait for it") from error
    return descriptor


def _replace(directory: Path, data: bytes) -> None:
    """Put the checkpoint in place: after a crash either the old or the new one is whole."""
    temporary = directory / _TEMPORARY
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / CHECKPOINT)
        _sync_directory(directory)
    except OSError as error:
        raise FaultError(f"{directory / CHECKPOINT}: {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
