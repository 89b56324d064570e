"""Streams of frames over a link that carries one question and one answer at a time.

The centre asks and a site answers: nothing ever leaves a site that was not asked for. A
stream of frames is cut into numbered parcels; each is asked for, or handed over, again
until its receipt has come, and counted once. So a link may lose, double or delay what
it carries. Nothing here knows which link that is, nor what the frames say.

A parcel is a fixed head (magic, version, kind, session, exchange, number) and bytes. A
session is one life of the centre's transport; exchanges are numbered within it. What
belongs to an earlier exchange, or to a session that another has followed, is gone.
"""

import logging
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from threading import Condition
from typing import Final, NamedTuple

from equipoise.errors import TransportError

logger = logging.getLogger(__name__)

PART: Final = 1 << 20
"""Bytes of a stream that one parcel carries at most."""

AHEAD: Final = 4
"""How many parcels may wait on each side, so that streams stay in bounded memory."""

FRAME_LIMIT: Final = 1 << 31
"""Bytes of a frame at most."""

LARGEST: Final = PART + 64
"""Bytes of a whole parcel at most."""

_MAGIC: Final = b"EQPP"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">4sBB16sQQ")
_LENGTH: Final = struct.Struct(">Q")


Part = tuple[bytes | memoryview, ...]
"""Bytes that one parcel carries, in pieces: they are put together, and copied, once, there."""


class Kind(IntEnum):
    """What a parcel is: the first five are the centre's, the others a site's."""

    PART = 1  # of the request; more follow
    LAST = 2  # the last of the request
    CUT = 3  # the request broke off at the centre
    GET = 4  # asks for a part of the answer, and has all before it
    END = 5  # no more exchanges
    TAKEN = 16  # the part has arrived
    LATER = 17  # no room for it yet, or nothing to give yet
    GIVEN = 18  # a part of the answer; more follow
    FINAL = 19  # the last of the answer
    BROKEN = 20  # the answer broke off at the site
    GONE = 21  # this exchange is not, or no longer, known here


ENDING: Final = (Kind.LAST, Kind.CUT, Kind.FINAL, Kind.BROKEN)


class Parcel(NamedTuple):
    """One question or answer."""

    kind: Kind
    session: bytes
    exchange: int
    number: int
    body: Part = ()

    def to_bytes(self) -> bytes:
        """Return what goes over the link."""
        head = _HEAD.pack(_MAGIC, _VERSION, self.kind, self.session, self.exchange, self.number)
        return b"".join((head, *self.body))

    @staticmethod
    def from_bytes(data: bytes | bytearray) -> "Parcel":
        """Return what came over the link; ValueError for anything else than a parcel."""
        if not _HEAD.size <= len(data) <= LARGEST:
            raise ValueError("no parcel has this size")
        magic, version, kind, session, exchange, number = _HEAD.unpack_from(data)
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("not a parcel of this version")
        return Parcel(Kind(kind), session, exchange, number, (memoryview(data)[_HEAD.size :],))

    def answer(self, kind: Kind, body: Part = ()) -> "Parcel":
        """Return an answer to this question."""
        return Parcel(kind, self.session, self.exchange, self.number, body)


def parts(frames: Iterable[bytes], size: int = PART) -> Iterator[Part]:
    """Yield the frames, each behind its length, as one stream cut into parts of `size` bytes."""
    waiting: list[bytes | memoryview] = []
    filled = 0
    for frame in frames:
        for piece in (_LENGTH.pack(len(frame)), memoryview(frame)):
            rest = piece
            while filled + len(rest) >= size:
                room = size - filled
                yield (*waiting, rest[:room])
                rest, filled, waiting = rest[room:], 0, []
            if rest:
                waiting.append(rest)
                filled += len(rest)
    if waiting:
        yield tuple(waiting)


def frames_of(stream: Iterable[Part]) -> Iterator[bytes]:
    """Yield the frames that `parts` cut; TransportError where the last is not whole."""
    reader = _Reader(iter(stream))
    while reader.has(1):
        (length,) = _LENGTH.unpack(reader.take(_LENGTH.size))
        if length > FRAME_LIMIT:
            raise TransportError("a frame is announced as larger than any may be")
        yield reader.take(length)


