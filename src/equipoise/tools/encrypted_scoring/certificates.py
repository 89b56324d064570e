"""Certificates for a trial: an authority, the owner's certificate, and one for each client.

Where an organisation has an authority of its own, its certificates serve as well: the server's
is for its host, a client's common name is the name that scores are counted under.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from equipoise.errors import InputError
from equipoise.transports.nvflare_certificates import authority, make_key, to_pem, write_new

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OWNER: Final = "owner"


def make(folder: Path, host: str, clients: Sequence[str], now: datetime, days: int) -> None:
    """Write `authority.pem`, and NAME.pem and NAME.key for the owner and each client.

    The authority's own key is used here and not kept. InputError for a folder that is there
    already, or a name that is no plain one.
    """
    for name in clients:
        if not _NAME.fullmatch(name) or name in (_OWNER, "authority"):
            raise InputError(
                f"--client {name!r}: expected letters, digits, dots, _ and - alone, and neither"
                f" {_OWNER} nor authority; take another name"
            )
    if len(set(clients)) < len(clients):
        raise InputError("--client gives one name twice; expected each client once; leave one out")
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise InputError(f"{folder} exists already; give a new folder") from None
    key = ec.generate_private_key(ec.SECP256R1())
    ca = authority(key, "scores", now, days)
    write_new(folder / "authority.pem", to_pem(ca))
    for name in (_OWNER, *clients):
        public = make_key(folder / f"{name}.key").public_key()
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if name == _OWNER else None
        made = _built(ca, public, name, now, days, purpose, host).sign(key, hashes.SHA256())
        write_new(folder / f"{name}.pem", to_pem(made))


def _built(
    ca: x509.Certificate,
    public: ec.EllipticCurvePublicKey,
    name: str,
    now: datetime,
    days: int,
    purpose: x509.ObjectIdentifier | None,
    host: str,
) -> x509.CertificateBuilder:
    """Return a certificate to be signed: a server's with its host, or a client's."""
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(ca.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=12))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(_elliptic(ca)), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    usage = [purpose or ExtendedKeyUsageOID.CLIENT_AUTH]
    built = built.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if purpose is None:
        return built
    try:
        named: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        try:
            named = x509.DNSName(host)
        except ValueError as error:
            raise InputError(f"--host {host!r}: expected a host's name or address") from error
    return built.add_extension(x509.SubjectAlternativeName([named]), critical=False)


def _elliptic(ca: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Return the authority's public key, which is of the kind that `authority` was given."""
    public = ca.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise InputError("an authority with a key of another kind; expected one of ECDSA")
    return public
