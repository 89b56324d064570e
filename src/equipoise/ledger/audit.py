"""Checking a whole output folder against its ledgers.

    OUT/ledger/                   the centre's log
    OUT/sites/<site>/ledger/      each site's log
    OUT/...                       what the centre's log lists, path relative to OUT
    OUT/sites/<site>/...          what the site's log lists, path relative to that folder

Nothing else may be there. The chain of proof: the centre's root covers its
log; its `sites` entry names every site's key and its last `checkpoint` entry
every site's head, which covers the site's log; `artefact` entries of all logs
cover all other files. Earlier `checkpoint` entries of a site must be heads of
the same log, so that a site which rewrote its log during the run is seen.

A rewrite of everything by the holders of the keys passes unless the centre's
root is known from elsewhere (printed, mailed, published) and given here.
"""

import hashlib
import hmac
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from equipoise.errors import InputError, IntegrityError
from equipoise.ledger.checkpoint import parse
from equipoise.ledger.entry import Entry
from equipoise.ledger.reading import CHECKPOINT, ENTRIES, Reading, read
from equipoise.ledger.tree import Frontier, leaf_hash

_LEDGER = "ledger"
_SITES = "sites"


@dataclass(frozen=True, slots=True)
class Verification:
    """What held: the centre's root, the entries of all logs, the files, the sites' names."""

    root: bytes
    entries: int
    files: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a log says about one file."""

    sha256: str
    size: int


@dataclass(slots=True)
class _Findings:
    """What the logs say should be there, and all that is wrong, gathered along the way."""

    problems: list[str] = field(default_factory=list[str])
    files: dict[str, _Listed] = field(default_factory=dict[str, _Listed])
    ledgers: set[str] = field(default_factory=set[str])
    unknown: set[str] = field(default_factory=set[str])
    entries: int = 0

    def add(self, path: str, problem: str) -> None:
        """Keep one problem, the path in printable characters."""
        self.problems.append(f"{_printable(path)}: {problem}")


def verify(directory: Path, root: bytes | None = None) -> Verification:
    """Give what was verified if every byte of the folder is as the ledgers say.

    `root` is the centre's final root from another source than the folder.

    InputError: there is no such folder. IntegrityError: anything is missing,
    unlisted, altered, a link or no regular file, the run did not end, or the
    root is another; all of it in one message, one line per path.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: no such folder; expected the output folder of a run")
    found = dict(_walk(directory, ""))
    findings = _Findings()
    centre = _read(directory, _LEDGER, None, findings)
    if centre is None:
        raise _all(directory, findings)
    _check_end(centre, root, findings)
    sites = _sites(centre, findings)
    lost = {str(entry.body["site"]) for entry in centre.entries if entry.kind == "lost"}
    for name, key in sites.items():
        if name in lost:  # what it wrote up to then need not have come here
            findings.unknown.add(f"{_SITES}/{name}")
            continue
        _check_site(directory, name, key, centre, findings)
    _check_found(directory, found, findings)
    if findings.problems:
        raise _all(directory, findings)
    count = len(findings.files)
    return Verification(centre.checkpoint.root, findings.entries, count, tuple(sites))


def _all(directory: Path, findings: _Findings) -> IntegrityError:
    lines = "\n".join(findings.problems)
    return IntegrityError(f"{directory}: problems found: {len(findings.problems)}\n{lines}")


def _read(
    directory: Path, ledger: str, key: Ed25519PublicKey | None, findings: _Findings
) -> Reading | None:
    """Give a log and list its own two files and its artefacts; None if it does not hold."""
    findings.ledgers |= {f"{ledger}/{ENTRIES}", f"{ledger}/{CHECKPOINT}"}
    try:
        reading = read(directory / ledger, key)
    except IntegrityError as error:
        findings.problems.append(str(error).removeprefix(f"{directory}{os.sep}"))
        return None
    findings.entries += len(reading.entries)
    folder = ledger.removesuffix(_LEDGER)
    reserved = (_LEDGER,) if folder else (_LEDGER, _SITES)
    for entry in reading.entries:
        if entry.kind == "artefact":
            _list(folder, entry, reserved, findings)
    return reading


def _list(folder: str, entry: Entry, reserved: Sequence[str], findings: _Findings) -> None:
    name = str(entry.body["path"])
    path = folder + name
    if name.split("/", maxsplit=1)[0] in reserved:
        findings.add(path, f"listed inside a reserved folder ({', '.join(reserved)})")
    elif path in findings.files:
        findings.add(path, "listed more than once; a path is written once")
    size = cast("int", entry.body["bytes"])
    findings.files[path] = _Listed(str(entry.body["sha256"]), size)


def _check_end(centre: Reading, root: bytes | None, findings: _Findings) -> None:
    if centre.entries[-1].kind != "closed":
        findings.add(f"{_LEDGER}/{ENTRIES}", "the last entry is not closed: the run did not end")
    if root is not None and not hmac.compare_digest(root, centre.checkpoint.root):
        findings.add(
            _LEDGER,
            f"root {centre.checkpoint.root.hex()}; expected {root.hex()}; "
            "the log holds in itself, so a rewrite of the whole folder is suspected",
        )


def _sites(centre: Reading, findings: _Findings) -> Mapping[str, Ed25519PublicKey]:
    """Give every site's key from the one `sites` entry; none if there is not exactly one."""
    rows = [entry.body["sites"] for entry in centre.entries if entry.kind == "sites"]
    if len(rows) != 1:
        findings.add(f"{_LEDGER}/{ENTRIES}", f"{len(rows)} sites entries; expected one")
        return {}
    keys = {
        row["name"]: Ed25519PublicKey.from_public_bytes(bytes.fromhex(row["public_key"]))
        for row in cast("list[dict[str, str]]", rows[0])
    }
    named = Counter(
        str(entry.body["site"]) for entry in centre.entries if entry.kind == "checkpoint"
    )
    for name in named.keys() - keys.keys():
        findings.add(f"{_SITES}/{name}", "has a checkpoint entry but is not in the sites entry")
    return keys


