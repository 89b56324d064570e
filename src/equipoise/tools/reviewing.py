"""What a steward reads before a site takes part: a plan in plain words, and all that ever left."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from equipoise.errors import InputError, IntegrityError
from equipoise.federation import agreement, approval, budget, costs, registry
from equipoise.federation.budget import Disclosure
from equipoise.ledger.entry import Entry
from equipoise.ledger.reading import ENTRIES, load, opened_by, parse_entries, split
from equipoise.plan import Plan
from equipoise.protections.graph import COLLUDING, COMPLETE, REACH, threshold

BYTES: Final = 8
"""That each value takes under `clear`, `masked` and `noise`; ciphertexts are larger."""

WORDS: Final = {
    "census": "counts people, and those with the trait, in each fold",
    "frequency": "counts, for each variant, the calls and the effect alleles",
    "strata": "finds groups of people of like ancestry, by sums of their places",
    "hardy": "counts genotypes of people without the trait, to find variants that were read badly",
    "ancestry_map": "counts people in the squares of a coarse map of ancestry",
    "scan": "sums of each variant with the trait and the covariates, over everybody at once",
    "linear": "sums of each variant with the trait and the covariates: how they go together",
    "elastic_net": "sums of chosen variants with one another and the trait, for the risk model",
    "tuning": "sums that tell which of the models predicts best",
    "calibration": "sums that turn a score into a probability",
    "relevance": "sums of what each part of the model adds to people's scores",
    "pruning": "sums of near variants with one another, to find those that tell the same",
    "components": "sums of genotypes along a few directions, for components of ancestry",
    "performance": "counts of people by score, with and without the trait",
    "recalibration": "sums that tell whether the score means the same in each group",
    "moments": (
        "sums of variants with one another, the trait and the covariates, by stratum, fold and LD block"
    ),
    "risk_parts": "parts people into who trains, who tunes and who tests; asks nothing",
    "risk_moments": "the same sums over who trains, to fit risk models from; none is published",
    "risk_singles": "fits scores of one ancestry from those sums; asks nothing",
    "risk_joint": "fits scores of all ancestries together from those sums; asks nothing",
    "risk_stack": "mixes scores for each group; each person's stays at their site; asks nothing",
    "risk_refined": "takes off those sums what other blocks explain; asks nothing",
    "risk_methods": "lines up scores to be compared; asks nothing",
    "score_sums": "sums of candidate scores with one another and the trait, by group",
    "residual_sums": "sums of each variant with what a score leaves of the trait, by group",
    "absolute_risk": "counts groups, then sums that take a score to a risk in each of them",
    "score_adjustment": "sums of the score with components of ancestry, and how many are high",
    "gene_network": "sums of gradients of a network of genes, round by round",
    "ld_blocks": "sums of near variants with one another, by stratum, to find blocks of linkage",
}
"""What each analysis asks of the sites, for who is no statistician."""

PROTECTIONS: Final = {
    "clear": "None: the coordinator sees what this site adds to each sum.",
    "masked": "Masks that cancel in the total: nobody sees what one site adds.",
    "noise": "Masks that cancel in the total, over sums to which each site has added noise.",
    "encrypted": (
        "Masks that cancel in the total, and encryption over them: the coordinator adds up what it"
        " cannot read."
    ),
    "threshold": (
        "Masks that cancel in the total, and encryption over them to a key that no party holds"
        " whole; all sites together decrypt the total."
    ),
}

KEEPER_SEES: Final = (
    "the total of each round over all sites, what is published, and who signed; never what one"
    " site adds, nor any person's data"
)
"""What a key keeper sees of encrypted sums, in words."""


def review(plan: Plan) -> dict[str, Any]:
    """Return what a plan comes to: who, what, which releases, their size and their cost.

    Raises DisclosureError where the plan lets out more than any site may.
    """
    found = budget.disclosure(plan, registry.build)
    budget.check(plan, found)
    agreement.check_protection(plan)
    study = plan.study["study"]
    return {
        "study": plan.id,
        "question": study.get("question", ""),
        "purpose": study.get("purpose", ""),
        "accountable": list(plan.study["people"]),
        "approval": {
            "plan": approval.digest(plan),
            "package": plan.package,
            "sources": plan.sources,
        },
        "sites": [
            {"name": m.name, "people": m.people, "external": m.external} for m in plan.members
        ],
        "protection": _protection(plan),
        "steps": [_step(plan, release) for release in found.releases],
        "bytes_at_most": sum(r.values * r.rounds for r in found.releases) * BYTES,
        "figures_of_this_site": list(found.figures),
        "derivable": _derivable(found),
        "columns": [asdict(columns) for columns in _worst(found)],
        "privacy": costs.told(plan),
    }


def _step(plan: Plan, release: budget.Release) -> dict[str, Any]:
    return {
        "step": release.step,
        "asks": WORDS[release.analysis],
        "analysis": release.analysis,
        "parameters": {k: str(v) for k, v in plan.step(release.step).parameters.items()},
        "reads": list(release.reads),
        "by": ["site" if plan.fold_by == "site" and n == "fold" else n for n in release.over],
        "rounds_at_most": release.rounds,
        "values_a_round": release.values,
        "bytes_at_most": release.values * release.rounds * BYTES,
    }


def _protection(plan: Plan) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": plan.protection, "what": PROTECTIONS[plan.protection]}
    if plan.keeper:
        told |= {"keeper": plan.keeper["name"], "keeper_sees": KEEPER_SEES}
    if plan.protection in ("clear", *agreement.HOMOMORPHIC):
        return told
    n = len(plan.sites)
    held = n if n <= COMPLETE else 2 * REACH + 1
    return {
        **told,
        "colluding_sites": COLLUDING,
        "holders_of_shares": held,
        "shares_that_lift_a_mask": threshold(held),
        "where_a_site_is_lost": plan.lost_site,
    }


def _derivable(found: Disclosure) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "sets": list(cells.over) or ["everybody"],
            "number": cells.number,
            "people_in_the_smallest": cells.smallest,
        }
        for cells in found.cells
    ]
    if found.sites_derivable:
        rows.append({"sets": ["each site's own sums"], "reason": found.reason})
    return rows


def _worst(found: Disclosure) -> list[budget.Columns]:
    """Return the fullest block of each family of sets."""
    families = {columns.over for columns in found.columns}
    return [
        max((c for c in found.columns if c.over == over), key=lambda c: c.used - c.allowed)
        for over in sorted(families)
    ]


def outbox(folder: Path, centre: Path | None = None) -> dict[str, Any]:
    """Return every message that a site's ledger says has left it, and whether the centre has it.

    folder  the site's, with its `ledger`, of a run that has ended or is under way
    centre  the folder of the run as the centre wrote it; None where only the site's is at hand

    InputError where there is no ledger; IntegrityError for one that cannot be read.
    """
    rows: list[dict[str, Any]] = [
        dict(entry.body) for entry in _entries(folder) if entry.kind == "release"
    ]
    refused = sum(entry.kind == "refusal" for entry in _entries(folder))
    told: dict[str, Any] = {
        "messages": rows,
        "bytes": sum(int(row["bytes"]) for row in rows),
        "refusals": refused,
    }
    if centre is None:
        return told
    known = {
        str(entry.body["sha256"])
        for entry in _entries(centre)
        if entry.kind == "received" and entry.body["site"] == folder.resolve().name
    }
    own = {str(row["sha256"]) for row in rows}
    for row in rows:
        row["at_the_centre"] = row["sha256"] in known
    told["not_at_the_centre"] = sum(not row["at_the_centre"] for row in rows)
    told["unknown_to_the_site"] = len(known - own)
    return told


def _entries(folder: Path) -> Sequence[Entry]:
    """Return the entries of a ledger, which may still be growing."""
    path = folder / "ledger" / ENTRIES
    if not path.is_file():
        raise InputError(
            f"{path}: no such ledger; expected the folder of a site or of a run, with `ledger` in it"
        )
    lines, _ = split(load(path))
    entries = parse_entries(path, lines)
    if not entries:
        raise IntegrityError(f"{path}: an empty ledger")
    opened_by(path, entries)
    return entries
