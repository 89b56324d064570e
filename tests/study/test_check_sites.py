"""What `equipoise check` says of external sites, and of sites that are held out in turn."""

from pathlib import Path
from typing import Any

import pytest

from study.small import cli, draw, edit, write

REASON = "to see how it does elsewhere"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the study as it is, with one external site, and with sites held out."""
    path = write(tmp_path_factory.mktemp("sites"), draw())
    outside = path.with_name("external.toml")
    outside.write_text(path.read_text())
    edit(
        outside, 'consents = "West/consents.tsv"', 'consents = "West/consents.tsv"\nexternal = true'
    )
    held_out = path.with_name("held-out.toml")
    held_out.write_text(outside.read_text())
    edit(held_out, "folds = 4", f'hold_out_each_site = true\nreason = "{REASON}"')
    return path.parent


def told(path: Path) -> tuple[str, Any]:
    text, content = cli("check", path), cli("check", path, "--json")
    assert (text.code, content.code) == (0, 0), text.err
    return text.out, content.json


def test_without_either_nothing_is_said_of_them(folder: Path) -> None:
    text, content = told(folder / "study.toml")
    assert "WARNING" not in text
    assert "xternal" not in text
    assert content["disclosure"]["sites_derivable"] is False


def test_both_families_of_the_column_budget_are_told(folder: Path) -> None:
    text, content = told(folder / "study.toml")
    assert "  about everybody: 4 windows of variants, at most " in text
    assert "  about each fold: 4 windows of variants, at most " in text
    assert {tuple(c["over"]) for c in content["disclosure"]["columns"]} == {(), ("fold",)}


def test_an_external_site_is_named_and_its_people_are_in_no_set(folder: Path) -> None:
    text, _ = told(folder / "external.toml")
    assert "  West only tests: its people are in no total" in text
    # Of North 34, East 38, South 40 the largest is not counted.
    assert "  everybody: 1 set, the smallest of about 72 people" in text
    assert "WARNING" not in text


def test_a_steward_is_warned_in_words_that_sites_can_be_derived(folder: Path) -> None:
    text, content = told(folder / "held-out.toml")
    warning = " ".join(text.partition("WARNING: ")[2].split())
    assert "each site's own totals can be derived by subtracting" in warning
    assert f'The reason given: "{REASON}".' in warning
    assert "  everybody by site: 3 sets, the smallest of about 34 people" in text
    assert "  about each site: 4 windows of variants, at most " in text
    assert "by fold" not in text
    assert content["disclosure"]["sites_derivable"] is True


def test_masks_of_two_sites_that_train_and_one_that_does_not_are_refused(folder: Path) -> None:
    path = folder / "two.toml"
    path.write_text((folder / "external.toml").read_text())
    edit(
        path, 'consents = "South/consents.tsv"', 'consents = "South/consents.tsv"\nexternal = true'
    )
    refused = cli("check", path)
    assert (refused.code, refused.out) == (3, "")
    assert "external sites do not count" in refused.err
