"""Who masks with whom: everybody up to 16 sites, and beyond that 16 neighbours each.

With n sites, masks of all pairs cost each site n streams. Bell et al. 2020
(doi:10.1145/3372297.3417885) show that a random graph of few neighbours hides a site as well,
as long as it holds together without the sites that are lost or collude. Ours is a ring in an
order that nobody chooses (a digest of the run and the round), in which each site is linked
with the eight on either side. Departure: their bounds are for a share of sites that collude;
ours is for `COLLUDING` sites, and is checked for the very sites that are left.
"""

import hashlib
from collections.abc import Iterable, Sequence

COLLUDING = 1
"""How many sites may collude with the centre without reading another's sums."""

COMPLETE = 16
"""The most sites of which each masks with all others."""

REACH = 8
"""How far along the ring a site's neighbours are, where there are more."""


def threshold(n_holders: int) -> int:
    """Return t: any t holders of shares give the secret, fewer learn nothing.

    t is at least 3 and c + 2, and 2 t > n + c, so that a centre which tells different
    sites different lists of survivors cannot gather both secrets of a site.

    >>> [threshold(n) for n in (3, 4, 5, 16, 17)]
    [3, 3, 4, 9, 10]
    """
    return max(3, COLLUDING + 2, (n_holders + COLLUDING) // 2 + 1)


def ring(sites: Sequence[str], turn: bytes) -> list[str]:
    """Return the sites in the order of the ring, which `turn`, a digest, decides."""
    return sorted(sites, key=lambda site: hashlib.sha256(turn + site.encode()).digest())


def holders(sites: Sequence[str], turn: bytes) -> dict[str, tuple[str, ...]]:
    """Return for each site those that hold shares of its secrets: its neighbours and itself.

    It masks with the same, itself aside. Sorted; if j is among those of i, i is among j's.

    >>> {site: "".join(of) for site, of in holders("abcd", b"").items()}
    {'a': 'abcd', 'b': 'abcd', 'c': 'abcd', 'd': 'abcd'}
    """
    if len(sites) <= COMPLETE:
        return dict.fromkeys(sites, tuple(sorted(sites)))
    order, n = ring(sites, turn), len(sites)
    near = range(-REACH, REACH + 1)
    return {
        site: tuple(sorted({order[(place + step) % n] for step in near}))
        for place, site in enumerate(order)
    }


def joined(sites: Sequence[str], turn: bytes, left: Iterable[str]) -> bool:
    """Return whether the sites that are left still hide one another.

    Each must have enough holders of its shares left, and the graph must hold together
    whichever `COLLUDING` of them are taken away as well.
    """
    there = set(left)
    if len(there) < 3:
        return False
    around = holders(sites, turn)
    if any(len(there & set(around[site])) < threshold(len(around[site])) for site in there):
        return False
    if len(sites) <= COMPLETE:
        return True
    order = ring(sites, turn)
    places = [place for place, site in enumerate(order) if site in there]
    gaps = [(b - a - 1) % len(order) for a, b in zip(places, [*places[1:], places[0]], strict=True)]
    return max(gaps) + COLLUDING < REACH
