"""Over real connections: mutual TLS, links that break, and messages that are no parcels.

The cells of one test share a process and a loopback address, and nothing else: each
connection is a TCP connection with TLS.
"""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nvflare", reason="sites in other processes need the extra `federation`")

from equipoise.errors import InputError, TransportError
from equipoise.transports import nvflare, nvflare_cell
from equipoise.transports.nvflare import NvflareTransport, serve
from equipoise.transports.nvflare_certificates import (
    authority,
    make_key,
    request,
    sign,
    to_pem,
)
from equipoise.transports.nvflare_tls import CENTRE, Credentials

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("nvflare")]

Handle = Callable[[Iterator[bytes]], Iterator[bytes]]
NOW = datetime.now(UTC)


class Authority:
    """One that signs certificates for a study, at a time of the test's choice."""

    def __init__(self, folder: Path, study: str = "made-up") -> None:
        folder.mkdir()
        self.folder, self._key = folder, make_key(folder / "authority.key")
        self._own = authority(self._key, study, NOW)
        (folder / "authority.pem").write_bytes(to_pem(self._own))

    def party(self, name: str, now: datetime = NOW, days: int = 90) -> Credentials:
        place = self.folder / f"{name}-{now:%s}-{days}"
        place.mkdir()
        asked = request(make_key(place / "tls.key"), name)
        certificate = sign(self._own, self._key, asked, name, now=now, days=days)
        (place / "certificate.pem").write_bytes(to_pem(certificate))
        return Credentials(
            self.folder / "authority.pem", place / "certificate.pem", place / "tls.key"
        )


