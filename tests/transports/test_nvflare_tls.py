"""Mutual TLS over real connections: who shows the wrong certificate, or none, is refused."""

import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("nvflare", reason="sites in other processes need the extra `federation`")

from equipoise.errors import InputError, TransportError
from equipoise.transports import nvflare
from equipoise.transports.nvflare import serve
from equipoise.transports.nvflare_tls import CENTRE, Credentials
from transports.net import NOW, Authority, Make, Net, dial, plain_context, read, soon
from transports.recording import Site

pytestmark = [pytest.mark.timeout(60), pytest.mark.xdist_group("nvflare")]


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
