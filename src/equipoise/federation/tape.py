"""Streams of frames in files: written as they pass, with how they ended, and played again."""

import os
import struct
from collections.abc import Generator, Iterator
from enum import Enum
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from equipoise.errors import RestartedError, TransportError

_LENGTH: Final = struct.Struct(">Q")


class End(Enum):
    """How a stream on a tape ended; `CUT` where the process that wrote it did."""

    WHOLE = (1 << 64) - 1
    BROKEN = (1 << 64) - 2
    CUT = (1 << 64) - 3


def record(path: Path, frames: Iterator[bytes]) -> Generator[bytes]:
    """Pass frames on and write them down. What is on the tape is on the disk when they end.

    A stream that breaks is marked so, and its error raised. Whoever does not take it to its end
    closes it before another is recorded at that place: it would write what it still holds.
    """
    with path.open("wb") as file:
        try:
            for frame in frames:
                file.write(_LENGTH.pack(len(frame)))
                file.write(frame)
                yield frame
        except RestartedError:
            raise  # what is asked again has the same answer, from its beginning
        except TransportError:
            file.write(_LENGTH.pack(End.BROKEN.value))
            settle(file)
            raise
        file.write(_LENGTH.pack(End.WHOLE.value))
        settle(file)


def play(path: Path) -> Iterator[bytes]:
    """Yield the frames of a tape; TransportError where the stream broke there, or was cut."""
    with path.open("rb") as file:
        while not isinstance(length := _next(file), End):
            yield file.read(length)
    if length is not End.WHOLE:
        raise TransportError("the other side broke off in mid-message")


def ending(path: Path) -> End:
    """Return how the stream on a tape ended, `CUT` where there is no tape."""
    try:
        with path.open("rb") as file:
            while not isinstance(length := _next(file), End):
                file.seek(length, os.SEEK_CUR)
    except FileNotFoundError:
        return End.CUT
    return length


def settle(file: BinaryIO | FileIO) -> None:
    """Wait until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def settle_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _next(file: BinaryIO) -> int | End:
    """Return the length of the next frame, or how the tape ends here."""
    prefix = file.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return End.CUT
    (length,) = _LENGTH.unpack(prefix)
    if length in (End.WHOLE.value, End.BROKEN.value):
        return End(length)
    left = os.fstat(file.fileno()).st_size - file.tell()
    return End.CUT if length > left else length
