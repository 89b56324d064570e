# pyright: basic
# NVFLARE comes without types: what is made of it is `Any` here, and bytes for all others.
"""The one seam to NVFLARE: a cell that carries parcels between the centre and a site, over TLS.

Of NVFLARE 2.9 this uses the layer that all else there stands on, F3's cell network: framing,
connections that are made again, requests with replies, mutual TLS, and the rule that a
connection speaks for the name in its certificate. It does not use the job runtime or the
Collab API above it: a job brings its own Python code to the sites, and a site here runs
nothing that was sent to it.

Departures from what a cell does by itself, each to leave less open:

- Only bytes, on one channel, between the centre and the site itself are taken; whatever
  else arrives is dropped before anything decodes it (NVFLARE would decode other payloads
  by FOBS, pass messages on to third parties, and connect to addresses that it is sent).
  See `nvflare_f3`.
- Of its drivers only one is registered, ours: TCP with TLS 1.3. See `nvflare_driver`.
"""

import socket
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from equipoise.errors import InputError, TransportError
from equipoise.transports.nvflare_tls import (
    CENTRE,
    WIRE,
    Credentials,
    Refused,
    Wire,
    context_of,
)

_SERVER: Final = "server"
"""The name of the centre's cell, which is NVFLARE's for the one that listens."""


def cell_name(site: str) -> str:
    """Return the name of a site's cell: NVFLARE keeps the dot for cells within cells.

    >>> cell_name("St. Mary")
    'site~St~ Mary'
    """
    return "site~" + site.replace(".", "~")


def open_cell(
    site: str,
    url: str,
    credentials: Credentials,
    names: Mapping[str, str],
    refused: Refused,
    answer: Callable[[bytes | bytearray], bytes] | None = None,
) -> Any:
    """Return a cell that has been started.

    site    its name; that of the centre for the cell that listens at `url`
    names   the name in the certificate that each other cell must have
    answer  what a site answers to a question; None at the centre, which is asked nothing

    Raises InputError where NVFLARE is not installed, or the credentials cannot be read;
    TransportError where nothing can listen at `url`.
    """
    make, listens = _cell_class(), site == CENTRE
    if listens:
        _check_free(url)
    wire = Wire(context_of(credentials, listens), frozenset(names.values()), refused)
    name = _SERVER if listens else cell_name(site)
    # Our driver has the credentials; NVFLARE's own encryption of messages is not used.
    cell = make(name, url, True, {WIRE: wire}, auth_identity=site, auth_identity_map=dict(names))
    if answer is not None:
        cell.answers(answer)
    cell.start()
    return cell


def question(cell: Any, site: str, data: bytes, patience: float) -> bytes | bytearray | None:
    """Send bytes to a site and return its answer, None where none came in time."""
    answer = cell.ask(cell_name(site), data, patience)
    return answer if isinstance(answer, (bytes, bytearray)) else None


def close_cell(cell: Any) -> None:
    """Stop a cell and free its port."""
    cell.stop()


def is_connected(cell: Any, party: str) -> bool:
    """Return whether the cell stands in contact with a site, or with the centre."""
    return (_SERVER if party == CENTRE else cell_name(party)) in cell.agents


def _cell_class() -> Any:
    """Return our class over NVFLARE's; InputError where that is not installed."""
    try:
        return import_module("equipoise.transports.nvflare_f3").Cell
    except ImportError:
        raise InputError(
            "sites in other processes need NVFLARE, which is not installed;"
            " run: pip install 'equipoise[federation]'"
        ) from None


def _check_free(url: str) -> None:
    """Raise TransportError where the centre cannot listen; the cell would try for ever."""
    split = urlsplit(url)
    try:
        socket.create_server((split.hostname or "", split.port or 0)).close()
    except OSError as error:
        raise TransportError(
            f"cannot listen at {split.netloc}: {error.strerror or error}; free the port,"
            " or name another address of this machine"
        ) from error
