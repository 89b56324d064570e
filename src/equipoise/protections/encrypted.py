"""Sums under encryption and masks: two locks, and nobody has both keys.

Three kinds of party: sites, the centre, and a key keeper, a process of its own that the agreement
names and that is neither a site nor run by the centre. A round goes through

    key       the keeper makes a key for this attempt at this round, and signs its public part
    input     each site encrypts its sums, under masks that cancel in the total, and signs them
    total     the centre adds ciphertexts, blind; the keeper decrypts the sum, once all sites
              signed for this round, and signs the total
    check     each site takes the total and signs a few linear forms of what it sent (`forms`)
    accept    the forms of all; each accepts the total if they add up to its forms

What is encrypted is x_i + the sum over j > i of PRG(s_ij) - that over j < i, modulo 2**64, with
s_ij the channel key of two sites for this run and the PRG bound to the context of the round. It is
encrypted by BFV in digits, exactly (`encrypted_scheme`).

Why masks under an encryption. A keeper cannot tell from a ciphertext whether it is a sum. Were it
given the signed contributions to add by itself, it could read each of them, would take 32 MB a
site for a million values, and a site in league with the centre could still sign what takes the
others away (a ciphertext can be negated by who cannot read it), or what makes one decryption tell
the key (BFV does not stand a chosen ciphertext). Under masks all this comes to nothing: of any
proper part of the sites, or any other combination than the sum, the keeper sees random words: of
64 bits each, so that some value is beyond its limit and the round is refused, and if by chance
none is, what it gives out is random. Words of all sites are
random but for their sum, so that digits, noise and whatever else a decryption tells depend on
nothing but the total: no noise needs to be added. One site's sums open only to who has the
keeper's secret key, that site's ciphertext, and its masks with every other site. `masked` rests on
the masks alone; here keys of sites that were drawn badly, or that are broken later from recorded
messages (X25519 is, by a quantum computer; BFV is not known to be), still give nothing.

Forms are taken of what was encrypted, with pads added: random words that travel in the same
encryption, whose sum is published with the total; so forms tell of a site no more than its
ciphertext does. The keeper draws the challenge once the total is fixed. A centre that adds a
known amount, to the total and to the pads, is then found out with the same probability as in
`masked`. So is a keeper, short of 2**64 tries: which forms are asked follows from all that it
announces, the pads' sum with it, which therefore cannot be made to fit them.

Not protected. A site that is lost ends the round: its masks are shared with nobody. Keeper and
centre together read what `masked` shows its centre, no more. The keeper or a site can end a round.
A public key is read by TenSEAL, whose loader may end a site's process on bytes made for it: only
bytes that the keeper signed come so far. The secret key lies in the keeper's memory and, for a
keeper in a process of its own, in a file of its owner's alone, so that a restart does not end the
run; both go when it has decrypted once, and after a restart it decrypts nothing but the message that
it had begun to. Whoever takes a copy of the keeper's disk in mid-round has that round's key.

Not CKKS: it adds real numbers with an error, so it holds no words modulo 2**64, and masks would not
cancel in it. Tried with TenSEAL, totals up to 2**40 of four sites came within .07 of a unit in a
ring of 8192 (moduli of 60, 60 and 60 bits), at twice the bytes, and the bound on that error is
a matter of chance and of double precision.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from equipoise.errors import InputError
from equipoise.protection import Ahead, Context, Party
from equipoise.protections.encrypted_centre import EncryptedCentre
from equipoise.protections.encrypted_keeper import KeyKeeper
from equipoise.protections.encrypted_scheme import MOST_SITES, library
from equipoise.protections.encrypted_site import EncryptedSite
from equipoise.protections.fewest import check_sites
from equipoise.sums import Integers, Schema


@dataclass(frozen=True, slots=True)
class Encrypted:
    """Two locks, from 3 to 128 sites; one party more, the keeper."""

    def check(self, n_sites: int) -> None:
        """Refuse fewer sites than hide one another, and more than sums are exact for.

        InputError where the extra `encrypted` is not installed.
        """
        check_sites(n_sites, "encrypted")
        if n_sites > MOST_SITES:
            raise InputError(
                f"encrypted sums are exact for up to {MOST_SITES} sites, this study has"
                f' {n_sites}; choose the protection "masked"'
            )
        library()
        library("zstandard")

    def site(
        self,
        context: Context,
        party: Party,
        schema: Schema,
        values: Iterable[Integers],
    ) -> EncryptedSite:
        """Return the machine of one site."""
        return EncryptedSite(context, party, schema, values)

    def centre(
        self, context: Context, schema: Schema, ahead: Ahead | None = None
    ) -> EncryptedCentre:
        """Return the machine of the centre; some of its requests are addressed to `KEEPER`."""
        del ahead
        return EncryptedCentre(context, schema)

    def keeper(
        self, context: Context, party: Party, schema: Schema, ahead: Ahead | None = None
    ) -> KeyKeeper:
        """Return the machine of the key keeper; `ahead` is the same for all rounds of a run."""
        return KeyKeeper(context, party, schema, {} if ahead is None else ahead)
