"""What threads and connections do at an unlucky moment loses no message and leaves nobody waiting.

Each moment is made to come by a delay or a loss put into NVFLARE's classes, or ours. Where
two threads would have to meet, one is held until the other is there.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("nvflare", reason="sites in other processes need the extra `federation`")

from nvflare.fuel.f3 import connection as names
from nvflare.fuel.f3.drivers.connector_info import Mode
from nvflare.fuel.f3.drivers.socket_conn import SocketConnection
from nvflare.fuel.f3.sfm.conn_manager import ConnManager
from nvflare.fuel.f3.sfm.constants import Types
from nvflare.fuel.f3.sfm.prefix import Prefix
from nvflare.fuel.f3.sfm.sfm_endpoint import SfmEndpoint

from equipoise.transports import nvflare_cell, nvflare_ends
from equipoise.transports.nvflare_driver import Connection, Driver
from equipoise.transports.nvflare_f3 import Cell
from equipoise.transports.nvflare_tls import CENTRE, Wire, context_of
from transports.net import Authority, Cutter, Make, read, soon
from transports.recording import Site

pytestmark = [pytest.mark.timeout(60), pytest.mark.xdist_group("nvflare")]


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the sites of which a question had no answer, as it goes on."""
    found: list[str] = []
    ask = nvflare_cell.question

    def question(cell: Any, site: str, data: bytes, patience: float) -> bytes | bytearray | None:
        answer = ask(cell, site, data, patience)
        if answer is None:
            found.append(site)
        return answer

    monkeypatch.setattr(nvflare_cell, "question", question)
    return found


