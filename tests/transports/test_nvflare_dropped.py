"""Messages that are no parcels, over real connections: dropped before anything decodes them."""

import ssl
import struct
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("nvflare", reason="sites in other processes need the extra `federation`")

from equipoise.transports import nvflare_cell, nvflare_f3
from equipoise.transports.nvflare_tls import CENTRE, SCHEME
from transports.net import Authority, Make, Net, dial, plain_context, read, soon
from transports.recording import Site

pytestmark = [pytest.mark.timeout(60), pytest.mark.xdist_group("nvflare")]


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
        f"{SCHEME}://{own.address}",
        own.signer.party(name),
        {"server": CENTRE} if name != CENTRE else {nvflare_cell.cell_name("a"): "a"},
        own.watch.refused,
        answer,
    )


def hostile(cell: Any, target: str) -> None:
    """Send what no parcel looks like, by every way that a cell has."""
    from nvflare.fuel.f3.message import Message

    channel, topic = nvflare_f3.CHANNEL, nvflare_f3.TOPIC
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
        monkeypatch.setattr(nvflare_cell._cell_class(), "_takes", lambda *given: True)
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
        monkeypatch.setattr(nvflare_cell._cell_class(), "_takes", lambda *given: True)
    centre = own.centre()
    own.site("b", asked.handle)
    site = open_as(own, "a")
    try:
        centre.wait(20)
        hostile(site, "server")
        if checked:
            assert read(centre.exchange({"b": [b"x"]})) == {"b": [b"x"]}
            assert asked.came == [[b"x"]]
        else:
            assert soon(lambda: decoded)
    finally:
        nvflare_cell.close_cell(site)
    assert bool(decoded) is not checked
