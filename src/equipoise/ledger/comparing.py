"""What two logs of one run must say alike: messages, states, totals, and heads.

A party enters all that it sends, the centre all that it receives; both enter what was
published. These say what a log has of each, in a form that can be compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from equipoise.errors import IntegrityError
from equipoise.ledger.checkpoint import parse
from equipoise.ledger.entry import Entry
from equipoise.ledger.reading import Reading
from equipoise.ledger.tree import Frontier, leaf_hash
from equipoise.protection import contribution


def totals(centre: Reading) -> list[tuple[object, ...]]:
    """Give place and digest of each total that a centre's log says was released, in order."""
    return [
        total(entry.body)
        for entry in centre.entries
        if entry.kind == "release" and entry.body["phase"] == "total"
    ]


def total(body: Mapping[str, object]) -> tuple[object, ...]:
    """Give place and digest of one total, from an entry's body."""
    return tuple(body[key] for key in ("step", "round", "attempt", "sha256"))


def faults_of_decryptions(
    made: Sequence[Mapping[str, object]], centre: Reading, keys: Mapping[str, Ed25519PublicKey]
) -> Iterator[str]:
    """Say what is wrong with a keeper's decryptions: totals, who contributed, signatures.

    `made` are the bodies of its entries, `keys` those of all sites.
    """
    if [total(body) for body in made] != totals(centre):
        yield "not the totals that the centre's log says were released"
    for name in ("context", "key"):
        if len({str(body[name]) for body in made}) < len(made):
            yield f"two totals were decrypted for one {name}"
    for body in made:
        step, rows = ascii(body["step"])[1:-1], cast("list[dict[str, str]]", body["contributions"])
        if {row["site"] for row in rows} != set(keys) or len(rows) < cast("int", body["least"]):
            yield f"a total of {step} was decrypted of others than all sites"
        for row in rows:
            if row["site"] in keys and not _signed(body, row, keys[row["site"]]):
                yield f"a total of {step} was decrypted without a signature of {row['site']}"


def _signed(body: Mapping[str, object], row: Mapping[str, str], key: Ed25519PublicKey) -> bool:
    digests = (bytes.fromhex(str(found)) for found in (body["context"], body["key"], row["sha256"]))
    try:
        key.verify(bytes.fromhex(row["signature"]), contribution(*digests))
    except (InvalidSignature, ValueError):  # what are no hexadecimal digits is no signature
        return False
    return True


def states(reading: Reading) -> list[dict[str, object]]:
    """Give what a log says was published, in order: every party must have the same."""
    return [dict(entry.body) for entry in reading.entries if entry.kind == "state"]


def released(reading: Reading) -> list[tuple[object, ...]]:
    """Give place and digest of all that a site sent, in order."""
    return [_message(entry) for entry in reading.entries if entry.kind == "release"]


def received(centre: Reading, site: str) -> list[tuple[object, ...]]:
    """Give the same of all that the centre received from a site."""
    return [
        _message(entry)
        for entry in centre.entries
        if entry.kind == "received" and entry.body["site"] == site
    ]


def _message(entry: Entry) -> tuple[object, ...]:
    return tuple(entry.body[key] for key in ("step", "round", "attempt", "phase", "sha256"))


def roots(reading: Reading) -> list[bytes]:
    """Give the root of the log at every size from 0 on."""
    frontier = Frontier()
    found = [frontier.root]
    for entry in reading.entries:
        frontier = frontier.add(leaf_hash(entry.to_bytes()))
        found.append(frontier.root)
    return found


def fault_of_head(entry: Entry, reading: Reading, roots: Sequence[bytes]) -> str | None:
    """Say why a `checkpoint` entry is not an earlier or the last head of this very log."""
    origin = reading.checkpoint.origin
    try:
        head = parse(str(entry.body["note"])).verify(origin, reading.public_key)
    except IntegrityError as error:
        return f"a checkpoint entry of the centre does not hold: {error}"
    if (head.size, head.root.hex()) != (entry.body["size"], entry.body["root"]):
        return "a checkpoint entry of the centre says another size or root than its note"
    if head.origin != origin or head.size >= len(roots) or head.root != roots[head.size]:
        return "not the log of an earlier checkpoint in the centre's log; it was rewritten"
    return None
