"""The metadata beside a table: fields of the standard, in YAML that others read back."""

import math
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.artefacts import gwas_meta
from equipoise.artefacts.gwas_meta import Metadata, Sample, to_yaml

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALAR = (
    TEXT
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates()
)
LISTS = st.lists(SCALAR, max_size=3)
TREE = st.dictionaries(
    TEXT, SCALAR | LISTS | st.lists(st.dictionaries(TEXT, SCALAR | LISTS, min_size=1), max_size=3)
)

TABLE = Metadata(
    date_metadata_last_modified=date(2026, 11, 21),
    trait_description=("yes", "GSTT1: null"),
    genome_assembly="GRCh37",
    samples=(Sample(sample_size=358, case_control_study=True, case_count=62, control_count=296),),
    data_file_name="scan.tsv",
    data_file_md5sum="00000000000000000000000000000012",
    is_sorted=True,
    adjusted_covariates=("sex", "PC1"),
)


def read(text: str) -> Any:
    return yaml.safe_load(text)


@given(TREE)
def test_a_reader_of_yaml_reads_the_same_back(content: dict[str, Any]) -> None:
    text = "\n".join(to_yaml(content)) + "\n"
    assert read(text) == (content or None)


@pytest.mark.parametrize(
    "text", ["no", "~", "null", "1e3", "0x1f", "1_000", "12:30:00", "2026-11-21", "- a", "a: b",
             "#x", "", " x", "x ", "\u2028", "\x85", "\ufeff", "\U0001f600", "a\\\"'b", "=", "<<"],
)  # fmt: skip
def test_texts_that_look_like_something_else_stay_texts(text: str) -> None:
    assert read("\n".join(to_yaml({"key": [text], text: 1}))) == {"key": [text], text: 1}


def test_what_the_standard_wants_is_there(tmp_path: Path) -> None:
    path = gwas_meta.write(tmp_path / "scan.tsv", TABLE)
    assert path.name == "scan.tsv-meta.yaml"
    found = read(path.read_text())
    assert found["samples"] == [
        {
            "sample_size": 358,
            "sample_ancestry_category": ["NR"],
            "case_control_study": True,
            "case_count": 62,
            "control_count": 296,
        }
    ]
    mandatory = {
        *("genome_assembly", "coordinate_system", "trait_description", "genotyping_technology"),
        *("samples", "data_file_name", "data_file_md5sum", "file_type", "is_harmonised"),
        *("is_sorted", "date_metadata_last_modified"),
    }
    assert mandatory <= set(found)
    assert found["data_file_md5sum"] == TABLE.data_file_md5sum
    assert found["date_metadata_last_modified"] == date(2026, 11, 21)
    assert found["trait_description"] == ["yes", "GSTT1: null"]
    assert "gwas_id" not in found


def test_another_reader_reads_the_same(tmp_path: Path) -> None:
    ruamel = pytest.importorskip("ruamel.yaml", reason="ruamel.yaml is not installed")
    text = gwas_meta.write(tmp_path / "scan.tsv", TABLE).read_text()
    assert ruamel.YAML(typ="safe", pure=True).load(text) == read(text)


def test_metadata_of_another_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beside"):
        gwas_meta.write(tmp_path / "other.tsv", TABLE)


def test_what_yaml_has_no_safe_form_for_is_a_fault(tmp_path: Path) -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="infinite"):
            list(to_yaml({"x": bad}))
    with pytest.raises(ValueError, match="surrogate"):
        list(to_yaml({"x": "\ud800"}))
    with pytest.raises(ValueError, match="list in a list"):
        list(to_yaml({"x": [["a"]]}))
    with pytest.raises(ValueError, match="surrogate"):
        gwas_meta.write(tmp_path / "scan.tsv", replace(TABLE, genome_assembly="\ud800"))
    assert not list(tmp_path.iterdir())
