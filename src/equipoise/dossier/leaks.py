"""What could be worked out from what left the sites, in words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from equipoise.dossier.words import count, of_hundred, within

PROTECTIONS: Final[Mapping[str, str]] = {
    "clear": "Nothing hid a site’s own sums: the centre, which adds them up, saw them.",
    "masked": (
        "Each site hid its sums under random numbers that cancel in the total, so the centre,"
        " which adds them up, saw the total over all sites and no site’s own sums."
    ),
}


def protection(kind: str) -> str:
    """Return how the sums were protected on their way."""
    return PROTECTIONS.get(kind, f"The sums left under the protection named {kind}.")


def smallest(disclosure: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the smallest set of people that the membership figure speaks of."""
    known: Sequence[Mapping[str, Any]] = [
        row
        for row in within(disclosure, "membership").get("sets", ())
        if row["people"] is not None and row["power_01"] is not None
    ]
    return min(known, key=lambda row: row["people"], default=None)


def worst(disclosure: Mapping[str, Any]) -> str:
    """Return the membership figure of the smallest set as a sentence; nothing without one."""
    row = smallest(disclosure)
    return "" if row is None else membership(row)


def membership(row: Mapping[str, Any]) -> str:
    """Return what somebody who has a person's genome can tell about a set.

    >>> membership({"set": "cases", "people": 9, "power_5": 1.0, "power_01": 0.999})
    'Somebody who has a person’s genome could tell with near certainty whether that person is among the 9 people of the set “cases”.'
    """
    head = "Somebody who has a person’s genome could tell"
    people = count(row["people"], "person", "people")
    tail = f"whether that person is among the {people} of the set “{row['set']}”"
    power, loose = row["power_01"], row.get("power_5")
    if power >= 0.99:
        return f"{head} with near certainty {tail}."
    if power >= 0.2:
        return (
            f"{head} {tail}, and find out {of_hundred(power)} members while wrongly naming 1 in 1,000"
            " other people."
        )
    found = f"{of_hundred(loose)} members" if loose is not None else "few members"
    return f"{head} only poorly {tail}: a test that wrongly names 5 of 100 other people finds out {found}."
