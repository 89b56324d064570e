"""How few sites hide one another's sums."""

from typing import Final

from equipoise.errors import DisclosureError

FEWEST: Final = 3
"""Of two sites, each learns the other's sums."""


def check_sites(n_sites: int, kind: str, instead: str = "") -> None:
    """Raise DisclosureError where so few sites hide nothing, by whatever protection.

    kind     what the sums are: masked, encrypted, threshold
    instead  what else can be done than add a site, as the end of the sentence
    """
    if n_sites < FEWEST:
        raise DisclosureError(
            f"{kind} sums need at least {FEWEST} sites, this study has {n_sites}: each of two"
            f" sites would learn the other's sums by subtracting its own; add a site{instead}"
        )