@pytest.mark.parametrize("kind", [Types.HELLO, Types.READY])
def test_a_question_right_behind_a_greeting_is_not_lost(
    kind: int, net: Make, unanswered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = ConnManager.process_frame_task

    def late(self: ConnManager, met: Any, frame: Any) -> None:
        if Prefix.from_bytes(frame).type == kind:
            time.sleep(0.5)
        task(self, met, frame)

    monkeypatch.setattr(ConnManager, "process_frame_task", late)
    own, site = net("a"), Site()
    centre = own.centre()
    own.site("a", site.handle)
    centre.wait(30)
    assert read(centre.exchange({"a": [b"x"]})) == {"a": [b"x"]}
    assert unanswered == []


def test_the_end_of_one_connection_is_not_that_of_another_made_at_the_same_moment(
    net: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "create_connection_name", lambda: "CN00001")
    own = net("a", "b", "c")
    for name in ("a", "b", "c"):
        own.site(name, Site().handle)
    centre = own.centre()
    centre.wait(30)
    centre.close()
    assert soon(lambda: own.ended == {"a": None, "b": None, "c": None})


@pytest.mark.parametrize("at", ["server", "site~a"])
def test_a_lost_question_or_answer_is_asked_for_again_soon(
    at: str, net: Make, unanswered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvflare_ends, "REPLY", 0.3)
    process, left = Cell.process_message, [0, 2, 5]

    def lossy(self: Cell, *given: Any) -> None:
        if self.get_fqcn() == at:
            left[:] = [number - 1 for number in left]
            if -1 in left:
                left.remove(-1)
                return
        process(self, *given)

    monkeypatch.setattr(Cell, "process_message", lossy)
    own, site = net("a"), Site()
    centre = own.centre()
    own.site("a", site.handle)
    centre.wait(30)
    frames = [bytes([i]) * 700_000 for i in range(5)]
    assert read(centre.exchange({"a": frames})) == {"a": frames}
    assert site.came == [frames]
    assert left == []
    assert len(unanswered) >= 3


def test_a_connection_that_replaces_one_the_centre_holds_for_alive_takes_over(
    net: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one ends in the midst of being replaced; what waited for it does not wait on."""
    monkeypatch.setattr(nvflare_ends, "REPLY", 100.0)

    def slowly(self: SfmEndpoint, new: Any) -> None:
        with self.lock:
            for old in self.connections:
                old.conn.close()
            self.connections.clear()
        time.sleep(0.5)
        self.connections.append(new)

    monkeypatch.setattr(SfmEndpoint, "add_connection", slowly)
    own, site = net("a"), Site()
    centre = own.centre()
    cutter = Cutter(own.address, [], alters=False)
    try:
        own.site("a", site.handle, address=cutter.address)
        assert read(centre.exchange({"a": [b"one"]})) == {"a": [b"one"]}
        cutter.forget()
        for frames in ([b"two"], [b"three"]):
            assert read(centre.exchange({"a": frames})) == {"a": frames}
    finally:
        cutter.close()
    assert site.came == [[b"one"], [b"two"], [b"three"]]


def test_a_connection_made_while_its_cell_stops_is_ended(
    net: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, stopped, peer, shutdown = (
        threading.Event(),
        threading.Event(),
        Wire.peer,
        Driver.shutdown,
    )

    def held(self: Wire, secure: ssl.SSLSocket) -> str:
        if not secure.server_side:
            reached.set()
            stopped.wait(20)
        return peer(self, secure)

    def told(self: Driver) -> None:
        shutdown(self)
        stopped.set()

    monkeypatch.setattr(Wire, "peer", held)
    own = net("a")
    own.centre()
    own.site("a", Site().handle)
    assert reached.wait(20)
    monkeypatch.setattr(Driver, "shutdown", told)
    own.stop()
    assert soon(lambda: own.ended == {"a": None})


@pytest.fixture
def pair(signer: Authority) -> Iterator[tuple[Connection, ssl.SSLSocket]]:
    """Return a connection and the other end of its socket."""
    near, far = socket.socketpair()
    shown = [context_of(signer.party(CENTRE), True), context_of(signer.party("a"), False)]
    made: list[ssl.SSLSocket] = []
    other = threading.Thread(
        target=lambda: made.append(shown[0].wrap_socket(far, server_side=True)), daemon=True
    )
    other.start()
    secure = shown[1].wrap_socket(near)
    other.join(10)
    connector = SimpleNamespace(mode=Mode.ACTIVE, params={})
    connection = Connection(secure, connector, threading.Lock())
    yield connection, made[0]
    connection.let_go()
    made[0].close()


@pytest.mark.parametrize("ours", [True, False])
def test_what_is_sent_while_a_connection_closes_is_never_in_clear_and_the_check_would_see_it(
    ours: bool, pair: tuple[Connection, ssl.SSLSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that sends comes to it just as another has begun to close."""
    connection, other = pair
    shutdown: Callable[[socket.socket, int], None] = socket.socket.shutdown

    def late(self: socket.socket, how: int) -> None:
        self.send(b"meant for one party alone")
        shutdown(self, how)

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "shutdown", late)
        (Connection if ours else SocketConnection).close(connection)
    wire = b"".join(iter(lambda: socket.socket.recv(other, 4096), b""))
    assert (b"one party alone" not in wire) is ours
    assert len(wire) >= 25


def test_a_connection_that_was_closed_sends_nothing_and_says_so(
    pair: tuple[Connection, ssl.SSLSocket],
) -> None:
    from nvflare.fuel.f3.comm_error import CommError

    connection, _ = pair
    connection.close()
    with pytest.raises(CommError, match="not sent: ConnectionResetError"):
        connection.send_frame(b"frame")


def test_both_directions_at_once_come_whole(pair: tuple[Connection, ssl.SSLSocket]) -> None:
    """More each way than the system holds, so that either side waits for the other."""
    connection, other = pair
    sent, back, got = bytes(range(256)) * 20_000, bytes(range(255, -1, -1)) * 20_000, bytearray()

    def mirror() -> None:
        while len(got) < len(sent):
            got.extend(other.recv(65536))

    reading, writing = (
        threading.Thread(target=mirror),
        threading.Thread(target=lambda: connection.send_frame(sent)),
    )
    sending = threading.Thread(target=other.sendall, args=(back,))
    for thread in (writing, sending, reading):
        thread.start()
    came = bytearray(len(back))
    connection.read_into(came, 0, len(back))
    for thread in (reading, writing, sending):
        thread.join(20)
    assert (bytes(got), bytes(came)) == (sent, back)
