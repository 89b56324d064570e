"""The clinic's connection to a model's owner."""

import http.client
import json
import ssl
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from equipoise.errors import InputError, ProtocolError, RefusedError, TransportError
from equipoise.protections.score_scheme import Answer
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.listing import (
    Description,
    Listing,
    read_description,
    read_listing,
)
from equipoise.tools.encrypted_scoring.server import Certificates


class BusyOwnerError(TransportError):
    """The owner's server has as many requests under way as it takes."""


SILENCE: Final = 300.0
"""Seconds for which a server may be silent."""

_MOST_TOLD: Final = 1 << 16


class Client:
    """One connection, made when it is first used and kept over requests."""

    def __init__(self, address: str, certificates: Certificates) -> None:
        """Take the address, https://HOST:PORT; InputError for another kind."""
        parts = urlsplit(address)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        beyond = parts.path not in ("", "/") or parts.query or parts.username
        if parts.scheme != "https" or not host or beyond:
            raise InputError(
                f"{address} is no address of a model's owner; expected https://HOST:PORT, as the"
                " owner told it"
            )
        self._where = f"{host}, port {port or 443}"
        self._http = http.client.HTTPSConnection(
            host, port, timeout=SILENCE, context=certificates.context(listens=False)
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def description(self) -> Description:
        """Return what the owner says of the model."""
        with self._asked("GET", "/v1/model") as reply:
            return read_description(reply.read(_MOST_TOLD))

    def listing(self, said: Description) -> Listing:
        """Return the model's list of variants."""
        with self._asked("GET", "/v1/variants") as reply:
            zipped = reply.read(said.list_zipped)
        # What follows may take longer than a server waits; the next request connects again.
        self._http.close()
        return read_listing(zipped, said)

    def scores(self, head: wire.Head, elements: Iterable[bytes], n_weights: int) -> list[Answer]:
        """Return the answers to a request; its frames are sent as they are made."""

        def parts() -> Iterable[bytes]:
            yield head.packed()
            yield from elements

        length = wire.asked_bytes(head.people, n_weights)
        with self._asked("POST", "/v1/scores", parts(), length) as reply:
            expected = wire.answered_bytes(head.people, n_weights)
            if reply.length != expected:
                raise ProtocolError(
                    f"the server's reply has {reply.length} bytes; expected {expected}; ask the"
                    " model's owner"
                )

            def read(size: int) -> bytes:
                found = reply.read(size)
                if len(found) != size:
                    raise self._lost("the reply was cut short")
                return found

            return wire.read_answers(read, head.people, n_weights)

    def _asked(
        self, method: str, path: str, body: Iterable[bytes] | None = None, length: int = 0
    ) -> http.client.HTTPResponse:
        """Return the reply to a request; RefusedError or TransportError where it is refused."""
        headers = {} if body is None else {"Content-Length": str(length)}
        try:
            if self._http.sock is None:  # pyright: ignore[reportUnnecessaryComparison]  (typeshed's)
                self._http.connect()
            # A server that refuses may close before all is sent: it has said why.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._http.request(method, path, body, headers)
            reply = self._http.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise self._lost(
                f"its certificate does not hold: {error.verify_message}; see --authority, and that"
                " the address is the one that the certificate is for"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(_reason(error)) from None
        if reply.status != http.client.OK:
            raise self._refused(reply)
        return reply

    def _refused(self, reply: http.client.HTTPResponse) -> Exception:
        """Return the error that a server's refusal is; its words are shown as plain text."""
        message = ""
        with suppress(ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
            message = str(json.loads(reply.read(_MOST_TOLD))["message"])
        plain = "".join(c if c.isprintable() else " " for c in message)[:600]
        self._http.close()
        said = f"the owner's server refuses ({reply.status}): {plain or 'it does not say why'}"
        if reply.status == http.client.SERVICE_UNAVAILABLE:
            return BusyOwnerError(said)
        return self._lost(said) if reply.status >= 500 else RefusedError(said)

    def _lost(self, why: str) -> TransportError:
        return TransportError(
            f"no score from {self._where}: {why}; scores that were not written are not there; try"
            " again when that is mended"
        )


def _reason(error: Exception) -> str:
    """Return why a connection failed, without its bytes."""
    if isinstance(error, ssl.SSLError):
        said = (error.reason or "TLS failed").lower().replace("_", " ")
        return f"no TLS connection ({said}); see --certificate and --key with the model's owner"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__
