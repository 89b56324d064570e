"""Reading a log back, strictly: both files, every byte, nothing written.

The checkpoint must cover the whole of `entries.jsonl` (one canonical entry and
a newline per line), and the key and the origin of the `opened` entry must have
signed it. Whatever differs is an IntegrityError which names the file at fault.
This module needs no lock and runs where `log` (POSIX only) does not.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from equipoise.errors import IntegrityError
from equipoise.ledger.checkpoint import Checkpoint, Note, parse
from equipoise.ledger.entry import Entry
from equipoise.ledger.tree import Frontier, leaf_hash

ENTRIES = "entries.jsonl"
CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Reading:
    """A log that held: its entries, its head, the key that signed it, and the head as text."""

    entries: tuple[Entry, ...]
    checkpoint: Checkpoint
    public_key: Ed25519PublicKey
    note: str


def read(directory: Path, public_key: Ed25519PublicKey | None = None) -> Reading:
    """Give the log in the directory, verified under the key, or under its own if none is given.

    A log verified under its own key alone proves that nobody without the
    private key changed it; that its owner did not write all of it anew, only a
    root known from elsewhere can show.

    IntegrityError: a file is missing or altered, entries lie beyond the
    checkpoint, or another key signed; the message names the file.
    """
    path = directory / ENTRIES
    lines, torn = split(load(path))
    if torn:
        raise IntegrityError(f"{path}: the last line is torn; open the log to repair it")
    entries = parse_entries(path, lines)
    origin, own_key = opened_by(path, entries)
    text, note = load_note(directory / CHECKPOINT)
    key = own_key if public_key is None else public_key
    _check_head(directory, note, grow(Frontier(), lines), origin, key)
    if key != own_key:
        raise IntegrityError(f"{path}: the opened entry names another key than the one expected")
    return Reading(entries, note.checkpoint, key, text)


def load(path: Path) -> bytes:
    """Give the bytes of a regular file; IntegrityError: missing, special or unreadable."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise IntegrityError(f"{path}: not a regular file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(f"{path}: missing") from error
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from error


def load_note(path: Path) -> tuple[str, Note]:
    """Give the checkpoint file's text and what it says, its signature not verified."""
    data = load(path)
    try:
        text = data.decode()
        return text, parse(text)
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: not UTF-8") from error
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}") from error


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Give the complete lines without their newlines, and what follows the last newline."""
    *lines, torn = data.split(b"\n")
    return lines, torn


def parse_entries(path: Path, lines: Sequence[bytes]) -> tuple[Entry, ...]:
    """Give the entries of the lines; IntegrityError names the file and the line."""
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(Entry.from_bytes(line))
        except IntegrityError as error:
            raise IntegrityError(f"{path}:{number}: {error}") from error
    return tuple(entries)


def opened_by(path: Path, entries: Sequence[Entry]) -> tuple[str, Ed25519PublicKey]:
    """Give the origin and the key of the `opened` entry, which must be the first and only one."""
    places = [number for number, entry in enumerate(entries) if entry.kind == "opened"]
    if places != [0]:
        raise IntegrityError(f"{path}: expected one opened entry, the first; came {len(places)}")
    body = entries[0].body
    raw = bytes.fromhex(str(body["public_key"]))
    return str(body["origin"]), Ed25519PublicKey.from_public_bytes(raw)


def grow(frontier: Frontier, lines: Sequence[bytes]) -> Frontier:
    """Give the frontier with the lines appended."""
    for line in lines:
        frontier = frontier.add(leaf_hash(line))
    return frontier


def _check_head(
    directory: Path, note: Note, frontier: Frontier, origin: str, key: Ed25519PublicKey
) -> None:
    """Return only if the note is signed and covers exactly these entries; else say which file.

    A wrong signature under a line that names the right key, or over the right
    root, is the checkpoint's fault. Where the root differs too and the line
    names another key, it is the `opened` entry that was altered.
    """
    head = note.checkpoint
    covers = (head.size, head.root) == (frontier.size, frontier.root)
    try:
        note.verify(origin, key)
    except IntegrityError as error:
        at_fault = CHECKPOINT if covers or note.names(origin, key) else ENTRIES
        raise IntegrityError(f"{directory / at_fault}: altered; {error}") from error
    if head.origin != origin:
        raise IntegrityError(f"{directory / CHECKPOINT}: of another origin than the opened entry")
    if not covers:
        raise IntegrityError(
            f"{directory / ENTRIES}: altered; {frontier.size} entries with root "
            f"{frontier.root.hex()}; the checkpoint says {head.size} with {head.root.hex()}"
        )
