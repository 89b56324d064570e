"""What goes over a wire: versioned, signed, and never able to run anything.

A message is a stream of frames. The first holds a canonical JSON header and an Ed25519
signature over it; the header names the sender, the kind, a body, how many blocks
follow and their joint SHA-256. Each further frame is one block. A public record
travels as a canonical JSON head with the raw little-endian arrays behind it.
"""

import hashlib
import json
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, cast

import numpy as np

from equipoise.errors import ProtocolError
from equipoise.plan import canonical
from equipoise.step import Done, Next

MAGIC = b"EQPS"
VERSION = 1
HEADER_LIMIT = 1 << 22
BLOCK_LIMIT = 1 << 31

_PREFIX = struct.Struct(">4sHI")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message: who sends it, what kind it is, its body and its blocks.

    `sha256` is the joint digest of the blocks, checked when the last of them is read. `id` is
    the SHA-256 of the header, which holds that digest: two messages with one id are the same
    message.
    """

    kind: str
    sender: str
    body: Mapping[str, Any]
    head: bytes = b""
    blocks: Iterable[bytes] = field(default=())
    id: str = ""
    sha256: bytes = b""


def digest_of(blocks: Iterable[bytes]) -> tuple[int, str]:
    """Return the number of blocks and the SHA-256 over the digests of all."""
    joint, number = hashlib.sha256(), 0
    for block in blocks:
        joint.update(hashlib.sha256(block).digest())
        number += 1
    return number, joint.hexdigest()


def header(envelope: Envelope, number: int, sha256: str) -> bytes:
    """Return the header of a message whose blocks have this number and joint digest."""
    content = {
        "kind": envelope.kind,
        "sender": envelope.sender,
        "body": dict(envelope.body),
        "head": envelope.head.hex(),
        "blocks": number,
        "sha256": sha256,
    }
    return canonical(content)


def first_frame(content: bytes, signature: bytes) -> bytes:
    """Return the frame that a signed header travels in."""
    return _PREFIX.pack(MAGIC, VERSION, len(content)) + content + signature


def frames(envelope: Envelope, sign: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield the frames of a message whose blocks fit in memory."""
    blocks = list(envelope.blocks)
    content = header(envelope, *digest_of(blocks))
    yield first_frame(content, sign(content))
    yield from map(bytes, blocks)  # a machine may give what holds bytes


def read(stream: Iterator[bytes], verify: Callable[[str, bytes, bytes], None]) -> Envelope:
    """Return the message that a stream of frames holds, its blocks read as they come.

    `verify(sender, signature, header)` raises ProtocolError for a signature that is not
    the sender's. The blocks' digest is checked when the last has come; a message without any
    has come whole when this returns.
    """
    first = next(stream, b"")
    if len(first) < _PREFIX.size or len(first) > HEADER_LIMIT:
        raise ProtocolError("the message has no header")
    magic, version, length = _PREFIX.unpack(first[: _PREFIX.size])
    if magic != MAGIC:
        raise ProtocolError("the message is not of this protocol")
    if version != VERSION:
        raise ProtocolError(f"the message has version {version}; expected {VERSION}")
    signed, signature = first[_PREFIX.size :][:length], first[_PREFIX.size + length :]
    content = _header(signed)
    verify(content["sender"], signature, signed)
    blocks = _checked(stream, content["blocks"], content["sha256"])
    return Envelope(
        content["kind"],
        content["sender"],
        content["body"],
        bytes.fromhex(content["head"]),
        blocks if content["blocks"] else list(blocks),
        hashlib.sha256(signed).hexdigest(),
        bytes.fromhex(content["sha256"]),
    )


_HEADER = {"kind": str, "sender": str, "body": dict, "head": str, "blocks": int, "sha256": str}


def _header(data: bytes) -> dict[str, Any]:
    try:
        content: Any = json.loads(data)
        same = canonical(content) == data
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the header of a message cannot be read") from error
    if not same or not isinstance(content, dict) or content.keys() != _HEADER.keys():
        raise ProtocolError("the header of a message is not in its canonical form")
    content = cast("dict[str, Any]", content)
    for name, kind in _HEADER.items():
        if not isinstance(content[name], kind):
            raise ProtocolError(f"the header of a message has a wrong {name}")
    for name in ("head", "sha256"):
        try:
            bytes.fromhex(content[name])
        except ValueError as error:
            raise ProtocolError(f"the {name} of a message is not hexadecimal") from error
    return content


