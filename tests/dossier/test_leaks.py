"""What the attack found, in words and as a page."""

import json
import re
import xml.etree.ElementTree as ET
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.dossier import leaks
from equipoise.dossier.leaks import LEAST_RATE

ESTIMATE = {"value": 0.6, "low": 0.5, "high": 0.7}
CONTENT: dict[str, Any] = {
    "folder": "out",
    "study": "small <study>",
    "effective_variants": 1234.5,
    "effective_variants_from": "genotypes",
    "variants": 5_000,
    "sets": [
        {
            "set": "everybody",
            "people": 315,
            "seen_by": "whoever reads the folder",
            "theory": {"power_5": 0.5, "power_01": 0.1, "auc": 0.9},
            "measured": {
                "members": 100,
                "others": 400,
                "reference": 400.0,
                "auc": {"value": 0.85, "low": 0.8, "high": 0.9},
                "rates": [
                    {"false_positives": 0.05, "power": ESTIMATE, "threshold": "others"},
                    {"false_positives": 0.001, "power": None, "threshold": "others"},
                ],
                "theory": {"power_5": 0.4, "power_01": 0.05, "auc": 0.85},
                "curve": [[0.0, 0.1], [0.05, 0.6], [1.0, 1.0]],
            },
            "reason": None,
        },
        {
            "set": "the smallest fold",
            "people": 51,
            "seen_by": "a party to the run",
            "theory": None,
            "measured": None,
            "reason": "no genotypes were given",
        },
    ],
    "model": {
        "people": 315,
        "parameters": 13,
        "leverage": 0.0412698,
        "power_1": 0.0104304,
        "power_01": 0.00104305,
    },
    "reconstruction": {
        "columns": [{"over": [], "columns": 45, "allowed": 46, "people": 232, "enough": False}],
        "steps": [{"step": "all steps", "equations": 20, "unknowns": 100, "enough": False}],
        "enough": False,
    },
}


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = leaks.page(CONTENT)
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;")
    assert "unsafe" not in policy[1]
    assert " style=" not in page
    assert " on" not in "".join(re.findall(r"<[a-z]+( on[a-z]+=)", page))


def test_every_text_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    content = json.loads(json.dumps(CONTENT).replace("small <study>", evil))
    content["sets"][0]["set"] = content["sets"][1]["reason"] = evil
    content["reconstruction"]["steps"][0]["step"] = evil
    page = leaks.page(content)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") + page.count("&lt;Script") >= 3


def test_the_page_says_what_the_attack_did() -> None:
    page = leaks.page(CONTENT).replace("\N{NO-BREAK SPACE}", " ")
    assert "Tried on 100 members and 400 other people" in page
    assert "60.0 % of members (50.0 % to 70.0 %)" in page
    assert "not known: no number of independent variants" in page
    assert "20.0 % as many" in page


def test_the_drawing_is_well_formed_and_within_its_frame() -> None:
    curve = leaks.roc(CONTENT["sets"][0])
    assert curve is not None
    page = ET.fromstring(f"<div>{curve.svg}</div>")
    paths = {path.get("class"): path.get("d") or "" for path in page.iter("path")}
    assert list(paths) == ["chance", "theory", "curve"]
    for steps in paths.values():
        numbers = [float(n) for n in re.findall(r"-?[0-9.]+", steps)]
        assert 0 <= min(numbers) <= max(numbers) <= 1000
    assert leaks.roc(CONTENT["sets"][1]) is None


@given(st.floats(0.5, 1), st.floats(0, 1), st.floats(0, 1))
def test_curves_are_drawn_for_every_power(auc: float, power: float, false: float) -> None:
    row = deepcopy(CONTENT["sets"][0])
    row["measured"]["theory"] = {"power_5": power, "power_01": power, "auc": auc}
    row["measured"]["curve"] = [[0.0, 0.0], [false, power], [1.0, 1.0]]
    curve = leaks.roc(row)
    assert curve is not None
    assert "nan" not in curve.svg
    assert "Members found out" in curve.svg
    assert LEAST_RATE > 0


def test_as_many_equations_as_unknowns_are_said() -> None:
    found = {"enough": True, "steps": []}
    assert "could be rebuilt" in leaks.solvable(found)
    assert "no proof of safety" in leaks.solvable(CONTENT["reconstruction"])


@pytest.mark.parametrize("values", [0, 599, 600])
def test_equations_are_counted_against_people_times_columns(values: int) -> None:
    section = {
        "releases": [
            {"step": "a", "values": values, "over": [], "reads": ["genotype", "sex"]},
            {"step": "b", "values": 0, "over": [], "reads": ["sex"]},
        ],
        "cells": [{"over": [], "number": 1, "smallest": None}],
        "columns": [{"over": [], "used": 40, "allowed": 50}],
    }
    found = leaks.reconstruction(section, 100, 5)
    assert [step["unknowns"] for step in found["steps"]] == [600, 100, 600]
    assert found["enough"] == (values == 600)
    assert not found["columns"][0]["enough"], "a set of unknown size"


def test_there_may_be_no_model() -> None:
    assert leaks.model(None) == "There is no model."
    assert "13 parameters for 315 people" in leaks.model(CONTENT["model"])
