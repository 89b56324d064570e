"""Blocks of shared ciphertexts: how they are framed, gathered from all sites, joined to a total.

The centre and each site do the same with them; nobody need be believed about a sum.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from equipoise.errors import ProtocolError
from equipoise.protection import Message
from equipoise.protections.encrypted_keeper import DIGEST
from equipoise.protections.multiparty_scheme import Shares, n_ciphertexts, words_of
from equipoise.protections.spool import Spool
from equipoise.sums import Schema, check_block, from_bytes


def framed(rows: Iterable[bytes]) -> bytes:
    """Return one block of several ciphertexts, each after its length."""
    return b"".join(len(row).to_bytes(4, "big") + row for row in rows)


def unframed(block: bytes, n_rows: int) -> list[bytes]:
    """Return the ciphertexts of a block; ProtocolError for another form."""
    rows: list[bytes] = []
    start = 0
    while start < len(block) and len(rows) <= n_rows:
        size = int.from_bytes(block[start : start + 4], "big")
        rows.append(block[start + 4 : start + 4 + size])
        start += 4 + size
    if start != len(block) or len(rows) != n_rows:
        raise ProtocolError("a block of shared ciphertexts has another form")
    return rows


def exactly(message: Message, number: int) -> list[bytes]:
    """Return the blocks of a message, of which there must be so many."""
    blocks = list(message.blocks)
    if len(blocks) != number:
        raise ProtocolError(f"expected {number} blocks, got {len(blocks)}")
    return blocks


def gathered(message: Message, n_blocks: int, signed: Mapping[str, bytes]) -> Spool:
    """Return the blocks of all sites side by side, once they are what each site signed.

    `signed` begins with the digest of a site's blocks. Nothing is read before that.
    """
    kept, joint = Spool(), {site: hashlib.sha256() for site in sorted(signed)}
    blocks = iter(message.blocks)
    for _ in range(n_blocks):
        for digest in joint.values():
            data = next(blocks, b"")
            digest.update(len(data).to_bytes(8, "big") + data)
            kept.add(data)
    if next(blocks, None) is not None or any(
        digest.digest() != signed[site][:DIGEST] for site, digest in joint.items()
    ):
        raise ProtocolError("the blocks of the sites are not those that they signed")
    return kept


def rows_of(kept: Spool, schema: Schema, slots: int) -> Iterator[list[tuple[bytes, ...]]]:
    """Yield for each block its ciphertexts, each as that of every site."""
    blocks, n_sites = iter(kept), len(kept) // max(len(schema.blocks), 1)
    for n_values in _sizes(schema):
        parts = [unframed(next(blocks), n_ciphertexts(n_values, slots)) for _ in range(n_sites)]
        yield list(zip(*parts, strict=True))


def fused(shares: Shares, parts: Spool, schema: Schema, n_sites: int) -> Spool:
    """Return the total that partial decryptions join to, within its limits."""
    total, joint = Spool(), rows_of(parts, schema, shares.slots())
    for block, n_values, rows in zip(schema.blocks, _sizes(schema), joint, strict=True):
        sums = np.concatenate([np.empty(0, np.uint64), *map(shares.fuse, rows)])
        data = words_of(sums, n_values, n_sites).astype("<u8", copy=False).tobytes()
        check_block(block, from_bytes(block, data))
        total.add(data)
    return total


def _sizes(schema: Schema) -> list[int]:
    return [sum(field.size for field in block.values()) for block in schema.blocks]