class Watch:
    """Keeps what the centre is told."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}
        self.refusals: list[str] = []

    def site(self, name: str, state: str) -> None:
        self.states.setdefault(name, []).append(state)

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)


class Net:
    """A centre, and sites that are threads here."""

    def __init__(self, signer: Authority, *sites: str, shows: Credentials | None = None) -> None:
        self.signer, self.watch, self.address = signer, Watch(), f"127.0.0.1:{free_port()}"
        self.ended: dict[str, BaseException | None] = {}
        self._stop, self._threads = threading.Event(), list[threading.Thread]()
        self._opened, self._sites, self._shows = list[Any](), sites, shows

    def centre(self, patience: float = 30.0) -> NvflareTransport:
        shows = self._shows or self.signer.party(CENTRE)
        self._opened.append(
            NvflareTransport(self.address, shows, self._sites, watch=self.watch, patience=patience)
        )
        return self._opened[-1]

    def site(
        self,
        name: str,
        handle: Handle,
        credentials: Credentials | None = None,
        address: str | None = None,
    ) -> threading.Thread:
        own = credentials or self.signer.party(name)

        def run() -> None:
            try:
                serve(
                    handle,
                    site=name,
                    address=address or self.address,
                    credentials=own,
                    stop=self._stop,
                )
                self.ended[name] = None
            except BaseException as error:
                self.ended[name] = error

        thread = threading.Thread(target=run, name=f"serve-{name}")
        self._threads.append(thread)
        thread.start()
        return thread

    def close(self) -> None:
        for transport in self._opened:
            transport.close()
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def signer(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def net(signer: Authority) -> Iterator[Callable[..., Net]]:
    made: list[Net] = []

    def make(*sites: str, shows: Credentials | None = None) -> Net:
        made.append(Net(signer, *sites, shows=shows))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Net]


class Site:
    """Keeps what it was sent, and answers it."""

    def __init__(self) -> None:
        self.came: list[list[bytes]] = []

    def handle(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        self.came.append(list(frames))
        yield from self.came[-1]


def soon(holds: Callable[[], object], seconds: float = 15.0) -> bool:
    began = time.monotonic()
    while not holds() and time.monotonic() - began < seconds:
        time.sleep(0.02)
    return bool(holds())


def read(answers: Mapping[str, Iterator[bytes]]) -> dict[str, list[bytes]]:
    return {name: list(answer) for name, answer in answers.items()}


def test_each_request_is_delivered_once_and_whole(net: Make) -> None:
    own, sites = net("a", "b.1"), {"a": Site(), "b.1": Site()}
    threads = [own.site(name, site.handle) for name, site in sites.items()]
    centre = own.centre()
    assert centre.sites == ("a", "b.1")
    centre.wait(90)
    large = [bytes(range(256)) * 20_000, b"", b"x"]
    for frames in ([], [b""], [b"one", b"two"], large, [b"last"]):
        expected = {"a": frames, "b.1": frames[::-1]}
        assert read(centre.exchange({"a": iter(frames), "b.1": frames[::-1]})) == expected
    assert read(centre.exchange({"a": [b"alone"]})) == {"a": [b"alone"]}
    with pytest.raises(TransportError, match="no sites"):
        centre.exchange({"z": [b"x"]})
    centre.close()
    for thread in threads:
        thread.join(60)
    assert own.ended == {"a": None, "b.1": None}
    assert [len(site.came) for site in sites.values()] == [6, 5]
    assert own.watch.refusals == []
    assert own.watch.states["a"][:2] == ["connected", "asked"]
    assert own.watch.states["a"][-1] == "answered"


def test_a_site_that_connects_late_is_waited_for_and_one_that_never_does_is_named(
    net: Make,
) -> None:
    own = net("a", "b")
    centre = own.centre()
    own.site("a", Site().handle)
    with pytest.raises(TransportError, match="not connected: b"):
        centre.wait(2)
    own.site("b", Site().handle)
    assert read(centre.exchange({"b": [b"x"]})) == {"b": [b"x"]}


class Cutter:
    """A relay that cuts each connection after so many bytes, or alters the next one."""

    def __init__(self, address: str, after: list[int], *, alters: bool) -> None:
        self._to, self._after, self.cuts = address.split(":"), after, 0
        self._alters = alters
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((self._to[0], int(self._to[1])))
            left = [self._after.pop(0) if self._after else 1 << 40]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other, left), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, left: list[int]) -> None:
        try:
            while (data := one.recv(65536)) and left[0] > 0:
                left[0] -= len(data)
                if left[0] <= 0:
                    self.cuts += 1
                    if not self._alters:
                        break
                    data = data[:-1] + bytes([data[-1] ^ 1])
                other.sendall(data)
        except OSError:  # the other thread has cut it
            pass
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("alters", [False, True])
def test_a_link_that_is_cut_or_alters_a_byte_is_made_again_and_nothing_comes_twice(
    alters: bool, net: Make
) -> None:
    own, site = net("a"), Site()
    centre = own.centre()
    cutter = Cutter(own.address, [1_500_000, 2_500_000], alters=alters)
    try:
        own.site("a", site.handle, address=cutter.address)
        frames = [bytes([i]) * 700_000 for i in range(8)]
        assert read(centre.exchange({"a": frames})) == {"a": frames}
        assert read(centre.exchange({"a": [b"next"]})) == {"a": [b"next"]}
    finally:
        cutter.close()
    assert cutter.cuts >= 2
    assert site.came == [frames, [b"next"]]


def refusal(own: Net, name: str) -> str:
    assert soon(lambda: name in own.ended)
    error = own.ended[name]
    assert isinstance(error, TransportError)
    return str(error)


BAD_SITES: dict[str, tuple[Callable[[Authority, Path], Credentials], str]] = {
    "expired": (lambda signer, _: signer.party("a", NOW - timedelta(days=9), 8), "expired"),
    "not valid yet": (lambda signer, _: signer.party("a", NOW + timedelta(days=9)), "not yet"),
    "of another authority": (lambda _, path: Authority(path / "o").party("a"), "verify"),
    "of another study": (
        lambda _, path: Authority(path / "o", "x").party("a"),
        "self-signed|local",
    ),
}


@pytest.mark.parametrize("case", BAD_SITES)
def test_a_site_whose_certificate_does_not_hold_is_refused_and_others_are_served(
    case: str, net: Make, signer: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvflare, "check_own", lambda *given: None)
    make, words = BAD_SITES[case]
    own, bad = net("a", "b"), make(signer, tmp_path)
    # It trusts the right authority, so that only what it shows itself is wrong.
    bad = Credentials(signer.folder / "authority.pem", bad.certificate, bad.key)
    centre = own.centre()
    own.site("a", Site().handle, bad)
    own.site("b", Site().handle)
    assert "no contact with the centre" in refusal(own, "a")
    assert read(centre.exchange({"b": [b"x"]})) == {"b": [b"x"]}
    assert soon(lambda: own.watch.refusals)
    assert own.watch.refusals[0].startswith("a connection from 127.0.0.1: the certificate shown")
    assert any(word in own.watch.refusals[0] for word in [*words.split("|"), "unable to get"])
    with pytest.raises(TransportError, match="not connected: a"):
        centre.wait(0.3)


BAD_CENTRES: dict[str, tuple[Callable[[Authority, Path], Credentials], str]] = {
    "expired": (lambda signer, _: signer.party(CENTRE, NOW - timedelta(days=9), 8), "expired"),
    "of another authority": (
        lambda _, path: Authority(path / "o").party(CENTRE),
        "does not hold: ",
    ),
}


@pytest.mark.parametrize("case", BAD_CENTRES)
def test_a_site_refuses_a_centre_whose_certificate_does_not_hold(
    case: str, net: Make, signer: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvflare, "check_own", lambda *given: None)
    make, words = BAD_CENTRES[case]
    bad, site = make(signer, tmp_path), Site()
    own = net("a", shows=Credentials(signer.folder / "authority.pem", bad.certificate, bad.key))
    own.centre()
    own.site("a", site.handle)
    assert words in refusal(own, "a")
    assert site.came == []


def test_a_site_that_poses_as_the_centre_is_refused(
    net: Make, signer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvflare, "check_own", lambda *given: None)
    own = net("a", shows=signer.party("b"))
    own.centre()
    own.site("a", Site().handle)
    assert "that of ['b'], who is no party here" in refusal(own, "a")


def test_a_site_that_poses_as_another_is_not_taken_for_it(
    net: Make, signer: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, false, true = net("a", "b"), Site(), Site()
    with monkeypatch.context() as patched:
        patched.setattr(nvflare, "check_own", lambda *given: None)
        centre = own.centre()
        own.site("a", false.handle, signer.party("b"))
        with pytest.raises(TransportError, match="not connected: a, b"):
            centre.wait(2)
    own.ended.clear()
    own.site("a", true.handle)
    assert read(centre.exchange({"a": [b"x"]})) == {"a": [b"x"]}
    assert (false.came, true.came) == ([], [[b"x"]])


def test_a_start_up_folder_of_another_party_is_told_before_anything_is_sent(
    signer: Authority,
) -> None:
    with pytest.raises(InputError, match="is for b, and this is a"):
        serve(Site().handle, site="a", address="127.0.0.1:1", credentials=signer.party("b"))


@pytest.mark.parametrize("days", [-9, 9])
def test_a_certificate_that_does_not_hold_now_is_told_to_its_owner(
    days: int, signer: Authority
) -> None:
    shown = signer.party("a", NOW + timedelta(days=days), 8)
    with pytest.raises(InputError, match="and not now; see this machine's clock"):
        serve(Site().handle, site="a", address="127.0.0.1:1", credentials=shown)


def test_a_key_that_is_not_the_certificates_is_told_with_its_folder(signer: Authority) -> None:
    a, b = signer.party("a"), signer.party("b")
    mixed = Credentials(a.authority, a.certificate, b.key)
    with pytest.raises(InputError, match="certificates or key cannot be read"):
        serve(Site().handle, site="a", address="127.0.0.1:1", credentials=mixed)


def test_a_port_in_use_is_told(net: Make) -> None:
    own = net("a")
    host, port = own.address.split(":")
    with socket.create_server((host, int(port))), pytest.raises(TransportError, match="listen"):
        own.centre()


def plain_context(own: Credentials | None, signer: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(signer.folder / "authority.pem")
    if own:
        context.load_cert_chain(own.certificate, own.key)
    return context


def dial(own: Net) -> socket.socket:
    host, port = own.address.split(":")
    return socket.create_connection((host, int(port)), 10)


def test_who_shows_nothing_or_speaks_no_tls_is_refused_and_keeps_nobody_out(
    net: Make, signer: Authority
) -> None:
    own = net("a")
    centre = own.centre()
    assert soon(lambda: _is_open(own))
    with dial(own):  # says nothing at all, for as long as this lasts
        with dial(own) as other:
            other.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert soon(lambda: told(own, "http request"))
        with dial(own) as other, plain_context(None, signer).wrap_socket(other) as nobody:
            with pytest.raises(ssl.SSLError):
                nobody.recv(1)
            assert soon(lambda: told(own, "did not return a certificate"))
        old = plain_context(signer.party("b"), signer)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with dial(own) as other, pytest.raises(ssl.SSLError):
            old.wrap_socket(other)
        assert soon(lambda: told(own, "unsupported protocol"))
        own.site("a", Site().handle)
        assert read(centre.exchange({"a": [b"x"]})) == {"a": [b"x"]}


def _is_open(own: Net) -> bool:
    try:
        dial(own).close()
    except OSError:
        return False
    return True


def told(own: Net, words: str) -> bool:
    return any(words in reason for reason in own.watch.refusals)


def ended(secure: ssl.SSLSocket) -> bool:
    secure.settimeout(5)
    try:
        while secure.recv(65536):
            pass
    except (ConnectionError, ssl.SSLEOFError):
        return True
    return True


def test_a_frame_larger_than_any_parcel_ends_its_connection(net: Make, signer: Authority) -> None:
    own = net("a", "b")
    centre = own.centre()
    own.site("a", Site().handle)
    centre_up = soon(lambda: nvflare_cell.is_connected(centre._cell, "a"))
    assert centre_up
    for length in (0, 15, 2_000_000, 2**31, 2**32 - 1):
        with (
            dial(own) as plain,
            plain_context(signer.party("b", days=9 + length % 97), signer).wrap_socket(
                plain
            ) as secure,
        ):
            secure.sendall(struct.pack(">IHBBHHHH", length, 0, 5, 0, 0, 1, 0, 0))
            assert ended(secure)
    assert read(centre.exchange({"a": [b"x"]})) == {"a": [b"x"]}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what NVFLARE's own serialisation is asked to decode: nothing, ever."""
    from nvflare.fuel.f3.cellnet import utils

    seen: list[object] = []

    def loads(data: object, **named: object) -> object:
        del named
        seen.append(data)
        return {}

    monkeypatch.setattr(utils.fobs, "loads", loads)
    return seen


