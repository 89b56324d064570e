"""Sites in processes of their own, reached over NVFLARE's cell network with mutual TLS.

One process a site, which connects to the centre and opens no port. What goes over the
wire are parcels of bytes (`nvflare_parcels`), each asked for by the centre; whatever a
link loses is asked for again, and a message is delivered once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Event
from time import monotonic
from typing import Any, Protocol

from equipoise.errors import TransportError
from equipoise.transports import nvflare_cell
from equipoise.transports.nvflare_cell import cell_name
from equipoise.transports.nvflare_ends import CentreEnd, Handle, SiteEnd
from equipoise.transports.nvflare_tls import CENTRE, SCHEME, Credentials, check_own

PATIENCE = 600.0
"""Seconds for which a site may be silent before the run ends."""

_GLANCE = 0.1


class Watch(Protocol):
    """Is told by any thread how the sites are, as the centre sees it."""

    def site(self, name: str, state: str) -> None:
        """A site is now `connected`, `asked`, `at work`, `answering`, `answered`, `silent`."""
        ...

    def refused(self, reason: str) -> None:
        """A connection was not made; this is why."""
        ...


class Unwatched:
    """Nobody looks."""

    def site(self, name: str, state: str) -> None:
        """Say nothing."""

    def refused(self, reason: str) -> None:
        """Say nothing."""


class NvflareTransport:
    """Reaches sites that have connected to this process. See `equipoise.transport`."""

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        sites: Sequence[str],
        *,
        watch: Watch | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Listen at `address`, `host:port`, for the sites of these names.

        TransportError where nothing can listen there, InputError where NVFLARE is not
        installed or the credentials are of no use.
        """
        check_own(credentials, CENTRE, datetime.now(UTC))
        self._sites, self._watch = tuple(sorted(sites)), watch or Unwatched()
        self._session, self._exchange = os.urandom(16), 0
        names = {cell_name(site): site for site in self._sites}
        url = f"{SCHEME}://{address}"
        self._cell: Any = nvflare_cell.open_cell(
            CENTRE, url, credentials, names, self._watch.refused
        )
        self._ends = {site: self._end(site, patience) for site in self._sites}

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, sorted."""
        return self._sites

    def wait(self, patience: float) -> None:
        """Return when every site is connected; TransportError after so many seconds."""
        absent, began = set(self._sites), monotonic()
        while absent:
            for site in [s for s in sorted(absent) if nvflare_cell.is_connected(self._cell, s)]:
                absent.remove(site)
                self._watch.site(site, "connected")
            if absent and monotonic() - began > patience:
                raise TransportError(
                    f"after {patience:g} seconds these sites are not connected:"
                    f" {', '.join(sorted(absent))}; have `equipoise site serve` started there"
                )
            Event().wait(_GLANCE)

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        """Send a request to each site named and return their answers as they come.

        What was left unread of an earlier exchange is given up.
        """
        if strange := set(requests) - set(self._sites):
            raise TransportError(f"there are no sites {sorted(strange)} to reach")
        self._give_up()
        self._exchange += 1
        return {
            site: self._ends[site].begin(self._session, self._exchange, frames)
            for site, frames in requests.items()
        }

    def close(self) -> None:
        """Let the sites go: each is told once that this was all."""
        self._give_up()
        for site, end in self._ends.items():
            if nvflare_cell.is_connected(self._cell, site):
                end.end(self._session, self._exchange)
        nvflare_cell.close_cell(self._cell)

    def leave(self) -> None:
        """Stop without a word to the sites: they wait for the centre to come back."""
        self._give_up()
        nvflare_cell.close_cell(self._cell)

    def _give_up(self) -> None:
        for end in self._ends.values():
            end.give_up()

    def _end(self, site: str, patience: float) -> CentreEnd:
        def link(data: bytes, patience: float) -> bytes | bytearray | None:
            return nvflare_cell.question(self._cell, site, data, patience)

        def heard(state: str) -> None:
            self._watch.site(site, state)

        return CentreEnd(site, link, patience, heard)


def serve(
    handle: Handle,
    *,
    site: str,
    address: str,
    credentials: Credentials,
    stop: Event | None = None,
    patience: float | None = None,
) -> bool:
    """Answer the centre at `address`, `host:port`; return whether it said that this was all.

    stop      set by whoever wants this to end before
    patience  seconds to wait for the first contact; None to wait for as long as it takes

    TransportError where the centre's certificate does not hold or it does not take this
    site's; InputError where NVFLARE is not installed or the credentials are of no use.
    """
    check_own(credentials, site, datetime.now(UTC))
    stop, refusals, end = stop or Event(), list[str](), SiteEnd(handle)
    url, names = f"{SCHEME}://{address}", {"server": CENTRE}
    began, met = monotonic(), False
    with ExitStack() as stack:
        stack.callback(end.close)
        cell = nvflare_cell.open_cell(site, url, credentials, names, refusals.append, end.take)
        stack.callback(nvflare_cell.close_cell, cell)
        while not end.ended.wait(_GLANCE) and not stop.is_set():
            met = met or nvflare_cell.is_connected(cell, CENTRE)
            if refusals:
                raise TransportError(f"no contact with the centre: {refusals[0]}")
            if not met and patience is not None and monotonic() - began > patience:
                raise TransportError(f"no contact with the centre at {address}; is it running?")
    return end.ended.is_set()
