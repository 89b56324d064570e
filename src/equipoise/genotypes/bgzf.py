"""A text file, plain, gzip or BGZF, as a stream whose blocks are checked one by one.

A BGZF file is a row of gzip members that ends with an empty one (SAM specification, section
4.1); each member ends with the checksum and the length of what it holds.
"""

import io
import zlib
from pathlib import Path
from typing import BinaryIO, Final, cast

from equipoise.errors import InputError
from equipoise.genotypes.source import Progress, broken
from equipoise.genotypes.text import whole

_CHUNK: Final = 1 << 17
_MOST: Final = 1 << 20
_GZIP: Final = 31
_COPY: Final = "copy the file again"


class Inflated(io.RawIOBase):
    """The bytes inside a gzip or BGZF file; InputError names the byte where a bad block begins."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        """Open the file."""
        super().__init__()
        self._path, self._progress = path, progress
        self._file: BinaryIO = path.open("rb")
        self._size = max(path.stat().st_size, 1)
        head = self._file.read(14)
        self._is_bgzf = len(head) == 14 and head[3] & 4 != 0 and head[12:14] == b"BC"
        self._file.seek(0)
        self._read = self._begins = self._held = 0
        self._tail = self._out = b""
        self._inflate = zlib.decompressobj(_GZIP)
        self._ended = True

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer with what comes next; 0 at the end."""
        view = memoryview(cast("bytearray", buffer)).cast("B")
        if not self._out:
            self._out = self._more()
        count = min(len(view), len(self._out))
        view[:count] = self._out[:count]
        self._out = self._out[count:]
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _more(self) -> bytes:
        while True:
            if not self._tail:
                self._tail = self._file.read(_CHUNK)
                self._read += len(self._tail)
                if self._progress is not None:
                    self._progress(self._read / self._size)
                if not self._tail:
                    self._check_end()
                    return b""
            out = self._block()
            if out:
                return out

    def _block(self) -> bytes:
        if self._ended:
            self._begins, self._held = self._read - len(self._tail), 0
            self._inflate, self._ended = zlib.decompressobj(_GZIP), False
        try:
            out = self._inflate.decompress(self._tail, _MOST)
        except zlib.error:
            found = "a compressed block that is altered"
            raise self._broken(self._begins, found, "a whole block") from None
        self._held += len(out)
        self._ended = self._inflate.eof
        self._tail = self._inflate.unused_data if self._ended else self._inflate.unconsumed_tail
        return out

    def _check_end(self) -> None:
        if not self._ended:
            found = f"a compressed block that is cut short at byte {self._read}"
            raise self._broken(self._begins, found, "a whole block")
        if self._is_bgzf and self._held:
            found = "the end of the file without the empty block that ends BGZF"
            raise self._broken(self._read, found, "the rest of the file")

    def _broken(self, byte: int, found: str, expected: str) -> InputError:
        return broken(self._path, f"byte {byte}", found, expected, _COPY)


class _Counted(io.RawIOBase):
    """A plain file that tells how much of it is read."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        super().__init__()
        self._file: BinaryIO = path.open("rb")
        self._size, self._progress = max(path.stat().st_size, 1), progress

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count = cast("io.RawIOBase", self._file).readinto(cast("bytearray", buffer)) or 0
        if self._progress is not None:
            self._progress(self._file.tell() / self._size)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def compressed(path: Path, what: str) -> bool:
    """Return whether the file is gzip or BGZF; InputError where it is missing or empty."""
    try:
        with path.open("rb") as file:
            magic = file.read(2)
    except FileNotFoundError:
        raise whole(path, "no such file", what, "correct the path or add the file") from None
    except OSError:
        raise whole(path, "a file that cannot be read", what, "allow reading it") from None
    if not magic:
        raise whole(path, "an empty file", what, "write or copy it again")
    return magic == b"\x1f\x8b"


def stream(path: Path, what: str, progress: Progress | None = None) -> io.BufferedReader:
    """Return the text of the file, inflated; `compressed` says the errors of opening."""
    if compressed(path, what):
        return io.BufferedReader(Inflated(path, progress), _MOST)
    return io.BufferedReader(_Counted(path, progress), _MOST)
