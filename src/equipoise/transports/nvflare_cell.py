# pyright: basic, reportMissingImports=false
# NVFLARE comes without types and is not always installed: this module alone imports it.
# ruff: noqa: PLC0415 - imported in the one function that needs them: they are an extra
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
- Of its drivers only one is registered: TCP with TLS 1.3. The handshake runs in a thread of
  its own with a time-out, so that nobody can keep others out by doing nothing.
- A frame larger than a parcel closes its connection before memory is taken.
"""

import logging
import socket
import socketserver
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from equipoise.errors import InputError, TransportError
from equipoise.transports.nvflare_parcels import LARGEST
from equipoise.transports.nvflare_tls import (
    CENTRE,
    HANDSHAKE,
    Credentials,
    Refused,
    Wire,
    context_of,
    is_final,
    let_read,
    notice_silence,
    reason_of,
)

SCHEME: Final = "eqp"
CHANNEL: Final = "equipoise"
TOPIC: Final = "parcel"

_WIRE: Final = "equipoise"
_HEADERS: Final = 64 * 1024

logger = logging.getLogger(__name__)


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
    classes, listens = _classes(), site == CENTRE
    if listens:
        _check_free(url)
    wire = Wire(context_of(credentials, listens), frozenset(names.values()), refused)
    name = "server" if listens else cell_name(site)
    # Our driver has the credentials; NVFLARE's own encryption of messages is not used.
    cell = classes.cell(
        name, url, True, {_WIRE: wire}, auth_identity=site, auth_identity_map=dict(names)
    )
    if answer is not None:
        cell.answers(answer)
    cell.start()
    return cell


def question(cell: Any, site: str, data: bytes, patience: float) -> bytes | bytearray | None:
    """Send bytes to a site and return its answer, None where none came in time."""
    message = _classes().message(payload=data)
    try:
        reply = cell.send_request(CHANNEL, TOPIC, cell_name(site), message, patience, optional=True)
    except RuntimeError:  # the cell has been closed meanwhile
        return None
    return reply.payload if isinstance(reply.payload, (bytes, bytearray)) else None


def close_cell(cell: Any) -> None:
    """Stop a cell and free its port."""
    cell.stop()


def is_connected(cell: Any, party: str) -> bool:
    """Return whether the cell stands in contact with a site, or with the centre."""
    return ("server" if party == CENTRE else cell_name(party)) in cell.agents


@dataclass(frozen=True, slots=True)
class _Classes:
    cell: Any
    message: Any


@cache
def _classes() -> _Classes:  # noqa: C901
    """Return our classes over NVFLARE's; InputError where it is not installed."""
    try:
        from nvflare.fuel.f3 import communicator
        from nvflare.fuel.f3.cellnet.core_cell import CoreCell
        from nvflare.fuel.f3.cellnet.defs import Encoding, MessageHeaderKey, MessageType
        from nvflare.fuel.f3.drivers.base_driver import BaseDriver
        from nvflare.fuel.f3.drivers.socket_conn import SocketConnection
        from nvflare.fuel.f3.message import Message
        from nvflare.fuel.f3.sfm.prefix import PREFIX_LEN, Prefix
        from nvflare.fuel.f3.stats_pool import StatsPoolManager
    except ImportError:
        raise InputError(
            "sites in other processes need NVFLARE, which is not installed;"
            " run: pip install 'equipoise[federation]'"
        ) from None

    class Cell(CoreCell):
        """A cell that takes bytes on one channel, from those it may hear, and nothing else."""

        def __init__(self, *given: Any, **named: Any) -> None:
            # Cells of one process would find one another in here, and go round the wire.
            self.ALL_CELLS: dict[str, Any] = {}
            # Statistics nobody reads; their names may not come twice in a process.
            StatsPoolManager.pools.clear()
            super().__init__(*given, **named)
            self.logger = logging.getLogger("nvflare.cell")  # with all that NVFLARE says
            self.set_cell_disconnected_cb(self._lost)

        def _lost(self, agent: Any) -> None:
            """Let go of those who wait for an answer that can no longer come."""
            for waiter in list(self.waiters.values()):
                if agent.get_fqcn() in waiter.targets:
                    waiter.set()

        def process_message(
            self, endpoint: Any, connection: Any, app_id: int, message: Any
        ) -> None:
            if self._takes(endpoint, message):
                super().process_message(endpoint, connection, app_id, message)
            else:
                logger.warning("a message that is no parcel was dropped")

        def stop(self) -> None:
            self.agents.clear()  # else each is sent a goodbye, which it does not take
            super().stop()

        def answers(self, answer: Callable[[bytes | bytearray], bytes]) -> None:
            def reply(message: Any) -> Any:
                return Message(payload=answer(message.payload or b""))

            self.register_request_cb(CHANNEL, TOPIC, reply)

        def _takes(self, endpoint: Any, message: Any) -> bool:
            said, own = message.headers or {}, self.get_fqcn()
            asked = own == "server"
            peer = endpoint.name if asked else "server"
            wanted = {
                MessageHeaderKey.MSG_TYPE: MessageType.REPLY if asked else MessageType.REQ,
                MessageHeaderKey.CHANNEL: CHANNEL,
                MessageHeaderKey.TOPIC: TOPIC,
                MessageHeaderKey.ORIGIN: peer,
                MessageHeaderKey.FROM_CELL: peer,
                MessageHeaderKey.DESTINATION: own,
            }
            same = all(said.get(key) == value for key, value in wanted.items())
            plain = said.get(MessageHeaderKey.PAYLOAD_ENCODING) in (Encoding.BYTES, Encoding.NONE)
            hidden = said.get(MessageHeaderKey.SECURE) or said.get(MessageHeaderKey.ENCRYPTED)
            return same and plain and not hidden and endpoint.name == peer

    class Connection(SocketConnection):
        """A connection that takes no frame larger than a parcel, and keeps why it ended."""

        alert = ""

        def read_loop(self) -> None:
            try:
                self.read_frame_loop()
            except Exception as error:
                self.alert = reason_of(error) if is_final(error) else ""
                logger.info("a connection ended: %s", type(error).__name__)

        def read_frame(self) -> Any:
            head = bytearray(PREFIX_LEN)
            self.read_into(head, 0, PREFIX_LEN)
            length = Prefix.from_bytes(bytes(head)).length
            if not PREFIX_LEN <= length <= LARGEST + _HEADERS:
                raise ValueError("a frame of a size that no parcel has")
            frame = bytearray(length)
            frame[:PREFIX_LEN] = head
            self.read_into(frame, PREFIX_LEN, length - PREFIX_LEN)
            return frame

    class Listener(socketserver.ThreadingTCPServer):
        """Takes connections; each shows who it is in a thread of its own."""

        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True

        def __init__(self, driver: Any, host: str, port: int) -> None:
            self.driver = driver
            super().__init__((host, port), socketserver.BaseRequestHandler)

        def finish_request(self, request: Any, client_address: Any) -> None:
            self.driver.meet(request, client_address[0])

        def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
            logger.warning("a connection ended: %s", type(sys.exception()).__name__)

    class Driver(BaseDriver):
        """TCP with mutual TLS 1.3."""

        connector: Any
        listener: Any = None

        @staticmethod
        def supported_transports() -> list[str]:
            return [SCHEME]

        @staticmethod
        def capabilities() -> dict[str, Any]:
            return {"send_heartbeat": True, "support_ssl": True}

        @staticmethod
        def get_urls(scheme: str, resources: Any) -> Any:
            raise NotImplementedError(scheme)  # for connections beside the one to the centre

        def listen(self, connector: Any) -> None:
            self.connector = connector
            with Listener(self, *_place(connector.params)) as self.listener:
                self.listener.serve_forever(poll_interval=0.1)

        def connect(self, connector: Any) -> None:
            self.connector = connector
            wire: Wire = connector.params[_WIRE]
            with socket.create_connection(_place(connector.params), HANDSHAKE) as plain:
                notice_silence(plain)
                try:
                    secure = wire.context.wrap_socket(plain)
                except ssl.SSLError as error:
                    if is_final(error):
                        wire.refused(reason_of(error))
                    raise
                if alert := self._talk(secure, wire):
                    wire.refused(alert)

        def meet(self, plain: socket.socket, address: str) -> None:
            """Find out who has connected, and talk or tell."""
            wire: Wire = self.connector.params[_WIRE]
            plain.settimeout(HANDSHAKE)
            notice_silence(plain)
            secure = wire.context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
            try:
                secure.do_handshake()
            except OSError as error:
                wire.refused(f"a connection from {address}: {reason_of(error)}")
                let_read(secure)
                return
            if alert := self._talk(secure, wire):
                wire.refused(f"a connection from {address}: {alert}")

        def shutdown(self) -> None:
            self.close_all()
            if self.listener:
                self.listener.shutdown()

        def _talk(self, secure: ssl.SSLSocket, wire: Wire) -> str:
            """Carry frames until the connection ends; return what was refused, if anything."""
            with secure:
                if wrong := wire.peer(secure):
                    return wrong
                secure.settimeout(None)
                connection = Connection(secure, self.connector, True)
                self.add_connection(connection)
                try:
                    connection.read_loop()
                finally:
                    self.close_connection(connection)
                return connection.alert

    # Only this driver: NVFLARE's others would be imported from its folder otherwise.
    communicator.driver_mgr.register(Driver)
    communicator.driver_loaded = True
    return _Classes(Cell, Message)


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


def _place(params: Any) -> tuple[str, int]:
    return params["host"] or "0.0.0.0", int(params["port"])  # noqa: S104
