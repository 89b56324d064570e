# pyright: basic, reportMissingImports=false
# NVFLARE comes without types and is not always installed: `nvflare_cell` imports this late.
"""TCP with mutual TLS 1.3 as a driver of NVFLARE's, the only one that a cell here has.

Where it departs from NVFLARE's own drivers, and why:

- The handshake runs in a thread of its own with a time-out, so that nobody can keep others
  out by doing nothing. A frame larger than a parcel closes its connection before memory is
  taken.
- A TLS object is used by one thread at a time, and never after its socket was let go of.
  `ssl.SSLSocket.shutdown` would have a thread that is sending go on in clear text, and a
  socket closed under a thread may be another one by the time that thread uses it.
- Cells greet one another before anything else, and in turn with the end of connections.
  NVFLARE leaves every frame to a pool of threads, where a question can overtake the
  greeting before it and be lost, or the end of an old connection the greeting of the new
  one, after which no message goes over that.
- A connection's name is its own. NVFLARE makes two of the same name where two are made at
  once, and the end of one then stands for the end of the other.
"""

import itertools
import logging
import select
import socket
import socketserver
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import monotonic, time
from typing import Any, Final

from nvflare.fuel.f3.comm_error import CommError
from nvflare.fuel.f3.drivers.base_driver import BaseDriver
from nvflare.fuel.f3.drivers.connector_info import Mode
from nvflare.fuel.f3.drivers.socket_conn import SocketConnection
from nvflare.fuel.f3.sfm.constants import Types
from nvflare.fuel.f3.sfm.prefix import PREFIX_LEN, Prefix

from equipoise.transports.nvflare_parcels import LARGEST
from equipoise.transports.nvflare_tls import (
    HANDSHAKE,
    SCHEME,
    WIRE,
    Wire,
    is_final,
    let_read,
    notice_silence,
    reason_of,
)

_HEADERS: Final = 64 * 1024
_PIECE: Final = 256 * 1024
_STUCK: Final = 30.0
"""Seconds after which a connection that takes nothing of what is sent is given up."""

_GLANCE_MS: Final = 1000
_NUMBERS: Final = itertools.count(1)

logger = logging.getLogger("equipoise.transports.nvflare_cell")


class Connection(SocketConnection):
    """One connection, whose TLS object one thread at a time uses."""

    frame_receiver: Any
    alert = ""
    """What the other side refused, once the connection has ended."""

    def __init__(self, secure: ssl.SSLSocket, connector: Any, order: Any) -> None:
        """`order` is held while cells meet or part, by all connections of one driver."""
        super().__init__(secure, connector, True)
        secure.setblocking(False)
        self.name = f"EQ{next(_NUMBERS):06}"
        self._order, self._tls, self._number = order, Lock(), secure.fileno()

    def close(self) -> None:
        """End the connection; who reads it then lets go of its socket."""
        self.closing = True
        with suppress(OSError):  # it has ended already
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def let_go(self) -> None:
        """Close the socket, which no other thread uses from then on."""
        self.close()
        with self._tls:
            self.sock.close()

    def send_frame(self, frame: Any) -> None:
        """Send a whole frame, or raise CommError and end the connection."""
        rest = memoryview(frame)
        try:
            while rest:
                rest = rest[self._carry(self.sock.send, rest[:_PIECE], monotonic() + _STUCK) :]
        except OSError as error:
            self.close()
            raise CommError(CommError.CLOSED, f"not sent: {type(error).__name__}") from None

    def read_loop(self) -> None:
        """Hand on frame after frame until the connection ends; keep why where that is final."""
        try:
            self.read_frame_loop()
        except Exception as error:  # whatever it was, this connection has ended
            self.alert = reason_of(error) if is_final(error) else ""
            logger.info("a connection ended: %s", type(error).__name__)

    def read_frame(self) -> Any:
        """Return the next frame; ValueError for one of a size that no parcel has."""
        head = bytearray(PREFIX_LEN)
        self.read_into(head, 0, PREFIX_LEN)
        length = Prefix.from_bytes(bytes(head)).length
        if not PREFIX_LEN <= length <= LARGEST + _HEADERS:
            raise ValueError("a frame of a size that no parcel has")
        frame = bytearray(length)
        frame[:PREFIX_LEN] = head
        self.read_into(frame, PREFIX_LEN, length - PREFIX_LEN)
        return frame

    def read_into(self, buffer: Any, offset: int, length: int) -> None:
        """Fill a part of the buffer; ConnectionError where the connection ends before."""
        rest = memoryview(buffer)[offset : offset + length]
        while rest:
            rest = rest[self._carry(self._receive, rest, None) :]

    def _receive(self, rest: memoryview) -> int:
        """Read what is there, record after record, up to the length of `rest`."""
        filled = 0
        while filled < len(rest):
            try:
                count = self.sock.recv_into(rest[filled:])
            except ssl.SSLWantReadError:
                if filled:
                    break
                raise
            if not count:
                raise ConnectionResetError
            filled += count
        return filled

    def process_frame(self, frame: Any) -> None:
        """Hand on a frame; ValueError unless the first one is a greeting, and no other."""
        kind, met = Prefix.from_bytes(frame).type, self.met
        if met.sfm_endpoint is not None and kind not in (Types.HELLO, Types.READY):
            super().process_frame(frame)
            return
        greeting = Types.READY if self.connector.mode == Mode.ACTIVE else Types.HELLO
        if met.sfm_endpoint is not None or kind != greeting:
            raise ValueError("a frame out of turn")
        met.last_activity = time()
        with self._order:
            self.frame_receiver.conn_manager.process_frame_task(met, frame)
        if met.sfm_endpoint is None:
            raise ValueError("a greeting that was not taken")

    @property
    def met(self) -> Any:
        """NVFLARE's view of this connection, which knows who is at its other end."""
        return self.frame_receiver.conn

    def _carry(self, call: Callable[[Any], int], data: Any, until: float | None) -> int:
        """Send or receive what goes at once, and else wait; return for how many bytes it went.

        OSError where the connection has ended, or nothing went before the time `until`.
        """
        while True:
            with self._tls:
                if self.closing:
                    raise ConnectionResetError
                try:
                    return call(data)
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            if until is not None and monotonic() > until:
                raise TimeoutError
            poll = select.poll()
            poll.register(self._number, event)
            poll.poll(_GLANCE_MS)


