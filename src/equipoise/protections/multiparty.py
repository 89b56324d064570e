"""Sums under a key that nobody holds whole: `threshold`, multiparty BFV by OpenFHE.

NOT RUN SO FAR: `OpenShares`, the part that calls OpenFHE, was written from its documentation and
examples. Wheels of openfhe 1.6.1 import on CPython 3.10 (build 22.4, which calls itself fit for any
Python) and on 3.12 with glibc 2.38 (Ubuntu 24.04); Equipoise was built on 3.11 with glibc 2.36,
where neither does. Everything else here is tested, with a stand-in for the library.
`Threshold.check` imports OpenFHE and has it share, add and decrypt a small sum before a study may
name it, and refuses it where that fails or comes out wrong.

It is `encrypted` without a keeper, and with more bytes: nobody need be believed about a sum.

    share     one site after the other adds its part to the public key, and signs it
    input     each encrypts its words with the key of all, and signs them
    decrypt   each gets the signed messages of all, adds them by itself and decrypts in part
    accept    each gets the parts of all, signed, and joins them to the total by itself

Words are the sums under masks that cancel in the total alone, as in `encrypted`: a site that signs
what takes others' ciphertexts away, or a last one that puts a key of its own in the place of the
shared one, gets random words. A site that lies about its part of the decryption shifts the total,
as it may by lying about its sums. In `encrypted` forms save sending n messages to n sites; here
less code is worth more, as long as it cannot be run.

Every part of the key is made for one attempt at one round. All sites are needed (n of n): a lost
one ends the round. Words are sent as three digits of 22, 22 and 20 bits under a plaintext modulus
of 31 bits, as issue 5 asks for two residues of 31: digits hold all 64 bits, on which the masks
rest. One modulus of 60 bits decrypted wrongly without an error. Decryption in part floods its
noise (OpenFHE's mode NOISE_FLOODING_MULTIPARTY; Asharov et al. 2012, doi:10.1007/978-3-642-29011-4_29).

Not protected: OpenFHE reads keys and ciphertexts with a loader that is not made for the bytes of an
adversary. It is given none but what a site of the round signed.

Longer than other modules: it stands apart, in one file, until it can be run.
"""

import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DisclosureError, InputError, ProtocolError, TransportError
from equipoise.protection import Accepted, Ahead, Context, Message, Party
from equipoise.protections.encrypted_keeper import (
    DIGEST,
    LEAST,
    bound,
    check_contributions,
    digest_of,
    told,
)
from equipoise.protections.encrypted_site import masked, masks_of
from equipoise.protections.secrets import hexed, pack, single, unpack
from equipoise.protections.spool import Kept, Spool
from equipoise.step import Done, Next
from equipoise.sums import Integers, Schema, check_block, from_bytes

Requests = dict[str, Message]

MODULUS: Final = 16383 * 2**17 + 1
"""The largest prime of 31 bits that is 1 modulo 2**17, as rings up to degree 2**16 need."""

MOST_SITES: Final = 128
"""Digits of so many sites add up to less than half the modulus."""

_DIGIT, _DIGITS = 22, 3


class Shares(Protocol):
    """One party's part of a shared key, and what can be done with it."""

    def join(self, previous: bytes) -> bytes:
        """Make a part; return the public key so far. The first has no `previous`."""
        ...

    def read(self, public: bytes) -> None:
        """Take the public key of all."""
        ...

    def slots(self) -> int:
        """Return how many numbers a ciphertext holds."""
        ...

    def encrypt(self, row: NDArray[np.uint64]) -> bytes:
        """Return a ciphertext of numbers below the modulus."""
        ...

    def add(self, parts: Sequence[bytes]) -> bytes:
        """Return the sum of ciphertexts."""
        ...

    def partial(self, data: bytes, *, lead: bool) -> bytes:
        """Return this part's decryption; one of all parties leads."""
        ...

    def fuse(self, partials: Sequence[bytes]) -> NDArray[np.uint64]:
        """Return the numbers that all parts decrypt to; the lead's comes first."""
        ...


