"""The folders of a run: where its results may go, and where sites keep what is theirs."""

import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from itertools import count
from pathlib import Path

from equipoise.errors import InputError

LITTLE = 2**20
"""Bytes left on a disk below which a fault is said to come with a full one."""


def free(out: Path) -> Path:
    """Return where `out` leads; InputError unless a folder can be put there."""
    target = out.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            f"{out} exists already; a run writes a new folder and never into an old one:"
            " choose another --out or remove it"
        )
    if target.is_mount():
        raise InputError(f"{out} is where a disk is mounted; choose a new folder inside it")
    return target


def numbered(folder: Path, name: str) -> Path:
    """Return the first of `name-1`, `name-2` and so on that is not in a folder."""
    return next(p for n in count(1) if not (p := folder / f"{name}-{n}").exists())


@contextmanager
def beside(target: Path) -> Generator[Path]:
    """Yield a folder beside `target` that nobody else reads, and that goes in the end.

    All that a run writes before it has ended lies in there, whatever breaks it off. InputError
    where none can be made, OSError where the disk is full.
    """
    work = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _new(work)
        yield work
    finally:
        try:
            shutil.rmtree(work, ignore_errors=True)
        except KeyboardInterrupt:
            # Polars raises one of its own for a signal that Python then raises again here.
            shutil.rmtree(work, ignore_errors=True)
            raise


def _new(folder: Path) -> None:
    """Make the folder that a run works in: nobody else reads it.

    InputError where none can be made, OSError where the disk is full.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise _refused(folder.parent, "--out", error) from error


def _refused(place: Path, option: str, error: OSError) -> Exception:
    if error.errno in (ENOSPC, EDQUOT):
        return error
    return InputError(
        f"{place}: no folder can be made here ({error.strerror}); choose another {option}"
    )


def full(folder: Path) -> str:
    """Return a sentence where a disk in use is full, nothing where none is."""
    for used in (folder, Path(tempfile.gettempdir())):
        if shutil.disk_usage(used).free < LITTLE:
            return f"\nThe disk of {used} is full: free some of it and run again."
    return ""


def keep_refusal(partial: Path, out: Path) -> Path:
    """Move a refused run beside where its results would have been; return the place."""
    return partial.replace(numbered(out.parent, f"{out.name}.refused"))


def homes(given: Path | None, work: Path) -> Path:
    """Return the folder of the sites' own: the one given, or one that goes with the work."""
    folder = given or work / "homes"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _refused(folder, "--homes", error) from error
    return folder
