"""Never more permissive than DUOS V3 and REMS, on cases that nobody here wrote.

The cases are read from outside the project and not copied. A purpose for which
this package has no word cannot be asked for, which is the strictest answer.
"""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from equipoise.consent.decide import Decision, Request, decide
from equipoise.consent.terms import Purpose, Term

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EQUIPOISE_VECTORS", ROOT.parent / "shared" / "vectors")) / "duo"
SIGNED = date(2020, 1, 1)
AS_OF = date(2021, 1, 1)


def load(name: str) -> Any:
    path = FOLDER / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


DUOS = load("duos_v3_vectors.json")
REMS = load("rems_duo_vectors.json")
needs_duos = pytest.mark.skipif(DUOS is None, reason=f"no DUOS vectors in {FOLDER}")
needs_rems = pytest.mark.skipif(REMS is None, reason=f"no REMS vectors in {FOLDER}")
PERMISSIONS = {"generalUse": "GRU", "hmbResearch": "HMB", "populationOriginsAncestry": "POA"}


def duos_terms(dataset: dict[str, Any]) -> list[Term]:
    found = [Term("DS", disease, SIGNED) for disease in dataset.get("diseaseRestrictions", ())]
    found += [Term(code, "", SIGNED) for key, code in PERMISSIONS.items() if dataset.get(key)]
    if dataset.get("nonProfitUse") or dataset.get("commercialUse") is False:
        found.append(Term("NCU", "", SIGNED))
    return found


def duos_purposes(purpose: dict[str, Any]) -> list[Purpose]:
    """Give the purpose in our words; for commercial and methods use alone, any of them."""
    words = set(purpose)
    if words == {"diseaseRestrictions"}:
        return [Purpose("DS", disease) for disease in purpose["diseaseRestrictions"]]
    if len(words) == 1 and words <= set(PERMISSIONS):
        return [Purpose(PERMISSIONS[words.pop()])]
    if words in ({"commercialUse"}, {"methodsResearch"}):
        return [Purpose("GRU"), Purpose("HMB"), Purpose("POA"), Purpose("DS", "MONDO:1")]
    return []


def duos_decisions(case: dict[str, Any]) -> list[Decision]:
    purpose = case["purpose"]
    request = Request(
        commercial=True if "commercialUse" in purpose else None,
        methods_research=True if "methodsResearch" in purpose else None,
    )
    above = {key: frozenset(found) for key, found in case.get("ontology_ancestors", {}).items()}
    terms = duos_terms(case["dataset"])
    return [decide(terms, asked, AS_OF, request, above) for asked in duos_purposes(purpose)]


@needs_duos
def test_never_more_permissive_than_duos() -> None:
    assert len(DUOS) == 33
    for case in DUOS:
        if case["expected"] != "Approve":
            assert not any(decision.admits for decision in duos_decisions(case)), case["test"]


@needs_duos
def test_the_same_as_duos_where_both_have_the_word() -> None:
    same = [
        case
        for case in DUOS
        if set(case["purpose"]) <= {*PERMISSIONS, "diseaseRestrictions"}
        and len(case["purpose"]) == 1
    ]
    assert len(same) == 11
    for case in same:
        (decision,) = duos_decisions(case)
        assert decision.admits == (case["expected"] == "Approve"), case["test"]


def rems_ancestors() -> dict[str, frozenset[str]]:
    """Give the part of MONDO that the file itself states."""
    line = REMS["mondo_note"].partition(";")[0].split(" > ")
    return {child: frozenset(line[:place]) for place, child in enumerate(line)}


def rems_decisions(case: dict[str, Any]) -> list[Decision]:
    """Hold what is asked for against the dataset's term, beside a general permission if it is a modifier."""
    dataset, query = case["dataset"], case["query"]
    held = [v for r in dataset.get("restrictions", ()) for v in r["values"]] or [""]
    asked = [v for r in query.get("restrictions", ()) for v in r["values"]] or [""]
    terms = [Term(dataset["id"], value, SIGNED) for value in held]
    if dataset["id"] == "DUO:0000007":
        purposes = [Purpose("DS", d) for d in asked if d.startswith("MONDO:")]
        return [
            decide(terms, p, AS_OF, ancestors=rems_ancestors())
            for p in purposes or [Purpose("HMB")]
        ]
    terms.append(Term("GRU", "", SIGNED))
    dates = [date.fromisoformat(v) for v in asked] if dataset["id"] == "DUO:0000024" else [None]
    return [decide(terms, Purpose("GRU"), AS_OF, Request(publication=when)) for when in dates]


@needs_rems
def test_never_more_permissive_than_rems() -> None:
    assert len(REMS["vectors"]) == 11
    for case in REMS["vectors"]:
        if case["expected"] != "compatible":
            decisions = rems_decisions(case)
            assert decisions, case["name"]
            assert not any(decision.admits for decision in decisions), case["name"]


@needs_rems
def test_the_same_as_rems_where_both_have_the_word() -> None:
    for case in REMS["vectors"]:
        if case["expected"] == "compatible" and case["name"] != "same id":
            assert any(decision.admits for decision in rems_decisions(case)), case["name"]
    (person,) = [c for c in REMS["vectors"] if c["expected"] == "needs-manual-validation"]
    assert rems_decisions(person)[0].outcome == "needs a person"


@needs_rems
def test_a_dataset_term_that_is_no_code_is_refused_though_rems_compares_it() -> None:
    (case,) = [c for c in REMS["vectors"] if c["name"] == "same id"]
    assert [decision.reason for decision in rems_decisions(case)] == ["unknown code"]