def library() -> Any:
    """Return OpenFHE; InputError that says why it cannot be had and where it could."""
    try:
        return importlib.import_module("openfhe")
    except (ImportError, OSError) as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "openfhe"
        why = "is not installed" if absent else "cannot be loaded"
        raise InputError(
            f"threshold sums need OpenFHE, which {why} on this machine; its wheels import on"
            " Python 3.12 with glibc 2.38 (Ubuntu 24.04) and on 3.10, which Equipoise does not run"
            ' on; choose the protection "masked" or "encrypted"'
        ) from error


class OpenShares:
    """Shares by OpenFHE. Not run so far: see the top of this module."""

    def __init__(self, n_sites: int) -> None:
        """Make the context, which follows from the number of sites alone."""
        self._fhe = fhe = library()
        told = fhe.CCParamsBFVRNS()
        told.SetPlaintextModulus(MODULUS)
        told.SetMultiplicativeDepth(0)
        told.SetEvalAddCount(n_sites)
        told.SetSecurityLevel(fhe.SecurityLevel.HEStd_128_classic)
        told.SetThresholdNumOfParties(n_sites)
        told.SetMultipartyMode(fhe.MultipartyMode.NOISE_FLOODING_MULTIPARTY)
        self._context = fhe.GenCryptoContext(told)
        for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE", "MULTIPARTY"):
            self._context.Enable(getattr(fhe.PKESchemeFeature, feature))
        self._keys: Any = None
        self._public: Any = None

    def join(self, previous: bytes) -> bytes:
        """Make a part; return the public key so far."""
        before = previous and self._fhe.DeserializePublicKeyString(previous, self._fhe.BINARY)
        made = self._context.MultipartyKeyGen(before) if before else self._context.KeyGen()
        self._keys = made
        return self._fhe.Serialize(made.publicKey, self._fhe.BINARY)

    def read(self, public: bytes) -> None:
        """Take the public key of all."""
        self._public = self._fhe.DeserializePublicKeyString(public, self._fhe.BINARY)

    def slots(self) -> int:
        """Return the degree of the ring."""
        return int(self._context.GetRingDimension())

    def encrypt(self, row: NDArray[np.uint64]) -> bytes:
        """Return a ciphertext."""
        plain = self._context.MakePackedPlaintext(row.astype(np.int64).tolist())
        return self._fhe.Serialize(self._context.Encrypt(self._public, plain), self._fhe.BINARY)

    def add(self, parts: Sequence[bytes]) -> bytes:
        """Return the sum of ciphertexts."""
        total, *others = map(self._read, parts)
        for other in others:
            total = self._context.EvalAdd(total, other)
        return self._fhe.Serialize(total, self._fhe.BINARY)

    def partial(self, data: bytes, *, lead: bool) -> bytes:
        """Return this part's decryption."""
        context = self._context
        decrypt = context.MultipartyDecryptLead if lead else context.MultipartyDecryptMain
        (found,) = decrypt([self._read(data)], self._keys.secretKey)
        return self._fhe.Serialize(found, self._fhe.BINARY)

    def fuse(self, partials: Sequence[bytes]) -> NDArray[np.uint64]:
        """Return what all parts decrypt to."""
        found = self._context.MultipartyDecryptFusion([self._read(data) for data in partials])
        found.SetLength(self.slots())
        values = np.array(found.GetPackedValue(), np.int64)
        return np.mod(values, MODULUS).astype(np.uint64)

    def _read(self, data: bytes) -> Any:
        return self._fhe.DeserializeCiphertextString(data, self._fhe.BINARY)