def _check_site(
    directory: Path, name: str, key: Ed25519PublicKey, centre: Reading, findings: _Findings
) -> None:
    """Check one site's log against its key and against the centre's `checkpoint` entries."""
    ledger = f"{_SITES}/{name}/{_LEDGER}"
    reading = _read(directory, ledger, key, findings)
    if reading is None:
        findings.unknown.add(f"{_SITES}/{name}")
        return
    heads = [
        entry
        for entry in centre.entries
        if entry.kind == "checkpoint" and entry.body["site"] == name
    ]
    roots = _roots(reading)
    for entry in heads:
        problem = _fault_of_head(entry, reading, roots)
        if problem is not None:
            findings.add(f"{ledger}/{ENTRIES}", problem)
    if _released(reading) != _received(centre, name):
        findings.add(f"{ledger}/{ENTRIES}", "not the messages that the centre received from it")
    if _states(reading) != _states(centre):
        findings.add(f"{ledger}/{ENTRIES}", "not the states and results that the centre published")
    if not heads or heads[-1].body["note"] != reading.note:
        findings.add(f"{ledger}/{CHECKPOINT}", "not the last checkpoint in the centre's log")


def _states(reading: Reading) -> list[dict[str, object]]:
    """Give what a log says was published, in order: every party must have the same."""
    return [dict(entry.body) for entry in reading.entries if entry.kind == "state"]


def _released(reading: Reading) -> list[tuple[object, ...]]:
    """Give place and digest of all that a site sent, in order."""
    return [_message(entry) for entry in reading.entries if entry.kind == "release"]


def _received(centre: Reading, site: str) -> list[tuple[object, ...]]:
    """Give the same of all that the centre received from a site."""
    return [
        _message(entry)
        for entry in centre.entries
        if entry.kind == "received" and entry.body["site"] == site
    ]


def _message(entry: Entry) -> tuple[object, ...]:
    return tuple(entry.body[key] for key in ("step", "round", "attempt", "phase", "sha256"))


def _roots(reading: Reading) -> list[bytes]:
    """Give the root of the log at every size from 0 on."""
    frontier = Frontier()
    roots = [frontier.root]
    for entry in reading.entries:
        frontier = frontier.add(leaf_hash(entry.to_bytes()))
        roots.append(frontier.root)
    return roots


def _fault_of_head(entry: Entry, reading: Reading, roots: Sequence[bytes]) -> str | None:
    """Say why a `checkpoint` entry is not an earlier or the last head of this very log."""
    origin = reading.checkpoint.origin
    try:
        head = parse(str(entry.body["note"])).verify(origin, reading.public_key)
    except IntegrityError as error:
        return f"a checkpoint entry of the centre does not hold: {error}"
    if (head.size, head.root.hex()) != (entry.body["size"], entry.body["root"]):
        return "a checkpoint entry of the centre says another size or root than its note"
    if head.origin != origin or head.size >= len(roots) or head.root != roots[head.size]:
        return "not the log of an earlier checkpoint in the centre's log; it was rewritten"
    return None


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, int]]:
    """Give path (relative, posix) and file mode of all there is; links are not followed."""
    try:
        with os.scandir(directory) as listing:
            items = sorted((item.name, item.stat(follow_symlinks=False)) for item in listing)
    except OSError as error:
        raise IntegrityError(f"{directory}: cannot be read: {error.strerror}") from error
    for name, status in items:
        yield prefix + name, status.st_mode
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(directory / name, f"{prefix}{name}/")


def _check_found(directory: Path, found: Mapping[str, int], findings: _Findings) -> None:
    """Compare what is there with what is listed."""
    listed = findings.files.keys() | findings.ledgers
    folders = {parent for path in listed for parent in _parents(path)}
    for path in listed - found.keys():
        if path in findings.files:
            findings.add(path, "missing")
    for path, mode in found.items():
        if stat.S_ISREG(mode):
            _check_file(directory, path, findings)
        elif not stat.S_ISDIR(mode):
            findings.add(path, "a link or special file; expected regular files only")
        elif path not in folders and not _is_unknown(path, findings):
            findings.add(path, "a folder that holds nothing listed")


def _check_file(directory: Path, path: str, findings: _Findings) -> None:
    listed = findings.files.get(path)
    if listed is not None:
        try:
            with (directory / path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except OSError as error:
            findings.add(path, f"cannot be read: {error.strerror}")
            return
        if (digest, size) != (listed.sha256, listed.size):
            findings.add(path, f"altered: {size} bytes, sha256 {digest}; see the ledger")
    elif path not in findings.ledgers and not _is_unknown(path, findings):
        findings.add(path, "not in the ledger")


def _parents(path: str) -> Iterator[str]:
    for place, letter in enumerate(path):
        if letter == "/":
            yield path[:place]


def _is_unknown(path: str, findings: _Findings) -> bool:
    """Tell whether the path belongs to a site whose log does not hold, and so lists nothing."""
    return any(path == site or path.startswith(f"{site}/") for site in findings.unknown)


def _printable(path: str) -> str:
    r"""Give the path with what could forge a line of the message, or fail to print, escaped.

    >>> _printable("a\nb")
    'a\\nb'
    """
    escaped = (c if c.isprintable() else ascii(c)[1:-1] for c in path)
    return "".join(escaped)
