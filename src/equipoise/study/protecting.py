"""What a study file says of protection and validation, and what goes with what.

Under noise a study counts and scans. What else a study may have is refused here by name: see
`NOISELESS`.
"""

from dataclasses import replace
from typing import Final

from equipoise.study.records import Protection, SiteFiles, Study, Validation
from equipoise.study.section import Section, Source

KINDS: Final = ("clear", "masked", "noise", "encrypted", "threshold")

SHARES: Final = {"census": 0.05, "frequency": 1.0, "association": 4.0}
"""The steps of a study under noise, and their parts of the budget where the file has none.

Head-counts are few and need little. Frequencies say which variants are too rare and what stands
for a missing call; the scan is what is asked for.
"""

LEAST_DELTA: Final = 1e-15
"""Below this the conversion from zero-concentrated privacy is of no use."""

NOISELESS: Final = {
    "components": (
        "components of ancestry under noise: each round of theirs asks for products with every"
        " variant, and its noise would be in every following round"
    ),
    "covariates": (
        "covariates other than `sex` under noise: nothing bounds what one person adds to their"
        " sums but a large number, so that these and all beside them would be noise"
    ),
    "audit": (
        "an audit under noise: there is no model to audit, since its sums of variants with one"
        " another, by fold, would be noise"
    ),
    "external": (
        "an external site under noise: there is no model to test there, and figures by site"
        " have no noise"
    ),
    "hold_out_each_site": "each site held out under noise: there is no model to test",
    "folds": "folds under noise: there is no model to test on them",
}
"""What no study under noise can have, by key, and why."""

_KEEPER_FORM: Final = "the name of who keeps the keys, neither a site nor the coordinator"


def protection(section: Section) -> Protection:
    """Give what the table `protection` says, with every problem in it kept."""
    kind = section.choice("kind", KINDS, "masked")
    lost = section.choice("lost_site", ("end", "go_on"), "end")
    if lost == "go_on" and kind in ("encrypted", "threshold"):
        found = f'`lost_site = "go_on"` with `kind = "{kind}"`'
        remedy = "remove it: these sums need every site, so a lost one ends the run"
        section.add("lost_site", found, '"end"', remedy)
    found = Protection(kind, lost)
    if kind == "noise":
        found = _noise(section, found)
    if kind == "encrypted":
        found = replace(found, keeper=section.text("keeper", _KEEPER_FORM))
    section.close()
    return found


def _noise(section: Section, found: Protection) -> Protection:
    epsilon = section.number("epsilon", "a number above 0, such as 1.0", lambda v: v > 0)
    delta = section.number(
        "delta",
        f"a number from {LEAST_DELTA:g} to below 1, such as 1e-6: well below one in the people",
        lambda v: LEAST_DELTA <= v < 1,
    )
    whole = section.number(
        "study_epsilon",
        "a number not below `epsilon`: what all runs of the study may spend together",
        lambda v: v >= epsilon,
        epsilon,
    )
    shares = section.numbers("shares")
    for name in sorted(set(shares) - set(SHARES)):
        section.source.unknown((*section.place, "shares", name), "step", tuple(SHARES))
    parts = {**SHARES, **{name: part for name, part in shares.items() if name in SHARES}}
    return replace(found, epsilon=epsilon, delta=delta, study_epsilon=whole, shares=parts)


def validation(section: Section, sites: tuple[SiteFiles, ...], kind: str) -> Validation:
    """Give what the table `validation` says; under noise everybody is in the one fold."""
    found = Validation(
        section.whole("folds", 3, 20, 5),
        section.flag("hold_out_each_site", default=False),
        section.text("reason", default=""),
    )
    section.close()
    if kind == "noise":
        for key in ("folds", "hold_out_each_site"):
            if section.table.get(key):
                section.add(key, NOISELESS[key], "none", 'remove it, or take `kind = "masked"`')
        return Validation(1)
    if not found.hold_out_each_site:
        return found
    key, training = "hold_out_each_site", sum(not site.external for site in sites)
    if not found.reason:
        remedy = "add `reason = ...`: holding out a site lets its own totals be derived"
        section.add(key, "no `reason` for it", "a reason in words", remedy)
    if "folds" in section.table:
        expected = f"no number, since with `{key}` the folds are the sites"
        section.add("folds", f"`folds` with `{key}`", expected, "remove `folds`")
    if training < 3:
        what = f"{training} of the sites train, each of which is to be held out"
        section.add(key, what, "3 or more that train", "add sites, or remove this key")
    return replace(found, folds=training)


def check_noised(study: Study, source: Source) -> None:
    """Keep a problem for each thing of a study that cannot be done under noise."""
    remedy = 'remove it, or take `kind = "masked"`, which gives exact sums and no bound in numbers'
    if study.covariates.components:
        place = ("covariates", "components")
        source.add(place, NOISELESS["components"], "`components = 0`", remedy)
    if any(name.casefold() != "sex" for name in study.covariates.columns):
        place = ("covariates", "columns")
        source.add(place, NOISELESS["covariates"], "`sex` or nothing", remedy)
    if study.audit is not None:
        source.add(("audit",), NOISELESS["audit"], "a study without it", remedy)
    for number, site in enumerate(study.sites):
        if site.external:
            place = ("site", number, "external")
            source.add(place, NOISELESS["external"], "a site that takes part", remedy)
