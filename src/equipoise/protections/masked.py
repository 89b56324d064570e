"""Sums under one-time masks that cancel in the total, and under nothing less.

Double masking after Bonawitz et al. 2017 (doi:10.1145/3133956.3133982), Figure 4, in the
ring of integers modulo 2**64. Site i sends

    x_i + PRG(b_i) + sum over j > i of PRG(s_ij) - sum over j < i of PRG(s_ij)

where s_ij comes from an X25519 exchange between i and j and b_i is i's own seed. Both
secrets of each site are shared among those it masks with and itself, t of n (`graph`). Of a site
that stayed, t of them hand in their shares of b_i; of one that was lost before its message
came, their shares of its key, from which its masks with the others are made again. The centre
may learn the one or the other of a site, never both.

Where the sites agreed to end with a lost site there is neither b_i nor a share: they guard a site
whose key was handed in though its message had come, and there no key is ever handed in. A
site's message then tells a total together with all others', so that none is sent again for another
attempt (`settled`).

A round goes through

    prepare   keys and sealed shares, where none were sent along with the round before
    input     keys and shares of all; each site sends its masked message, and secrets ahead
    unmask    who survived; each sends a share of each site's seed or key if a site may be lost,
              and signs who did
    check     the total; each signs a few linear forms of what it added to it (`forms`)
    accept    the forms of all; each accepts the total if they add up to its forms

A site that is lost before its message has come is left out of the total, where the plan says
that sites may be lost; one that is lost later, and before it vouched for its part, ends the
round, since nobody else can tell a forged total from its absence. What a survivor sent, less
its own mask and its masks with lost sites, is what the centre can compute as well: its forms
tell nothing more. They are asked by a challenge that follows from the total, the survivors and
nonces that sites sealed for one another; so a centre without a site on its side cannot look for a
wrong total that passes.

Departures: PRG is AES-256-CTR under HKDF-SHA256 keys, one for each pair and field,
whose info is the whole context (study, plan, step, round, attempt, analysis, signed
list of sites). All secrets are made for one attempt at one round.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from equipoise.protection import Ahead, Context, Party
from equipoise.protections.fewest import check_sites
from equipoise.protections.masked_centre import MaskedCentre
from equipoise.protections.masked_site import MaskedSite
from equipoise.sums import Integers, Schema


@dataclass(frozen=True, slots=True)
class Masked:
    """The everyday protection, from three sites on."""

    def check(self, n_sites: int) -> None:
        """Refuse fewer than three sites: each of two would learn the other's sums."""
        clear = ', or use kind = "clear" where one party may see every sum'
        check_sites(n_sites, "masked", clear)

    def site(
        self,
        context: Context,
        party: Party,
        schema: Schema,
        values: Iterable[Integers],
    ) -> MaskedSite:
        """Return the machine of one site."""
        return MaskedSite(context, party, schema, values)

    def centre(self, context: Context, schema: Schema, ahead: Ahead | None = None) -> MaskedCentre:
        """Return the machine of the centre."""
        return MaskedCentre(context, schema, {} if ahead is None else ahead)
