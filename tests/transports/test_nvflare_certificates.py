"""Certificates are for one name and one key, for some weeks, and made from a request alone."""

import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from equipoise.errors import InputError
from equipoise.transports import nvflare_cell
from equipoise.transports.nvflare_certificates import (
    authority,
    make_key,
    read_key,
    request,
    sign,
    to_pem,
    write_new,
)
from equipoise.transports.nvflare_tls import Credentials, check_own, is_final, reason_of

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = make_key(tmp_path / "authority.key")
    return key, authority(key, "made-up", NOW)


Made = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def party(made: Made, name: str, folder: Path, days: int = 90) -> x509.Certificate:
    asked = request(make_key(folder / f"{name}.key"), name)
    return sign(made[1], made[0], asked, name, now=NOW, days=days)


def holds(made: Made, certificate: x509.Certificate, at: datetime) -> bool:
    """Return what an outside verifier says.

    It is strict but for the extensions of the last certificate: it wants a host's name there,
    and ours are of parties.
    """
    policy = ExtensionPolicy.webpki_defaults_ca(), ExtensionPolicy.permit_all()
    verifier = PolicyBuilder().store(Store([made[1]])).time(at)
    verifier = verifier.extension_policies(ca_policy=policy[0], ee_policy=policy[1])
    try:
        verifier.build_client_verifier().verify(certificate, [])
    except VerificationError:
        return False
    return True


def test_an_outside_verifier_takes_it_on_its_days_and_on_no_other(
    made: Made, tmp_path: Path
) -> None:
    certificate = party(made, "North", tmp_path, days=8)
    times = {-1.0: False, -0.4: True, 0.0: True, 7.9: True, 8.1: False}
    for days, well in times.items():
        at = NOW + timedelta(days=days)
        assert (certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc) is well
        assert holds(made, certificate, at) is well, days


def test_it_is_not_taken_where_another_authority_of_the_same_name_is_trusted(
    made: Made, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "other.key")
    other = key, authority(key, "made-up", NOW)
    assert not holds(other, party(made, "North", tmp_path), NOW)


def test_a_partys_certificate_signs_nobody_elses(made: Made, tmp_path: Path) -> None:
    certificate = party(made, "North", tmp_path)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert not basic.value.ca
    key = read_key(tmp_path / "North.key")
    asked = request(make_key(tmp_path / "East.key"), "East")
    forged = sign(certificate, key, asked, "East", now=NOW)
    verifier = PolicyBuilder().store(Store([made[1]])).time(NOW).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(forged, [certificate])


def test_a_request_for_another_name_or_with_a_false_signature_is_refused(
    made: Made, tmp_path: Path
) -> None:
    asked = request(make_key(tmp_path / "a.key"), "North")
    middle = len(asked) * 3 // 4
    swapped = asked[:middle] + ("A" if asked[middle] != "A" else "B") + asked[middle + 1 :]
    for name, text in (("East", asked), ("North", swapped), ("North", ""), ("North", "words")):
        with pytest.raises(InputError, match=f"the request of {name}"):
            sign(made[1], made[0], text, name, now=NOW)


def test_keys_are_for_their_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "tls.key"
    make_key(path)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="exists already"):
        make_key(path)
    with pytest.raises(InputError, match="exists already"):
        write_new(path, b"")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"words", None])
def test_what_is_no_key_is_told_with_its_path(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "tls.key").write_bytes(content)
    with pytest.raises(InputError, match=r"tls\.key cannot be read"):
        read_key(tmp_path / "tls.key")


def test_a_certificate_of_ones_own_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    nothing = tmp_path / "certificate.pem"
    for content in (None, b"", b"words"):
        if content is not None:
            nothing.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a certificate"):
            check_own(Credentials(nothing, nothing, nothing), "North", NOW)


def test_the_own_certificate_is_checked_for_name_and_time(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    path.write_bytes(to_pem(party(made, "North", tmp_path, days=8)))
    own = Credentials(path, path, path)
    check_own(own, "North", NOW)
    with pytest.raises(InputError, match="is for North, and this is East"):
        check_own(own, "East", NOW)
    for days in (-1, 9):
        with pytest.raises(InputError, match="and not now"):
            check_own(own, "North", NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("reason", "final"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", True),
        ("TLSV1_ALERT_UNKNOWN_CA", True),
        ("TLSV1_ALERT_PROTOCOL_VERSION", True),
        ("UNEXPECTED_EOF_WHILE_READING", False),
        ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", False),
        ("TLSV1_ALERT_INTERNAL_ERROR", False),
    ],
)
def test_only_what_a_certificate_or_tls_itself_is_wrong_with_ends_a_site(
    reason: str, final: bool
) -> None:
    error = ssl.SSLError(1, f"[SSL: {reason}] words (_ssl.c:1)")
    error.reason = reason
    assert is_final(error) is final
    assert reason_of(error) == f"no TLS connection: {reason.lower().replace('_', ' ')}"
    assert not is_final(ConnectionResetError())


def test_where_nvflare_is_not_installed_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nvflare.fuel.f3", None)
    monkeypatch.delitem(sys.modules, "equipoise.transports.nvflare_f3", raising=False)
    with pytest.raises(InputError, match=r"pip install 'equipoise\[federation\]'"):
        nvflare_cell._cell_class()