class Listener(socketserver.ThreadingTCPServer):
    """Takes connections; each shows who it is in a thread of its own."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, driver: Any, place: tuple[str, int]) -> None:
        """Listen at a host and port, for a driver."""
        self.driver = driver
        super().__init__(place, socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Have the driver meet who has connected."""
        self.driver.meet(request, client_address[0])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - given
        """Note that a connection ended, without what was in it."""
        logger.warning("a connection ended: %s", type(sys.exception()).__name__)


class Driver(BaseDriver):
    """TCP with mutual TLS 1.3."""

    conn_monitor: Any
    connector: Any
    listener: Any = None

    def __init__(self) -> None:
        """Begin without connections."""
        super().__init__()
        self._order = Lock()

    @staticmethod
    def supported_transports() -> list[str]:
        """Return the schemes of addresses that are this driver's."""
        return [SCHEME]

    @staticmethod
    def capabilities() -> dict[str, Any]:
        """Return what NVFLARE asks of a driver."""
        return {"send_heartbeat": True, "support_ssl": True}

    @staticmethod
    def get_urls(scheme: str, resources: Any) -> Any:
        """Refuse: this is for connections beside the one to the centre."""
        # NVFLARE's interface has this method, so that a driver without it cannot be made. It is
        # asked for addresses to listen at where none was given: for cells within cells, and for
        # a way between two cells round the centre. No cell here does either.
        raise NotImplementedError(scheme)

    def listen(self, connector: Any) -> None:
        """Take connections until `shutdown`."""
        self.connector = connector
        with Listener(self, _place(connector.params)) as self.listener:
            self.listener.serve_forever(poll_interval=0.1)

    def connect(self, connector: Any) -> None:
        """Make one connection and return when it has ended; OSError where none is made."""
        self.connector = connector
        wire: Wire = connector.params[WIRE]
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
        wire: Wire = self.connector.params[WIRE]
        plain.settimeout(HANDSHAKE)
        notice_silence(plain)
        secure = wire.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            secure.do_handshake()
        except OSError as error:
            wire.refused(f"a connection from {address}: {reason_of(error)}")
            let_read(secure)
            return
        if alert := self._talk(secure, wire):
            wire.refused(f"a connection from {address}: {alert}")

    def shutdown(self) -> None:
        """End all connections, and take no more."""
        self.close_all()
        if self.listener:
            self.listener.shutdown()

    def _talk(self, secure: ssl.SSLSocket, wire: Wire) -> str:
        """Carry frames until the connection ends; return what was refused, if anything."""
        with secure:
            if wrong := wire.peer(secure):
                return wrong
            connection = Connection(secure, self.connector, self._order)
            try:
                self.add_connection(connection)
                if self.connector.stopped.is_set():  # `shutdown` may not have seen this one
                    connection.close()
                connection.read_loop()
            finally:
                connection.let_go()
                self._part(connection)
            return connection.alert

    def _part(self, connection: Connection) -> None:
        """Take the connection from the books, and tell who waits for an answer over it."""
        with self._order:
            self.close_connection(connection)
        if connection.frame_receiver and (met := connection.met.sfm_endpoint):
            for cell in self.conn_monitor.monitors:
                cell.lost(met.endpoint.name)


def _place(params: Any) -> tuple[str, int]:
    return params["host"] or "0.0.0.0", int(params["port"])  # noqa: S104 - where no host is named
