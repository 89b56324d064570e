"""Signed tree heads: C2SP tlog-checkpoint inside C2SP signed-note, with Ed25519.

    example.com/log                                     origin
    7                                                   number of entries
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=        root

    — example.com/log Az3grlgt...                       name, base64(key hash || signature)

Source: https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note; the
key hash is SHA-256(name || 0x0A || 0x01 || public key)[:4].

Departures, all of them stricter: exactly one signature (no cosignatures), no
extension lines, names and origins of printable characters only, and a note is
refused unless it is, byte for byte, the canonical rendering of what it says.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from equipoise.errors import InputError, IntegrityError
from equipoise.ledger.tree import HASH_BYTES

_ED25519 = b"\x01"
_KEY_HASH_BYTES = 4
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How many entries a log holds, and the root over them.

    InputError: the origin is empty or not printable, the size is negative, or
    the root is not 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what has no canonical rendering."""
        if not self.origin or not self.origin.isprintable():
            raise InputError("checkpoint: origin; expected one line of printable characters")
        if self.size < 0:
            raise InputError(f"checkpoint: size {self.size}; expected 0 or more")
        if len(self.root) != HASH_BYTES:
            raise InputError(f"checkpoint: root of {len(self.root)} bytes; expected {HASH_BYTES}")

    def body(self) -> str:
        """Give the text that is signed, with its last newline."""
        return f"{self.origin}\n{self.size}\n{_to_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with its one signature, not yet verified."""

    checkpoint: Checkpoint
    name: str
    key_hash: bytes
    signature: bytes

    def text(self) -> str:
        """Give the canonical rendering."""
        signature = _to_base64(self.key_hash + self.signature)
        return f"{self.checkpoint.body()}\n— {self.name} {signature}\n"

    def names(self, name: str, public_key: Ed25519PublicKey) -> bool:
        """Tell whether the signature line claims to be by this name and key."""
        return self.name == name and self.key_hash == key_hash(name, public_key)

    def verify(self, name: str, public_key: Ed25519PublicKey) -> Checkpoint:
        """Give the checkpoint if this name and key signed it, else raise IntegrityError."""
        if not self.names(name, public_key):
            raise IntegrityError("checkpoint: signed by another name or key than expected")
        try:
            public_key.verify(self.signature, self.checkpoint.body().encode())
        except InvalidSignature as error:
            raise IntegrityError("checkpoint: the signature does not fit the text") from error
        return self.checkpoint


def key_hash(name: str, public_key: Ed25519PublicKey) -> bytes:
    """Give the 4 bytes by which a signature line names its key.

    The example is the key of the Go project's own tests of signed notes.

    >>> raw = base64.b64decode("GlzZBxQ8OExB6DDFvOEqqIF+xWSaqr8sMTiLNbLXRNY=")
    >>> key_hash("PeterNeumann", Ed25519PublicKey.from_public_bytes(raw)).hex()
    'c74f20a3'
    """
    named = name.encode() + b"\n" + _ED25519 + public_key.public_bytes_raw()
    return hashlib.sha256(named).digest()[:_KEY_HASH_BYTES]


def sign(checkpoint: Checkpoint, name: str, private_key: Ed25519PrivateKey) -> str:
    """Give the signed note.

    InputError: the name is empty or holds a space, a plus sign or a character
    that is not printable.

    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> text = sign(Checkpoint("example.com/log", 0, bytes(32)), "example.com/log", key)
    >>> verify(text, "example.com/log", key.public_key()).size
    0
    """
    check_name(name)
    signature = private_key.sign(checkpoint.body().encode())
    return Note(checkpoint, name, key_hash(name, private_key.public_key()), signature).text()


def parse(text: str) -> Note:
    """Give the note that a canonical text says, its signature not verified.

    IntegrityError: the text differs in any byte from the canonical rendering.
    """
    try:
        note = _parse(text)
        canonical = note.text()
    except (ValueError, InputError) as error:
        raise IntegrityError("checkpoint: not a signed checkpoint of one signature") from error
    if canonical != text:
        raise IntegrityError("checkpoint: not the canonical rendering of what it says")
    return note


def verify(text: str, name: str, public_key: Ed25519PublicKey) -> Checkpoint:
    """Give the checkpoint that `name` signed with the key.

    IntegrityError: the text differs from the canonical rendering, another name
    or key signed it, or the signature is wrong.
    """
    return parse(text).verify(name, public_key)


def _parse(text: str) -> Note:
    origin, size, root, blank, line, end = text.split("\n")
    dash, name, signed = line.split(" ")
    if (blank, dash, end) != ("", "—", ""):
        raise ValueError
    check_name(name)
    blob = base64.b64decode(signed, validate=True)
    if len(blob) != _KEY_HASH_BYTES + _SIGNATURE_BYTES:
        raise ValueError
    checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    return Note(checkpoint, name, blob[:_KEY_HASH_BYTES], blob[_KEY_HASH_BYTES:])


def check_name(name: str) -> None:
    """Return only if a key may have this name: printable, no space, no plus."""
    if not name or not name.isprintable() or " " in name or "+" in name:
        raise InputError("checkpoint: key name; expected printable characters, no space or plus")


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
