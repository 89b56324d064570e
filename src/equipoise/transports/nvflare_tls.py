"""Mutual TLS 1.3 between parties who know one another by the names in their certificates."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import NameOID

from equipoise.errors import InputError

CENTRE: Final = "centre"
"""The name in the centre's certificate."""

SCHEME: Final = "eqp"
"""The scheme of addresses that are reached so."""

WIRE: Final = "equipoise"
"""Under which name what a connection is made with holds its `Wire`."""

HANDSHAKE: Final = 20.0
"""Seconds within which the other side must have shown who it is."""

_FINAL: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "VERSION", "HANDSHAKE_FAILURE")
"""Words of the alerts by which the other side says that it will not have this one."""

_SILENCE: Final = {
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 60_000,
}
"""A probe after 30 seconds, then every 10, three times; what is sent must be had within 60."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files in PEM: who signs certificates for this study, the own certificate and its key."""

    authority: Path
    certificate: Path
    key: Path


Refused = Callable[[str], None]
"""Is told why a connection was not made: whose certificate does not hold."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What a connection needs: the TLS context, whom it may be with, who is told of others."""

    context: ssl.SSLContext
    names: frozenset[str]
    refused: Refused

    def peer(self, secure: ssl.SSLSocket) -> str:
        """Return what is wrong with the name in the other side's certificate, or nothing."""
        shown: Any = secure.getpeercert() or {}
        said = [v for part in shown.get("subject", ()) for key, v in part if key == "commonName"]
        if len(said) == 1 and said[0] in self.names:
            return ""
        return f"the certificate shown is that of {said}, who is no party here"


def check_own(credentials: Credentials, name: str, now: datetime) -> None:
    """Raise InputError unless the own certificate is for this party, and holds now.

    The other side checks the same, but can only refuse to say why.
    """
    try:
        own = load_pem_x509_certificate(credentials.certificate.read_bytes())
        shown = [
            str(part.value) for part in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
    except (OSError, ValueError) as error:
        raise InputError(
            f"{credentials.certificate} cannot be read as a certificate in PEM;"
            " take the start-up folder as it was handed over"
        ) from error
    if shown != [name]:
        raise InputError(
            f"{credentials.certificate} is for {', '.join(shown)}, and this is {name};"
            " take the start-up folder of this party"
        )
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise InputError(
            f"{credentials.certificate} holds from {own.not_valid_before_utc:%Y-%m-%d %H:%M} to"
            f" {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and not now; see this machine's"
            " clock, or ask the coordinator for a new start-up folder"
        )


def context_of(credentials: Credentials, listens: bool) -> ssl.SSLContext:
    """Return a context for TLS 1.3 in which both sides show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if listens:
        context.num_tickets = 0  # no session is resumed, so that every connection is checked
    context.check_hostname = False  # `Wire.peer` checks the name, which is no host's
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(credentials.authority)
        context.load_cert_chain(credentials.certificate, credentials.key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"{credentials.certificate.parent}: certificates or key cannot be read ({error});"
            " take the start-up folder as it was handed over, and the key made with it"
        ) from None
    return context


def notice_silence(plain: socket.socket) -> None:
    """Have the system end a connection whose other side is silent, which firewalls make of it."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        if hasattr(socket, name):  # not every system has all of them
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def let_read(secure: ssl.SSLSocket) -> None:
    """Close a connection whose handshake failed, once the other side has read the alert.

    To close it with bytes unread would have the system throw the alert away.
    """
    raw = socket.socket  # its methods, since those of TLS have failed
    with secure, contextlib.suppress(OSError):
        raw.shutdown(secure, socket.SHUT_WR)
        raw.settimeout(secure, 1.0)
        for _ in range(16):
            if not raw.recv(secure, 4096):
                return


def is_final(error: Exception) -> bool:
    """Return whether to connect again would be of no use: a certificate or TLS itself is wrong.

    All else, such as an altered or a lost byte, is a matter of the link.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    said = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return "ALERT" in said and any(word in said for word in _FINAL)


def reason_of(error: Exception) -> str:
    """Return why a handshake failed, in OpenSSL's words without their place in the source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate shown does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        said = (error.reason or type(error).__name__).lower().replace("_", " ")
        return f"no TLS connection: {said}"
    return f"no TLS connection: {type(error).__name__}"
