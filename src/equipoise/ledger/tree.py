"""Merkle hash trees over a list, with proofs of membership and of growth.

Source: RFC 6962 section 2.1 (the tree and both proofs); the two verifying
procedures follow RFC 9162 sections 2.1.3.2 and 2.1.4.2, which RFC 6962 leaves
out. The hash is SHA-256. Leaves enter as leaf hashes: entries are not needed
to check a proof.

Departure: both RFCs leave a consistency proof from the empty tree undefined.
Here it is the empty proof, since every tree continues the empty one.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.errors import InputError, IntegrityError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Give SHA-256(0x00 || data): RFC 6962, section 2.1.

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Give SHA-256(0x01 || left || right): RFC 6962, section 2.1.

    >>> node_hash(leaf_hash(b""), leaf_hash(bytes(1))).hex()[:16]
    'fac54203e7cc696c'
    """
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All of a tree that appending needs: the roots of its perfect subtrees, largest first.

    There is one peak for each bit set in `size`. Both `add` and `root` cost
    O(log size).

    >>> Frontier().add(leaf_hash(b"")).root == leaf_hash(b"")
    True
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def add(self, leaf: bytes) -> "Frontier":
        """Give the frontier with one more leaf hash.

        InputError: the leaf hash is not 32 bytes.
        """
        if len(leaf) != HASH_BYTES:
            raise InputError(f"leaf hash: {len(leaf)} bytes; expected {HASH_BYTES}; use leaf_hash")
        peaks = list(self.peaks)
        peak, rest = leaf, self.size
        while rest & 1:  # one carry for each pair of equal subtrees, as in binary addition
            peak = node_hash(peaks.pop(), peak)
            rest >>= 1
        return Frontier(self.size + 1, (*peaks, peak))

    @property
    def root(self) -> bytes:
        """The tree's root; SHA-256 of nothing for the empty tree."""
        if not self.peaks:
            return EMPTY_ROOT
        *larger, found = self.peaks
        for peak in reversed(larger):
            found = node_hash(peak, found)
        return found


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Give the root over all leaves (MTH, RFC 6962 section 2.1).

    >>> root([]) == EMPTY_ROOT
    True
    """
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier = frontier.add(leaf)
    return frontier.root


def inclusion_proof(index: int, leaf_hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Give the audit path of leaf `index` (0-based), lowest sibling first.

    PATH(m, D[n]) of RFC 6962, section 2.1.1. InputError: there is no such leaf.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(5)]
    >>> inclusion_proof(4, leaves) == (root(leaves[:4]),)
    True
    """
    low, high = 0, len(leaf_hashes)
    if not low <= index < high:
        raise InputError(f"leaf {index}: out of range; expected 0 to {high - 1}")
    path: list[bytes] = []
    while high - low > 1:
        middle = low + _left_width(high - low)
        if index < middle:
            path.append(root(leaf_hashes[middle:high]))
            high = middle
        else:
            path.append(root(leaf_hashes[low:middle]))
            low = middle
    return tuple(reversed(path))


def consistency_proof(old_size: int, leaf_hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """Give the nodes which show that the first `old_size` leaves were not changed.

    PROOF(m, D[n]) of RFC 6962, section 2.1.2; empty for the empty tree (see the
    module). InputError: `old_size` exceeds the number of leaves.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(5)]
    >>> consistency_proof(4, leaves) == (leaves[4],)
    True
    """
    low, high = 0, len(leaf_hashes)
    if not low <= old_size <= high:
        raise InputError(f"old size {old_size}: out of range; expected 0 to {high}")
    path: list[bytes] = []
    while low < old_size < high:
        middle = low + _left_width(high - low)
        if old_size <= middle:
            path.append(root(leaf_hashes[middle:high]))
            high = middle
        else:
            path.append(root(leaf_hashes[low:middle]))
            low = middle
    if low > 0:  # the whole old tree is known to the verifier, a part of it is not
        path.append(root(leaf_hashes[low:high]))
    return tuple(reversed(path))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return only if the leaf hash is number `index` of the `size` leaves under `root`.

    RFC 9162, section 2.1.3.2. IntegrityError: it is not, or the proof is malformed.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(5)]
    >>> verify_inclusion(leaves[3], 3, 5, inclusion_proof(3, leaves), root(leaves))
    """
    _check_hashes(leaf, root, *proof)
    if not 0 <= index < size:
        raise IntegrityError(f"inclusion proof: leaf {index} of {size}; expected 0 to size - 1")
    node, found = index, leaf
    last = size - 1
    for sibling in proof:
        _check_height(last)
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            node, last = _skip_missing(node, last)
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    _check_end(last, [(found, root)])


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return only if the tree under `new_root` continues the one under `old_root`.

    RFC 9162, section 2.1.4.2. IntegrityError: it does not, or the proof is malformed.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(5)]
    >>> proof = consistency_proof(3, leaves)
    >>> verify_consistency(3, 5, root(leaves[:3]), root(leaves), proof)
    """
    _check_hashes(old_root, new_root, *proof)
    if not 0 <= old_size <= new_size:
        raise IntegrityError(f"consistency proof: from {old_size} to {new_size} leaves")
    if old_size in (0, new_size):
        _check_trivial(old_size, new_size, old_root, new_root, proof)
        return
    power_of_two = old_size & (old_size - 1) == 0
    path = [old_root, *proof] if power_of_two else list(proof)
    old_found, new_found, last = _climb(old_size - 1, new_size - 1, path)
    _check_end(last, [(old_found, old_root), (new_found, new_root)])


def _climb(node: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes, int]:
    """Give both roots which `path` leads to, and what is left of the height."""
    if not path:
        raise IntegrityError("consistency proof: no nodes; expected at least one")
    while node & 1:
        node, last = node >> 1, last >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        _check_height(last)
        if node & 1 or node == last:
            old_found = node_hash(sibling, old_found)
            new_found = node_hash(sibling, new_found)
            node, last = _skip_missing(node, last)
        else:
            new_found = node_hash(new_found, sibling)
        node, last = node >> 1, last >> 1
    return old_found, new_found, last


def _left_width(width: int) -> int:
    """Give the largest power of two smaller than `width`, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def _skip_missing(node: int, last: int) -> tuple[int, int]:
    """Climb past the levels at which the last node has no sibling."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _check_hashes(*hashes: bytes) -> None:
    for found in hashes:
        if len(found) != HASH_BYTES:
            raise IntegrityError(f"proof: a hash of {len(found)} bytes; expected {HASH_BYTES}")


def _check_height(last: int) -> None:
    if last == 0:
        raise IntegrityError("proof: more nodes than the tree is high")


def _check_trivial(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return only if nothing had to be proved: from the empty tree, or to the same tree."""
    if proof:
        raise IntegrityError(f"consistency proof: {len(proof)} nodes; expected none")
    roots = ((old_size, old_root), (new_size, new_root))
    _check_end(0, [(found, EMPTY_ROOT) for size, found in roots if size == 0])
    if old_size == new_size:
        _check_end(0, [(old_root, new_root)])


def _check_end(last: int, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    if last != 0:
        raise IntegrityError("proof: fewer nodes than the tree is high")
    if not all(hmac.compare_digest(found, expected) for found, expected in pairs):
        raise IntegrityError("proof: it leads to another root than the one given")
