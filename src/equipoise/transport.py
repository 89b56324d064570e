"""The contract of a transport: it carries bytes to sites and brings bytes back."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class Transport(Protocol):
    """All that the centre ever holds of a site.

    A message is a stream of frames, each of them bytes, in order. Each request is
    delivered once; TransportError says that one was not, or that an answer was cut off.
    """

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites that can be reached, sorted."""
        ...

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        """Send a request to each site named and return their answers as they come."""
        ...

    def close(self) -> None:
        """Let the sites go."""
        ...
