"""Sums under a key that nobody holds whole: `threshold`, multiparty BFV by OpenFHE.

NOT RUN SO FAR: the part that calls OpenFHE (`multiparty_openfhe`, which says why). Everything else
is tested, with a stand-in for the library. `Threshold.check` imports OpenFHE and has it share, add
and decrypt a small sum before a study may name it, and refuses it where that fails or comes out
wrong.

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
one ends the round. Words are sent in digits, exactly (`multiparty_scheme`). Decryption in part
floods its noise (OpenFHE's mode NOISE_FLOODING_MULTIPARTY; Asharov et al. 2012,
doi:10.1007/978-3-642-29011-4_29).

Not protected: OpenFHE reads keys and ciphertexts with a loader that is not made for the bytes of an
adversary. It is given none but what a site of the round signed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from equipoise.errors import InputError
from equipoise.protection import Ahead, Context, Party
from equipoise.protections.fewest import check_sites
from equipoise.protections.multiparty_centre import ThresholdCentre
from equipoise.protections.multiparty_openfhe import OpenShares
from equipoise.protections.multiparty_scheme import MOST_SITES, Shares, tried
from equipoise.protections.multiparty_site import ThresholdSite
from equipoise.sums import Integers, Schema


@dataclass(frozen=True, slots=True)
class Threshold:
    """A key in as many parts as there are sites, from 3 to 128."""

    shares: Callable[[int], Shares] = OpenShares

    def check(self, n_sites: int) -> None:
        """Refuse too few or too many sites; InputError where OpenFHE cannot be had or is wrong."""
        check_sites(n_sites, "threshold")
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
    ) -> ThresholdSite:
        """Return the machine of one site."""
        return ThresholdSite(context, party, schema, values, self.shares(len(context.sites)))

    def centre(
        self, context: Context, schema: Schema, ahead: Ahead | None = None
    ) -> ThresholdCentre:
        """Return the machine of the centre; in the first phases it asks one site at a time."""
        del ahead
        return ThresholdCentre(context, schema, self.shares(len(context.sites)))