def _checked(stream: Iterator[bytes], number: int, sha256: str) -> Iterator[bytes]:
    joint = hashlib.sha256()
    for _ in range(number):
        block = next(stream, None)
        if block is None or len(block) > BLOCK_LIMIT:
            raise ProtocolError("the message ended before its last block")
        joint.update(hashlib.sha256(block).digest())
        yield block
    if next(stream, None) is not None:
        raise ProtocolError("the message goes on after its last block")
    if joint.hexdigest() != sha256:
        raise ProtocolError("the blocks of a message are not those that were signed")


def end(blocks: Iterable[bytes]) -> None:
    """Raise ProtocolError unless no block of a message is left, and all came as signed."""
    for _ in blocks:
        raise ProtocolError("the message has a block that nobody asked for")


def whole(blocks: Iterable[bytes]) -> None:
    """Raise ProtocolError unless all blocks of a message came as signed; they are not kept."""
    deque(blocks, maxlen=0)


def pack_record(record: object) -> bytes:
    """Return a public record as bytes: fields are arrays, whole numbers or text."""
    described: list[list[Any]] = []
    raw: list[bytes] = []
    for declared in fields(cast("Any", record)):
        value = getattr(record, declared.name)
        if isinstance(value, (str, int)):
            described.append([declared.name, value])
            continue
        array = np.ascontiguousarray(value)
        kind = {"f": "<f8", "i": "<i8"}[array.dtype.kind]
        described.append([declared.name, kind, list(np.shape(value))])
        raw.append(array.astype(kind).tobytes())
    head = canonical({"record": type(record).__name__, "fields": described})
    return struct.pack(">I", len(head)) + head + b"".join(raw)


def unpack_record(data: bytes, types: Mapping[str, type]) -> Any:
    """Return the record that `data` holds; ProtocolError for anything else."""
    try:
        (length,) = struct.unpack(">I", data[:4])
        head = json.loads(data[4 : 4 + length])
        kind = types[head["record"]]
        values, place = dict[str, Any](), 4 + length
        for name, *rest in head["fields"]:
            values[name], place = _value(rest, data, place)
        record = kind(**values)
        same = place == len(data) and pack_record(record) == data
    except (ValueError, KeyError, TypeError, struct.error, RecursionError, OverflowError) as error:
        raise ProtocolError("a public record cannot be read") from error
    if not same:
        raise ProtocolError("a public record is not in its canonical form")
    return record


def _value(described: list[Any], data: bytes, place: int) -> tuple[Any, int]:
    if len(described) == 1:
        return described[0], place
    kind, shape = described
    if kind not in ("<f8", "<i8") or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ValueError("unknown kind of array")
    size = 1
    for n in shape:
        size *= n
    if size * 8 > len(data) - place:
        raise ValueError("array beyond the end")
    array = np.frombuffer(data, kind, count=size, offset=place).reshape(shape)
    return array.astype(kind[1:]), place + 8 * size


def pack_outcome(outcome: Next[Any] | Done[Any]) -> list[bytes]:
    """Return what follows from a round as blocks: whether the step ends, and the record."""
    if isinstance(outcome, Next):
        return [b"next", pack_record(outcome.state)]
    return [b"done", pack_record(outcome.result)]


def unpack_outcome(blocks: Iterable[bytes], types: Mapping[str, type]) -> Next[Any] | Done[Any]:
    """Return what `pack_outcome` packed; ProtocolError for anything else."""
    parts = list(islice(blocks, 3))  # a longer message does not fill the memory
    if len(parts) != 2 or parts[0] not in (b"next", b"done"):
        raise ProtocolError("an outcome is one record, marked next or done")
    record = unpack_record(parts[1], types)
    return Next(record) if parts[0] == b"next" else Done(record)
