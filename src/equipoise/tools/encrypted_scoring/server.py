"""HTTPS to a scorer: who asks is known by certificate; what is refused says why.

Three addresses: GET /v1/model, GET /v1/variants, POST /v1/scores. TLS 1.3, and every client
shows a certificate that the given authority signed; its common name is the client's name.
"""

import contextlib
import json
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, Final, cast

from equipoise.errors import EquipoiseError, InputError, ProtocolError
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.limits import LimitError
from equipoise.tools.encrypted_scoring.scorer import BusyError, Scorer

log = logging.getLogger(__name__)

CONNECTIONS: Final = 32
"""Connections at a time; more are closed at once."""

HANDSHAKE: Final = 10.0
SILENCE: Final = 300.0
SENDING: Final = 60.0
"""Seconds within which a client shows its certificate, for which it may then be silent between
requests, and within one."""

_DRAINED: Final = 5.0
"""Seconds for which what a refused client still sends is read, so that it gets to read why."""

_STATUS: Final = ((LimitError, 429), (BusyError, 503), (ProtocolError, 400))


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: the own certificate, its key, and who signs those of the other side."""

    certificate: Path
    key: Path
    authority: Path

    def context(self, *, listens: bool) -> ssl.SSLContext:
        """Return a context for TLS 1.3 in which both sides show a certificate.

        A client also checks that the server's is for the host that it connects to. InputError
        for files that are not what they should be.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.verify_mode = ssl.CERT_REQUIRED
        if listens:
            made.num_tickets = 0  # no session is resumed: every connection is checked
        try:
            made.load_verify_locations(self.authority)
            made.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
            raise InputError(
                f"{self.certificate}, {self.key} or {self.authority} cannot be read as a"
                f" certificate, its key and an authority in PEM ({reason or 'wrong form'});"
                " expected a pair that belongs together, the key without a password"
            ) from None
        return made


class Server(ThreadingHTTPServer):
    """Answers for a scorer until it is shut down."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, address: tuple[str, int], scorer: Scorer, certificates: Certificates):
        """Listen at host and port; InputError where that cannot be."""
        self.scorer = scorer
        self._context = certificates.context(listens=True)
        self._free = BoundedSemaphore(CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise InputError(
                f"nothing can listen at {address[0]}, port {address[1]} ({error.strerror});"
                " give --listen an address of this machine and a port that is free"
            ) from None

    def server_bind(self) -> None:
        """Bind without asking a name server for the host's name, as the parent does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, unless there are as many as may be."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands within a time limit, in the connection's own thread, then answer."""
        request.settimeout(HANDSHAKE)
        with self._context.wrap_socket(request, server_side=True) as secure:
            secure.settimeout(SILENCE)
            super().finish_request(cast("socket.socket", secure), client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (the parent's)
        """Say that a connection failed, and nothing of what came through it."""
        log.info("a connection ended early or was no TLS 1.3 with a certificate that holds")


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "equipoise"
    sys_version = ""

    @property
    def _scorer(self) -> Scorer:
        return cast("Server", self.server).scorer

    def do_GET(self) -> None:
        """Give out the description or the list."""
        scorer = self._scorer
        if self.path == "/v1/model":
            self._tell(lambda client: [scorer.describe(client)], "application/json")
        elif self.path == "/v1/variants":
            self._tell(lambda _: [scorer.zipped], "application/gzip")
        else:
            self._refuse(404, "NotFound", "there are /v1/model, /v1/variants and /v1/scores")

    def do_POST(self) -> None:
        """Score people."""
        said = self.headers.get("Content-Length", "")
        if self.path != "/v1/scores":
            self._refuse(404, "NotFound", "what is sent goes to /v1/scores")
        elif not said.isascii() or not said.isdigit() or len(said) > 12:
            self._refuse(411, "ProtocolError", "a request without its length; send Content-Length")
        else:
            self._tell(lambda client: self._scored(client, int(said)), "application/octet-stream")

    def _scored(self, client: str, length: int) -> list[bytes]:
        self.connection.settimeout(SENDING)
        answers = self._scorer.score(client, length, self._read)
        self.connection.settimeout(SILENCE)
        people = sum(len(one.sums) for one in answers)
        log.info("%s: %d scores", client, people)
        return list(wire.write_answers(answers))

    def _tell(self, made: Callable[[str], list[bytes]], kind: str) -> None:
        """Send what is made for the client that asks, or why it is not."""
        try:
            parts = made(self._client())
        except EquipoiseError as error:
            status = next((s for k, s in _STATUS if isinstance(error, k)), 500)
            shown = str(error) if status != 500 else "the server failed; tell the model's owner"
            self._refuse(status, type(error).__name__, shown)
            return
        except OSError:
            raise
        except Exception as error:  # whatever it is, the client learns no more than that
            log.exception("a request failed")
            self._refuse(500, type(error).__name__, "the server failed; tell the model's owner")
            return
        self._send(200, kind, parts)

    def _client(self) -> str:
        """Return the common name of the client's certificate; ProtocolError without a plain one."""
        shown: Any = cast("ssl.SSLSocket", self.connection).getpeercert() or {}
        names = [v for part in shown.get("subject", ()) for k, v in part if k == "commonName"]
        if len(names) != 1 or not names[0].isprintable():
            raise ProtocolError(
                "the client's certificate has no common name, or several; have it made with one"
            )
        return str(names[0])

    def _read(self, size: int) -> bytes:
        found = self.rfile.read(size)
        if len(found) != size:
            raise ConnectionError("the client stopped sending")
        return found

    def _send(self, status: int, kind: str, parts: Iterable[bytes]) -> None:
        held = list(parts)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(sum(map(len, held))))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        for part in held:
            self.wfile.write(part)

    def _refuse(self, status: int, kind: str, message: str) -> None:
        """Say why, then read on for a moment: to close with bytes unread would lose the answer."""
        log.info("refused: %s", kind)
        self.close_connection = True
        body = json.dumps({"error": kind, "message": message}).encode()
        self._send(status, "application/json", [body])
        self.wfile.flush()
        if self.command == "POST":
            with contextlib.suppress(OSError):
                self.connection.settimeout(1.0)
                until = monotonic() + _DRAINED
                while monotonic() < until and self.rfile.read1(1 << 16):
                    pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the parent's name)
        """Say nothing: what matters is said where it is done."""


def _no_password() -> str:
    raise ValueError("a key with a password")
