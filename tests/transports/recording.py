"""Sites that keep what came, or answer with it."""

from collections.abc import Iterator


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
