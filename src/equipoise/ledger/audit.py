"""Checking a whole output folder against its ledgers.

    OUT/ledger/                   the centre's log
    OUT/sites/<site>/ledger/      each site's log
    OUT/keeper/ledger/            the key keeper's log, where the study has one
    OUT/...                       what the centre's log lists, path relative to OUT
    OUT/sites/<site>/...          what the site's log lists, path relative to that folder

Nothing else may be there. The chain of proof: the centre's root covers its
log; its `sites` entry names every site's key and its last `checkpoint` entry
every site's head, which covers the site's log; `artefact` entries of all logs
cover all other files. Earlier `checkpoint` entries of a site must be heads of
the same log, so that a site which rewrote its log during the run is seen.
A `keeper` entry does the same for the key keeper, each of whose decryptions
must be of a total that the centre entered, of contributions that all sites signed,
each for another round and key.

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
from equipoise.ledger import comparing
from equipoise.ledger.entry import Entry
from equipoise.ledger.reading import CHECKPOINT, ENTRIES, Reading, read

_LEDGER = "ledger"
_SITES = "sites"
_KEEPER = "keeper"


@dataclass(frozen=True, slots=True)
class Verification:
    """What held: the centre's root, the entries of all logs, the files, the sites' names.

    keeper  whether there is a key keeper's log, and so every decryption held
    """

    root: bytes
    entries: int
    files: int
    sites: tuple[str, ...]
    keeper: bool = False


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
    _check_keeper(directory, centre, sites, findings)
    _check_found(directory, found, findings)
    if findings.problems:
        raise _all(directory, findings)
    count = len(findings.files)
    keeper = any(entry.kind == "keeper" for entry in centre.entries)
    return Verification(centre.checkpoint.root, findings.entries, count, tuple(sites), keeper)


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
    reserved = (_LEDGER,) if folder else (_LEDGER, _SITES, _KEEPER)
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
    for name in named.keys() - keys.keys() - {_KEEPER}:
        findings.add(f"{_SITES}/{name}", "has a checkpoint entry but is not in the sites entry")
    return keys


def _check_site(
    directory: Path, name: str, key: Ed25519PublicKey, centre: Reading, findings: _Findings
) -> None:
    """Check one site's log against its key and against the centre's log."""
    _check_party(directory, f"{_SITES}/{name}", name, key, centre, findings)


def _check_party(
    directory: Path,
    folder: str,
    name: str,
    key: Ed25519PublicKey,
    centre: Reading,
    findings: _Findings,
) -> Reading | None:
    """Check a party's log against its key and the centre's log; None where it does not hold."""
    ledger = f"{folder}/{_LEDGER}"
    reading = _read(directory, ledger, key, findings)
    if reading is None:
        findings.unknown.add(folder)
        return None
    heads = [
        entry
        for entry in centre.entries
        if entry.kind == "checkpoint" and entry.body["site"] == name
    ]
    roots = comparing.roots(reading)
    for entry in heads:
        problem = comparing.fault_of_head(entry, reading, roots)
        if problem is not None:
            findings.add(f"{ledger}/{ENTRIES}", problem)
    if comparing.released(reading) != comparing.received(centre, name):
        findings.add(f"{ledger}/{ENTRIES}", "not the messages that the centre received from it")
    if comparing.states(reading) != comparing.states(centre):
        findings.add(f"{ledger}/{ENTRIES}", "not the states and results that the centre published")
    if not heads or heads[-1].body["note"] != reading.note:
        findings.add(f"{ledger}/{CHECKPOINT}", "not the last checkpoint in the centre's log")
    return reading


def _check_keeper(
    directory: Path,
    centre: Reading,
    sites: Mapping[str, Ed25519PublicKey],
    findings: _Findings,
) -> None:
    """Check the key keeper's log, if the centre's names one, and what it decrypted."""
    named = [entry.body for entry in centre.entries if entry.kind == "keeper"]
    if not named:
        if any(e.kind == "checkpoint" and e.body["site"] == _KEEPER for e in centre.entries):
            findings.add(_KEEPER, "has a checkpoint entry, and no keeper entry names its key")
        return
    if len(named) > 1:
        findings.add(f"{_LEDGER}/{ENTRIES}", f"{len(named)} keeper entries; expected one at most")
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(named[0]["public_key"])))
    reading = _check_party(directory, _KEEPER, _KEEPER, key, centre, findings)
    if reading is None:
        return
    path = f"{_KEEPER}/{_LEDGER}/{ENTRIES}"
    made = [entry.body for entry in reading.entries if entry.kind == "decryption"]
    for problem in comparing.faults_of_decryptions(made, centre, sites):
        findings.add(path, problem)


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