def open_as(own: Net, name: str, answer: Callable[..., bytes] = lambda data: b"") -> Any:
    return nvflare_cell.open_cell(
        name,
        f"{nvflare_cell.SCHEME}://{own.address}",
        own.signer.party(name),
        {"server": CENTRE} if name != CENTRE else {nvflare_cell.cell_name("a"): "a"},
        own.watch.refused,
        answer,
    )


def hostile(cell: Any, target: str) -> None:
    """Send what no parcel looks like, by every way that a cell has."""
    from nvflare.fuel.f3.message import Message

    channel, topic = nvflare_cell.CHANNEL, nvflare_cell.TOPIC
    for to in (target, "server.job", "site~b"):
        for where in (
            (channel, topic),
            ("cellnet", "bulk"),
            ("credential_manager", "key_exchange"),
        ):
            for payload in ({"a": 1}, [1], "text", b"bytes"):
                message = Message({"conn_url": "eqp://127.0.0.1:9"}, payload)
                cell.fire_and_forget(*where, [to], message, optional=True)
    cell.fire_and_forget(channel, topic, [target], Message({}, None), optional=True)


@pytest.mark.parametrize("checked", [True, False])
def test_a_centre_has_nothing_decoded_at_a_site_and_the_check_is_what_refuses(
    checked: bool, net: Make, decoded: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, taken = net("a"), list[bytes]()
    if not checked:
        monkeypatch.setattr(nvflare_cell._classes().cell, "_takes", lambda *given: True)
    centre = open_as(own, CENTRE)

    def answer(data: bytes) -> bytes:
        taken.append(bytes(data))
        return b"answered"

    site = open_as(own, "a", answer)
    try:
        assert soon(lambda: nvflare_cell.is_connected(centre, "a"))
        hostile(centre, nvflare_cell.cell_name("a"))
        if checked:
            assert nvflare_cell.question(centre, "a", b"asked", 10) == b"answered"
            assert set(taken) == {b"bytes", b"", b"asked"}
            assert site.adhoc_connectors == {}
        else:
            assert soon(lambda: decoded)
    finally:
        nvflare_cell.close_cell(site)
        nvflare_cell.close_cell(centre)
    assert bool(decoded) is not checked


@pytest.mark.parametrize("checked", [True, False])
def test_a_site_has_nothing_decoded_or_passed_on_and_the_check_is_what_refuses(
    checked: bool, net: Make, decoded: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, asked = net("a", "b"), Site()
    if not checked:
        monkeypatch.setattr(nvflare_cell._classes().cell, "_takes", lambda *given: True)
    centre = own.centre()
    own.site("b", asked.handle)
    site = open_as(own, "a")
    try:
        centre.wait(90)
        hostile(site, "server")
        if checked:
            assert read(centre.exchange({"b": [b"x"]})) == {"b": [b"x"]}
            assert asked.came == [[b"x"]]
        else:
            assert soon(lambda: decoded)
    finally:
        nvflare_cell.close_cell(site)
    assert bool(decoded) is not checked
