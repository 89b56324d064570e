"""The vocabulary agrees with DUO, and purposes are read strictly."""

import csv
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.consent.terms import DEPRECATED, PURPOSES, VOCABULARY, Purpose, day, find, wider
from equipoise.errors import ConsentError, InputError

ROOT = Path(__file__).parents[2]
DUO = Path(os.environ.get("EQUIPOISE_VECTORS", ROOT.parent / "shared" / "vectors")) / "duo/duo.csv"


@pytest.mark.skipif(not DUO.exists(), reason=f"no {DUO}; set EQUIPOISE_VECTORS")
def test_codes_are_those_of_duo_and_no_label_is_copied() -> None:
    with DUO.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["shorthand"]]
    ours = {code.shorthand: code for code in VOCABULARY if code.curie.startswith("DUO:")}
    assert {row["shorthand"]: row["id"] for row in rows} == {
        name: code.curie for name, code in ours.items()
    }
    for row in rows:
        kind = "permission" if "data use permission" in row["description"] else "modifier"
        assert ours[row["shorthand"]].kind == kind
        assert ours[row["shorthand"]].label not in (row["label"], row["description"])


def test_a_code_is_found_by_shorthand_and_by_curie_and_no_other_way() -> None:
    for code in VOCABULARY:
        assert find(code.shorthand) is find(code.curie) is code
        assert find(code.curie.replace(":", "_")) is None
        assert find(code.shorthand.lower()) is None
    assert not any(find(code) for code in DEPRECATED)
    assert find("DUO:0000001") is None


def test_the_hierarchy_runs_from_disease_to_any_use() -> None:
    assert wider("DS") == ("DS", "HMB", "GRU", "NRES")
    assert wider("POA") == ("POA", "GRU", "NRES")
    assert wider("NRES") == ("NRES",)


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_day_is_read_back(when: date) -> None:
    assert day(when.isoformat()) == when


@pytest.mark.parametrize(
    "text", ["", "20200101", "2020-1-1", "2020-02-30", "٢٠٢٠-٠١-٠١", "2020-W01-1"]
)
def test_other_forms_of_a_day_are_none(text: str) -> None:
    assert day(text) is None


@pytest.mark.parametrize("text", ["GRU", "HMB", "POA", "DS MONDO:0005015", "DS DOID:162"])
def test_a_purpose_is_read_back(text: str) -> None:
    assert str(Purpose.parse(text)) == text
    assert Purpose.parse(f"  {text} ") == Purpose.parse(text)


def test_a_purpose_may_be_a_curie() -> None:
    assert Purpose.parse("DUO:0000007 MONDO:0005015") == Purpose("DS", "MONDO:0005015")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hmb",
        "NRES",
        "CC",
        "DS",
        "DS diabetes",
        "HMB X:1",
        "DS A:1 B:2",
        "NPUNCU",
        "EQP:WITHDRAWN",
    ],
)
def test_what_is_no_purpose_is_an_input_error_that_says_what_to_do(text: str) -> None:
    with pytest.raises(InputError, match="correct the purpose"):
        Purpose.parse(text)


@pytest.mark.parametrize(
    "text", ["UNDERWRITING", "employment", "EQP:UNDERWRITING", "HMB, Insurance"]
)
def test_underwriting_and_employment_are_never_purposes(text: str) -> None:
    with pytest.raises(ConsentError, match="never a purpose"):
        Purpose.parse(text)
    with pytest.raises(ConsentError):
        Purpose("EMPLOYMENT")


def test_purposes_are_permissions() -> None:
    for code in PURPOSES:
        entry = find(code)
        assert entry is not None
        assert entry.kind == "permission"
