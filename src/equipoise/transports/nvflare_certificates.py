"""Certificates for mutual TLS: one authority a study, one certificate a party.

A party makes its key itself and hands over a request alone: nobody ever has another's
key. The authority belongs to the coordinator, and signs for one study and some weeks.

Certificates name parties, not hosts: the subject's common name is the party's name,
which the other side of a connection checks. Keys are ECDSA over P-256, which TLS 1.3
must offer (RFC 8446, section 9.1); certificates follow RFC 5280.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from equipoise.errors import InputError

DAYS: Final = 90
"""For how long a certificate holds where nothing else is said."""

_EARLY: Final = timedelta(hours=12)
"""How far a clock may be behind that of the authority."""


def write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; InputError where there is one already."""
    try:
        new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(
            f"{path} exists already and is not written over; take another folder"
        ) from None
    with os.fdopen(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a new key, written to `path` in PEM for its owner alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_new(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return key


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that `make_key` wrote; InputError for anything else."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a key in PEM; restore it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(f"{path} is a key of another kind; expected one of ECDSA")
    return key


def request(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    """Return a request, in PEM, for a certificate over the public half of `key`."""
    built = x509.CertificateSigningRequestBuilder().subject_name(_named(name))
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def authority(
    key: ec.EllipticCurvePrivateKey, study: str, now: datetime, days: int = DAYS
) -> x509.Certificate:
    """Return the certificate of a study's own authority, signed by itself.

    `now` is a time with its zone.
    """
    name = _named(f"equipoise {study}"[:64])
    built = _builder(name, name, key.public_key(), key.public_key(), now, days)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    built = built.add_extension(_usage(signs=True), critical=True)
    return built.sign(key, hashes.SHA256())


def sign(
    ca: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    asked: str,
    name: str,
    *,
    now: datetime,
    days: int = DAYS,
) -> x509.Certificate:
    """Return a certificate for the party `name`, whose request is `asked` in PEM.

    Of the request only the public key is taken over. InputError where it is not whole, is
    for another name, or does not show that who made it has the key.
    """
    try:
        csr = x509.load_pem_x509_csr(asked.encode())
        public = csr.public_key()
        whole = csr.is_signature_valid and csr.subject == _named(name)
    except (ValueError, TypeError, InvalidSignature):
        whole, public = False, None
    if not whole or not isinstance(public, ec.EllipticCurvePublicKey):
        raise InputError(
            f"the request of {name} is not one for this name and a key of ECDSA;"
            " have it made again by: equipoise site init"
        )
    built = _builder(_named(name), ca.subject, public, key.public_key(), now, days)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    built = built.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    built = built.add_extension(_usage(signs=False), critical=True)
    built = built.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return built.sign(key, hashes.SHA256())


def to_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    built = built.public_key(public).serial_number(x509.random_serial_number())
    built = built.not_valid_before(now - _EARLY).not_valid_after(now + timedelta(days=days))
    own, by = x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier
    built = built.add_extension(own.from_public_key(public), critical=False)
    return built.add_extension(by.from_issuer_public_key(signer), critical=False)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
