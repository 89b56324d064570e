"""A long text file in pieces of whole lines, so that memory is that of one piece."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from equipoise.errors import InputError, Problem
from equipoise.genotypes.text import Fault, whole

PIECE: Final = 1 << 21
"""Bytes that are read at a time."""

_MARK: Final = b"\xef\xbb\xbf"


def pieces(path: Path, what: str, digest: Any, size: int) -> Iterator[tuple[int, bytes]]:
    r"""Yield the text of a file as whole lines, each piece with the number of its first line.

    Together they are what `text.contents` gives, with the same errors: unzipped where it is gzip,
    line ends alike, none after the last line. `size` bytes are read at a time, and `digest` is
    told them.

    >>> import hashlib, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "list"
    >>> _ = path.write_bytes(b"a\r\nb\n\nc\n\n")
    >>> list(pieces(path, "list", hashlib.sha256(), 2))
    [(1, b'a'), (2, b'b\n'), (4, b'c')]
    """
    expected = f"the {what}"
    held, first = b"", 1
    for data in _read(path, expected, digest, size):
        held = (held + data).replace(b"\r\n", b"\n")
        # Lines that may yet be the last ones wait: what follows them is to be dropped.
        end = len(held.rstrip(b"\n"))
        cut = held.rfind(b"\n", 0, end)
        if cut >= 0:
            yield first, _text(path, held[:cut], first)
            first += held.count(b"\n", 0, cut) + 1
            held = held[cut + 1 :]
    if last := held.rstrip(b"\n"):
        yield first, _text(path, last, first)
    elif first == 1:
        raise whole(path, "an empty file", expected, "write or copy it again")


def _read(path: Path, expected: str, digest: Any, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file, unzipped where they are gzip, without the mark of UTF-8."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            hashed: Any = _Hashed(file, digest)
            source: Any = gzip.GzipFile(fileobj=hashed) if zipped else hashed
            data = source.read(max(size, len(_MARK)))
            yield data.removeprefix(_MARK)
            while data := source.read(size):
                yield data
    except FileNotFoundError:
        raise whole(path, "no such file", expected, "correct the path or add the file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise whole(path, "a gzip file cut short or altered", expected, "copy it again") from None
    except OSError:
        raise whole(path, "a file that cannot be read", expected, "allow reading it") from None


class _Hashed:
    """A file whose bytes pass by a digest as they are read."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file, self._digest = file, digest

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data


def _text(path: Path, data: bytes, first: int) -> bytes:
    """Return the bytes once they are UTF-8."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = first + data.count(b"\n", 0, error.start)
        problem = Problem(str(path), line, "bytes that are no UTF-8", "text", "save it as UTF-8")
        raise InputError(problem) from None
    return data


def together(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults of pieces as those of the whole: lines with the same fault are one."""
    found: dict[tuple[str, str, str], Fault] = {}
    for fault in faults:
        kind = fault.found, fault.expected, fault.remedy
        earlier = found.get(kind)
        both = fault if earlier is None else _joined(earlier, fault)
        found[kind] = both
    return list(found.values())


def _joined(one: Fault, other: Fault) -> Fault:
    return replace(one, lines=np.concatenate([one.lines, other.lines]))
