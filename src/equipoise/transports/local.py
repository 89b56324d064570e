"""Sites as threads of this process, reached through queues that carry bytes alone."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import Empty, Full, Queue
from threading import Event, Thread

from equipoise.errors import TransportError

Handle = Callable[[Iterator[bytes]], Iterator[bytes]]
"""What a site does with a message: it takes frames and gives frames."""

logger = logging.getLogger(__name__)

FRAMES_AHEAD = 4
"""How many frames may wait in a queue, so that streams stay in bounded memory."""

_GLANCE = 0.2
"""Seconds between two looks at whether the other side is still there."""


class _Pipe:
    """A stream of frames between two threads; it ends, or is broken by either side."""

    def __init__(self) -> None:
        self._frames: Queue[bytes | None] = Queue(FRAMES_AHEAD)
        self._broken = Event()

    def fill(self, frames: Iterable[bytes]) -> None:
        """Put all frames in, and then the end. Nothing more once the pipe is broken.

        Where the frames themselves fail, the reader learns that they are cut off.
        """
        try:
            for frame in frames:
                self._put(frame)
            self._put(None)
        except Exception as error:
            if not self._broken.is_set():
                logger.warning("a stream was cut off: %s", type(error).__name__)
            self.break_off()

    def frames(self) -> Iterator[bytes]:
        """Yield the frames as they come; TransportError where the stream was broken off."""
        while True:
            try:
                frame = self._frames.get(timeout=_GLANCE)
            except Empty:
                if self._broken.is_set():
                    raise TransportError("the other side broke off in mid-message") from None
                continue
            if frame is None:
                return
            yield frame

    def break_off(self) -> None:
        """Let both sides go."""
        self._broken.set()

    def _put(self, frame: bytes | None) -> None:
        while not self._broken.is_set():
            try:
                self._frames.put(frame, timeout=_GLANCE)
            except Full:
                continue
            return
        raise TransportError("nobody reads this stream any more")


class LocalTransport:
    """Reaches sites in this process. It is given what handles bytes, never a site."""

    def __init__(self, handles: Mapping[str, Handle]) -> None:
        """Start one thread for each site."""
        self._calls: dict[str, Queue[tuple[_Pipe, _Pipe] | None]] = {}
        self._open: dict[str, tuple[_Pipe, _Pipe]] = {}
        self._threads: list[Thread] = []
        for name in sorted(handles):
            self._calls[name] = Queue()
            serve = (self._calls[name], handles[name])
            self._threads.append(
                Thread(target=_serve, args=serve, name=f"site-{name}", daemon=True)
            )
            self._threads[-1].start()

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, sorted."""
        return tuple(self._calls)

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        """Send a request to each site named and return their answers as they come.

        What was left unread of an earlier exchange is given up.
        """
        if strange := set(requests) - set(self._calls):
            raise TransportError(f"there are no sites {sorted(strange)} to reach")
        self._give_up()
        for name, frames in requests.items():
            self._open[name] = pipes = (_Pipe(), _Pipe())
            self._calls[name].put(pipes)
            Thread(target=pipes[0].fill, args=(frames,), daemon=True).start()
        return {name: self._open[name][1].frames() for name in requests}

    def close(self) -> None:
        """Let the sites go."""
        self._give_up()
        for calls in self._calls.values():
            calls.put(None)
        for thread in self._threads:
            thread.join(timeout=5)

    def _give_up(self) -> None:
        for request, answer in self._open.values():
            request.break_off()
            answer.break_off()
        self._open.clear()


def _serve(calls: Queue[tuple[_Pipe, _Pipe] | None], handle: Handle) -> None:
    while (pipes := calls.get()) is not None:
        request, answer = pipes
        answer.fill(handle(request.frames()))
