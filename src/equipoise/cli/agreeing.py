"""`equipoise site review`, `site approve` and `site outbox`: what a steward decides and sees."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.cli.noising import noise_in_words
from equipoise.errors import InputError
from equipoise.federation.approval import Approvals, digest
from equipoise.federation.identity import Identity
from equipoise.plan import Plan
from equipoise.study import file
from equipoise.tools import reviewing


def review_and_tell(study: Path, home: Path, as_json: bool) -> None:
    """Show the plan that was last proposed for a study, and whether it is approved."""
    approvals = _approvals(home)
    plan = _proposed(study, approvals)
    content = {**reviewing.review(plan), "approved": approvals.approved(plan)}
    print(json.dumps(content, indent=1) if as_json else _text(content))


def approve_and_tell(
    study: Path, home: Path, wanted: str | None, revoke: bool, as_json: bool
) -> None:
    """Approve the plan that was last proposed for a study, or take that back."""
    approvals = _approvals(home)
    plan = _proposed(study, approvals)
    found = digest(plan)
    if wanted is None and not sys.stdin.isatty():
        raise InputError(
            f"say which plan you have looked at: --plan {found[:16]}, as `equipoise site review` shows"
        )
    if wanted is not None and (len(wanted) < 8 or not found.startswith(wanted)):
        raise InputError(
            f"the plan proposed last is {found[:16]}, not {wanted}; look at it again with"
            " `equipoise site review`"
        )
    if wanted is None:
        print(_text({**reviewing.review(plan), "approved": approvals.approved(plan)}))
        question = "Take the approval back?" if revoke else "May this site take part in it?"
        if input(f"\n{question} Type yes: ").strip() != "yes":
            raise InputError("nothing was changed")
    if revoke:
        there = approvals.revoke(plan)
        said = "taken back; what has left has left" if there else "nothing to take back"
        print(
            json.dumps({"plan": found, "approved": False}) if as_json else f"{found[:16]}: {said}"
        )
        return
    reviewing.review(plan)  # refuses a plan that lets out more than any site may
    signed = approvals.approve(plan)
    content = {"plan": found, "approved": True, "signature": signed.signature}
    text = f"Approved {found[:16]} of {plan.id} for equipoise {signed.package}, and nothing else."
    print(json.dumps(content) if as_json else text)


def outbox_and_tell(folder: Path, centre: Path | None, as_json: bool) -> None:
    """List every byte that ever left a site in a run."""
    content = reviewing.outbox(folder, centre)
    if as_json:
        print(json.dumps(content, indent=1))
        return
    print(f"{len(content['messages'])} messages left, {content['bytes']:,} bytes in all.")
    for row in content["messages"]:
        there = {True: "  at the centre", False: "  NOT at the centre", None: ""}
        print(
            f"{row['bytes']:>12,}  {row['step']} {row['round']}.{row['attempt']} {row['phase']}"
            f"  {row['sha256'][:16]}{there[row.get('at_the_centre')]}"
        )
    if centre is not None:
        print(
            f"Not at the centre: {content['not_at_the_centre']}. At the centre and unknown to the"
            f" site: {content['unknown_to_the_site']}."
        )
    print(f"Refused: {content['refusals']}.")


def _approvals(home: Path) -> Approvals:
    if not (home / "signing.key").is_file():
        raise InputError(
            f"{home} is no site's home: it has no signing.key; make one with `equipoise site init`"
        )
    return Approvals(home, Identity.at(home, "site"))


def _proposed(study: Path, approvals: Approvals) -> Plan:
    wanted = file.read(study).id
    for plan in approvals.proposals():
        if plan.id == wanted:
            return plan
    raise InputError(
        f"no plan of {wanted} has come to this site yet; it comes when the coordinator begins the"
        " study while `equipoise site serve` runs here"
    )


def _text(content: dict[str, Any]) -> str:
    words = [f"{content['study']}: {content['question']}".rstrip(": "), ""]
    words += ["Who is accountable:"]
    words += [f"  {p['name']}, {p['role']}, {p['contact']}" for p in content["accountable"]]
    words += ["", "Sites:"]
    words += [
        f"  {s['name']}: {s['people']} people" + (", tests only" if s["external"] else "")
        for s in content["sites"]
    ]
    words += ["", "Protection:", *_protected(content["protection"])]
    words += ["", "What this site adds to, step by step; only the total over all sites is seen:"]
    for step in content["steps"]:
        by = f", by {' and '.join(step['by'])}" if step["by"] else ""
        words.append(f"  {step['step']}: {step['asks']}{by}")
        words.append(
            f"    {step['values_a_round']:,} values a round, {_times(step['rounds_at_most'])},"
            f" {step['bytes_at_most']:,} bytes at most"
            + (f"; reads {_columns(step['reads'])}" if step["reads"] else "")
        )
    words += ["", "What this site publishes of itself:"]
    words += ["  how many people take part, and reasons why not, none from 1 to 4"]
    words += [f"  its own figures after {name}" for name in content["figures_of_this_site"]]
    words += ["", "What follows by subtracting releases from one another: sums over"]
    words += [f"  {_set(row)}" for row in content["derivable"]]
    words += ["", "Columns of G'G, of which too many would rebuild genotypes:"]
    words += [
        f"  {' and '.join(c['over']) or 'everybody'}: {c['used']} of {c['allowed']} allowed"
        for c in content["columns"]
    ] or ["  none"]
    words += ["", *_spent(content["privacy"])]
    signed = content["approval"]
    words += [
        "",
        f"To be signed: plan {signed['plan'][:16]}, equipoise {signed['package']}, analyses"
        f" {signed['sources'][:16]}. {'Approved.' if content['approved'] else 'Not approved.'}",
    ]
    return "\n".join(words)


def _protected(told: dict[str, Any]) -> list[str]:
    lines = [f"  {told['what']}"]
    if "keeper" in told:
        lines.append(f"  {told['keeper']} keeps the keys, and sees {told['keeper_sees']}")
    if "colluding_sites" in told:
        lines.append(
            f"  {told['shares_that_lift_a_mask']} of {told['holders_of_shares']} sites lift a mask;"
            f" safe against {told['colluding_sites']} site that tells the coordinator all it knows"
        )
        goes = {"end": "the run ends", "go_on": "the run goes on without it"}
        lines.append(f"  where a site is lost, {goes[told['where_a_site_is_lost']]}")
    return lines


def _times(rounds: int) -> str:
    return "once" if rounds == 1 else f"at most {rounds} times"


def _columns(names: Sequence[str]) -> str:
    """Return names of columns, those that differ in a number alone said once."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rstrip("0123456789"), []).append(name)
    said = [of[0] if len(of) == 1 else f"{stem}… ({len(of)})" for stem, of in found.items()]
    return ", ".join(said)


def _set(row: dict[str, Any]) -> str:
    if "reason" in row:
        return f"EACH SITE BY ITSELF, because: {row['reason']}"
    name, number, few = " by ".join(row["sets"]), row["number"], row["people_in_the_smallest"]
    if number == 1:
        return f"{name}: about {few} people"
    if number is None or few is None:
        return f"{name}: as many sets, of such sizes, as the data have"
    return f"{name}: {number} sets, the smallest of about {few} people"


def _spent(told: dict[str, Any] | None) -> list[str]:
    if told is None:
        return ["Privacy cost: no noise, so no bound in numbers; see the dossier for attacks."]
    return noise_in_words(told)