class _Reader:
    """Takes so many bytes at a time from parts of any size, and copies each byte once."""

    def __init__(self, stream: Iterator[Part]) -> None:
        self._stream = stream
        self._held: deque[memoryview] = deque()
        self._size = 0

    def has(self, wanted: int) -> bool:
        """Return whether so many bytes are left, read as far as that needs."""
        while self._size < wanted:
            part = next(self._stream, None)
            if part is None:
                return False
            self._held.extend(memoryview(piece) for piece in part if piece)
            self._size += sum(map(len, part))
        return True

    def take(self, wanted: int) -> bytes:
        """Return the next bytes; TransportError where there are fewer."""
        if not self.has(wanted):
            raise TransportError("the other side broke off in mid-frame")
        pieces: list[memoryview] = []
        left = wanted
        while left:
            piece = self._held.popleft()
            if len(piece) > left:
                self._held.appendleft(piece[left:])
                piece = piece[:left]
            pieces.append(piece)
            left -= len(piece)
        self._size -= wanted
        return b"".join(pieces)


def marked(stream: Iterable[Part], last: Kind, cut: Kind) -> Iterator[tuple[Kind, Part]]:
    """Yield the parts, the last marked as `last`; where the stream fails, `cut` ends them."""
    held: Part | None = None
    kind = last
    try:
        for part in stream:
            if held is not None:
                yield Kind.PART, held
            held = part
    except Exception as error:  # whatever it was: the reader learns that it is cut off
        logger.warning("a stream was cut off: %s", type(error).__name__)
        if held is not None:
            yield Kind.PART, held
        held, kind = None, cut
    yield kind, held or ()


class Buffer:
    """Parts in order between the thread that has them and the one that wants them.

    At most `AHEAD` wait. Each has a number, and is kept until the next one is asked for,
    so that either side may ask twice.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._held: deque[tuple[Kind, Part]] = deque()
        self._first = 0  # the number of the first part held
        self._ended = self._broken = False
        self._error = TransportError("the other side broke off in mid-message")

    @property
    def broken(self) -> bool:
        """Whether either side has let go."""
        return self._broken

    def break_off(self, error: TransportError | None = None) -> None:
        """Let both sides go; the reader is told the first error that there was."""
        with self._changed:
            if not self._broken:
                self._broken, self._error = True, error or self._error
            self._changed.notify_all()

    def put(self, number: int, kind: Kind, body: Part, patience: float | None) -> bool | None:
        """Take a part, once; return whether there was room for it within `patience` seconds.

        None where it is not the next one, or nobody reads any more.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._broken or len(self._held) < AHEAD or number < self._next, patience
            )
            if number < self._next:
                return True
            if self._broken or self._ended or number > self._next:
                return None
            if len(self._held) >= AHEAD:
                return False
            self._held.append((kind, body))
            self._ended = kind in ENDING
            self._changed.notify_all()
            return True

    def get(self, number: int, patience: float | None) -> tuple[Kind, Part] | None:
        """Return a part, and drop those before it; None where it is not there in time.

        Raises TransportError where it never will be: it was dropped, or the other side
        has let go.
        """
        with self._changed:
            if self._first < number <= self._next:
                for _ in range(number - self._first):
                    self._held.popleft()
                self._first = number
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._broken or number < self._next, patience)
            if self._broken or not self._first <= number <= self._next:
                raise type(self._error)(*self._error.args)
            return self._held[number - self._first] if number < self._next else None

    def fill(self, stream: Iterator[Part], last: Kind, cut: Kind) -> None:
        """Put all parts in, the last marked as `last`, or as `cut` where the stream failed."""
        for number, (kind, part) in enumerate(marked(stream, last, cut)):
            if not self.put(number, kind, part, None):
                return

    def stream(self) -> Iterator[Part]:
        """Yield the parts as they come; TransportError where they are cut off."""
        number = 0
        while True:
            found = self.get(number, None)
            if found is None or found[0] in (Kind.CUT, Kind.BROKEN):
                raise type(self._error)(*self._error.args)
            if found[1]:
                yield found[1]
            if found[0] in ENDING:
                return
            number += 1

    @property
    def _next(self) -> int:
        return self._first + len(self._held)
