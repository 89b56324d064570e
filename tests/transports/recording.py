"""Sites that keep what came, or answer with it."""

from collections.abc import Iterator

from equipoise.errors import TransportError


def echo(frames: Iterator[bytes]) -> Iterator[bytes]:
    for frame in frames:
        yield b"echo " + frame


class Site:
    """Keeps what it was sent, and answers it."""

    def __init__(self) -> None:
        self.came: list[list[bytes]] = []

    def handle(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        self.came.append(list(frames))
        yield from self.came[-1]


class CutOff:
    """Keeps why requests broke off before their end, and answers all the same."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def handle(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        try:
            list(frames)
        except TransportError as error:
            self.seen.append(str(error))
        yield b"refused"


def broken() -> Iterator[bytes]:
    """Yield the frames of a request that fails after its first one."""
    yield b"first"
    raise OSError