def digits(words: NDArray[np.uint64], slots: int) -> NDArray[np.uint64]:
    """Return the digits of `words`, in rows of one ciphertext each; what is empty is 0."""
    parts = [words >> np.uint64(_DIGIT * i) & np.uint64(2**_DIGIT - 1) for i in range(_DIGITS)]
    rows = np.zeros(-(-_DIGITS * len(words) // slots) * slots, np.uint64)
    rows[: _DIGITS * len(words)] = np.concatenate(parts)
    return rows.reshape(-1, slots)


def words_of(sums: NDArray[np.uint64], n_values: int, n_sites: int) -> NDArray[np.uint64]:
    """Return the sums of words modulo 2**64; ProtocolError where no digits add up to `sums`."""
    rows = sums.reshape(-1)
    most = n_sites * (2**_DIGIT - 1)
    if rows.max(initial=0) > most or rows[_DIGITS * n_values :].any():
        raise ProtocolError("a shared decryption gave what no sum of digits can be")
    total = np.zeros(n_values, np.uint64)
    for i, part in enumerate(rows[: _DIGITS * n_values].reshape(_DIGITS, n_values)):
        total += part << np.uint64(_DIGIT * i)
    return total


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


def _exactly(message: Message, number: int) -> list[bytes]:
    """Return the blocks of a message, of which there must be so many."""
    blocks = list(message.blocks)
    if len(blocks) != number:
        raise ProtocolError(f"expected {number} blocks, got {len(blocks)}")
    return blocks


def _sizes(schema: Schema) -> list[int]:
    return [sum(field.size for field in block.values()) for block in schema.blocks]


def _n_rows(n_values: int, slots: int) -> int:
    return -(-_DIGITS * n_values // slots)


def check_key(
    context: Context, party: Party, sites: Sequence[str], public: bytes, keys: Mapping[str, bytes]
) -> bytes:
    """Return the digest of a public key, once all `sites` signed it, one on top of the other."""
    if set(keys) != set(sites):
        raise ProtocolError("the parts of the key are not those of the listed sites")
    before = bytes(DIGEST)
    for site in sites:
        digest, signature = keys[site][:DIGEST], keys[site][DIGEST:]
        party.verify(site, signature, bound(context, b"share", before + digest))
        before = digest
    if before != (digest_of([public]) if sites else bytes(DIGEST)):
        raise ProtocolError("the public key is not the one that the last site signed")
    return before


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
        parts = [unframed(next(blocks), _n_rows(n_values, slots)) for _ in range(n_sites)]
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


@dataclass(slots=True)
class ThresholdSite:
    """A part of the key, encrypted input, decryption in part, acceptance.

    key   the digest of this site's part of the key, then that of the whole
    said  the digest of what this site sent last
    last  what stands for the contributions that were decrypted
    """

    context: Context
    party: Party
    schema: Schema
    values: Iterable[Integers]
    shares: Shares
    due: str = "share"
    key: bytes = b""
    said: bytes = b""
    last: bytes = b""

    @property
    def settled(self) -> bool:
        """Whether it has been asked to decrypt, or failed: without its part there is no total."""
        return self.due not in ("share", "input", "decrypt")

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer to the next phase; it ends with the accepted total."""
        due, self.due = self.due, "nothing"  # whatever fails, this machine has ended
        if due == "share":
            answer, self.due = self._share(request), "input"
        elif due == "input":
            answer, self.due = self._input(request), "decrypt"
        elif due == "decrypt":
            answer, self.due = self._decrypt(request), "accept"
        elif due == "accept":
            return Done(self._accept(request))
        else:
            raise ProtocolError("this threshold round has ended")
        return Next(answer)

    def _share(self, request: Message) -> Message:
        """Add a part to the public key."""
        (previous,), sites = _exactly(request, 1), self.context.sites
        earlier, keys = sites[: sites.index(self.party.name)], unpack(request.head, "keys")
        before = check_key(self.context, self.party, earlier, previous, keys)
        public = self.shares.join(previous if earlier else b"")
        self.key = digest_of([public])
        signature = self.party.sign(bound(self.context, b"share", before + self.key))
        return Message(pack({"key": (self.key + signature).hex()}), [public])

    def _input(self, request: Message) -> Message:
        """Take the key of all; send sums under masks and encryption, signed."""
        (public,) = _exactly(request, 1)
        keys = unpack(request.head, "keys")
        whole = check_key(self.context, self.party, self.context.sites, public, keys)
        if keys[self.party.name][:DIGEST] != self.key:
            raise ProtocolError("the centre announced another part of the key for this site")
        self.key = whole
        self.shares.read(public)
        return Message(b"", self._encrypted())

    def _encrypted(self) -> Iterator[bytes]:
        """Yield the blocks, and last the signature over them."""
        joint, masks = hashlib.sha256(), masks_of(self.context, self.party)
        for block, values in zip(self.schema.blocks, self.values, strict=True):
            words = [masked(name, values[name], masks) for name in block]
            rows = digits(np.concatenate([np.empty(0, np.uint64), *words]), self.shares.slots())
            data = framed(self.shares.encrypt(row) for row in rows)
            joint.update(len(data).to_bytes(8, "big") + data)
            yield data
        self.said = joint.digest()
        yield self.party.sign(bound(self.context, b"contribution", self.key + self.said))

    def _decrypt(self, request: Message) -> Message:
        """Add what all sites signed for this round, and decrypt the sum in part."""
        contributions = unpack(request.head, "contributions")
        check_contributions(self.context, self.party, self.key, contributions)
        if contributions[self.party.name][:DIGEST] != self.said:
            raise ProtocolError("the centre announced another message for this site")
        lead, parts = self.party.name == min(self.context.sites), Spool()
        kept = gathered(request, len(self.schema.blocks), contributions)
        for rows in rows_of(kept, self.schema, self.shares.slots()):
            sums = map(self.shares.add, rows)
            parts.add(framed(self.shares.partial(row, lead=lead) for row in sums))
        self.said, self.last = digest_of(parts), told(contributions)
        signature = self.party.sign(bound(self.context, b"part", self.last + self.said))
        return Message(pack({"part": (self.said + signature).hex()}), parts)

    def _accept(self, request: Message) -> Accepted:
        """Join the parts of all sites to the total."""
        signed = unpack(request.head, "parts", self.context.sites)
        for site, content in signed.items():
            digest, signature = content[:DIGEST], content[DIGEST:]
            self.party.verify(site, signature, bound(self.context, b"part", self.last + digest))
        if signed[self.party.name][:DIGEST] != self.said:
            raise ProtocolError("the centre announced another part for this site")
        parts = gathered(request, len(self.schema.blocks), signed)
        total = fused(self.shares, parts, self.schema, len(self.context.sites))
        content = bound(self.context, b"accepted", self.last + digest_of(total))
        head = pack({"accept": self.party.sign(content).hex()})
        return Accepted(Kept(self.schema, total), Message(head))


@dataclass(slots=True)
class ThresholdCentre:
    """Passes on parts of the key, messages, and parts of the decryption; joins these as well."""

    context: Context
    schema: Schema
    shares: Shares
    due: str = "share"
    keys: dict[str, bytes] = field(default_factory=dict[str, bytes])
    public: bytes = b""
    total: Spool = field(default_factory=Spool)

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[Sequence[Integers]]:
        """Return the next phase's requests; it ends when every site accepted the total."""
        due, self.due = self.due, "nothing"
        if due == "share":
            self.due = "shared"
            return Next(self._ask(self.context.sites[0]))
        if due == "shared":
            return Next(self._share(answers))
        self._all(answers, self.context.sites)
        if due == "input":
            request, self.due = self._pass_on(answers), "decrypt"
        elif due == "decrypt":
            request, self.due = self._join(answers), "accepted"
        elif due == "accepted":
            return Done(Kept(self.schema, self.total))
        else:
            raise ProtocolError("this threshold round has ended")
        return Next(dict.fromkeys(self.context.sites, request))

    def _all(self, answers: Mapping[str, Message], asked: Sequence[str]) -> None:
        if lost := sorted(set(asked) - set(answers)):
            raise TransportError(f"lost {', '.join(lost)}; threshold sums need every site")
        if strange := set(answers) - set(asked):
            raise ProtocolError(f"answers came from {sorted(strange)}, which were not asked")

    def _ask(self, site: str) -> Requests:
        return {site: Message(pack({"keys": hexed(self.keys)}), [self.public])}

    def _share(self, answers: Mapping[str, Message]) -> Requests:
        """Ask one site after the other for its part of the key; then give the whole to all."""
        site = self.context.sites[len(self.keys)]
        self._all(answers, [site])
        (self.public,) = _exactly(answers[site], 1)
        self.keys[site] = single(answers[site].head, "key")
        if len(self.keys) < len(self.context.sites):
            self.due = "shared"
            return self._ask(self.context.sites[len(self.keys)])
        self.due = "input"
        self.shares.read(self.public)
        head = pack({"keys": hexed(self.keys)})
        return dict.fromkeys(self.context.sites, Message(head, [self.public]))

    def _pass_on(self, answers: Mapping[str, Message]) -> Message:
        """Give each site the messages of all, block by block."""
        n_blocks, signed = len(self.schema.blocks), dict[str, bytes]()
        messages = {s: _exactly(answers[s], n_blocks + 1) for s in sorted(self.context.sites)}
        for site, (*blocks, signature) in messages.items():
            signed[site] = digest_of(blocks) + signature
        side = [blocks[i] for i in range(n_blocks) for blocks in messages.values()]
        return Message(pack({"contributions": hexed(signed)}), side)

    def _join(self, answers: Mapping[str, Message]) -> Message:
        """Join the parts, and give them to each site, which does the same."""
        n_blocks, sites = len(self.schema.blocks), sorted(self.context.sites)
        messages = [_exactly(answers[site], n_blocks) for site in sites]
        side = [blocks[i] for i in range(n_blocks) for blocks in messages]
        signed = {site: single(answers[site].head, "part") for site in sites}
        parts = gathered(Message(b"", side), n_blocks, signed)
        self.total = fused(self.shares, parts, self.schema, len(sites))
        return Message(pack({"parts": hexed(signed)}), side)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A key in as many parts as there are sites, from 3 to 128."""

    shares: Callable[[int], Shares] = OpenShares

    def check(self, n_sites: int) -> None:
        """Refuse too few or too many sites; InputError where OpenFHE cannot be had or is wrong."""
        if n_sites < LEAST:
            raise DisclosureError(
                f"threshold sums need at least {LEAST} sites, this study has {n_sites}: each of"
                " two sites would learn the other's sums by subtracting its own; add a site"
            )
        if n_sites > MOST_SITES:
            raise InputError(
                f"threshold sums are for up to {MOST_SITES} sites, this study has {n_sites};"
                ' choose the protection "masked"'
            )
        if not tried(self.shares, n_sites):
            raise InputError(
                "OpenFHE decrypts a shared sum wrongly on this machine; choose the protection"
                ' "masked" or "encrypted"'
            )

    def site(
        self,
        context: Context,
        party: Party,
        schema: Schema,
        values: Iterable[Integers],
        ahead: Ahead | None = None,
    ) -> ThresholdSite:
        """Return the machine of one site."""
        del ahead
        return ThresholdSite(context, party, schema, values, self.shares(len(context.sites)))

    def centre(
        self, context: Context, schema: Schema, ahead: Ahead | None = None
    ) -> ThresholdCentre:
        """Return the machine of the centre; in the first phases it asks one site at a time."""
        del ahead
        return ThresholdCentre(context, schema, self.shares(len(context.sites)))


def tried(shares: Callable[[int], Shares], n_sites: int) -> bool:
    """Return whether three parties of such shares decrypt the greatest sum rightly."""
    parties, public = [shares(n_sites) for _ in range(3)], b""
    for one in parties:
        public = one.join(public)
    centre = shares(n_sites)
    for one in (*parties, centre):
        one.read(public)
    row = np.full(centre.slots(), 2**_DIGIT - 1, np.uint64)
    total = centre.add([parties[i % 3].encrypt(row) for i in range(n_sites)])
    partials = [one.partial(total, lead=i == 0) for i, one in enumerate(parties)]
    return np.array_equal(centre.fuse(partials), row * np.uint64(n_sites))
