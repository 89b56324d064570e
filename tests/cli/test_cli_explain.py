"""`equipoise explain`: what one person's score is made of, told to who has the site's file."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from study.small import MARK, SITES, Told, cli

ADMITTED = f"East003{MARK}"
WITHDRAWN = f"North000{MARK}"


@pytest.fixture
def out(ran: tuple[Path, Told]) -> Path:
    """Return the folder of a run; it is not to be changed."""
    return ran[0]


def kept(out: Path, site: str, person: str) -> dict[str, Any]:
    """Return what the site's own file says of a person."""
    lines = (out / "sites" / site / "explanations.jsonl").read_text().splitlines()
    (found,) = [found for found in map(json.loads, lines) if found["IID"] == person]
    return found


def test_a_person_is_found_at_their_site_and_told_as_it_was_kept(out: Path) -> None:
    told = cli("explain", out, "--participant", ADMITTED, "--json", named=True)
    assert (told.code, told.err) == (0, "")
    assert told.json == {"site": "East", **kept(out, "East", ADMITTED)}
    assert list(told.json) == ["site", "IID", "score", "baseline", "probability", "contributions"]


def test_the_text_says_the_probability_every_part_and_their_sum_and_no_name(out: Path) -> None:
    person = kept(out, "East", ADMITTED)
    told = cli("explain", out, "--participant", ADMITTED)
    assert (told.code, told.err) == (0, "")
    head, *_ = told.out.splitlines()
    assert head == f"Site East. Probability of the trait: {person['probability']:.1%}."
    rows = [line.split() for line in told.out.splitlines() if line.startswith("  ")]
    shown = {row[0]: row[1] for row in rows}
    assert shown == {
        **{part["locus"]: f"{part['value']:+.3f}" for part in person["contributions"]},
        "sum": f"{person['score']:+.3f}",
    }
    assert "not a cause" in told.out


def test_a_sites_own_folder_is_enough(out: Path, tmp_path: Path) -> None:
    own = shutil.copytree(out / "sites" / "East", tmp_path / "East")
    told = cli("explain", own, "--participant", ADMITTED, "--json", named=True)
    assert told.json == {"site": "East", **kept(out, "East", ADMITTED)}


@pytest.mark.parametrize("person", [WITHDRAWN, f"Nobody{MARK}", MARK, "", "East003", "IID", "*"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_who_took_no_part_is_wrong_input_and_is_not_named(
    out: Path, person: str, form: tuple[str, ...]
) -> None:
    told = cli("explain", out, "--participant", person, *form)  # it names nobody
    assert told.code == 2
    assert "nobody of this ID took part" in (told.json["message"] if form else told.err)
    assert "Traceback" not in told.err


def test_a_message_has_no_id_even_where_it_is_unlike_all_others(out: Path) -> None:
    for form in ((), ("--json",)):
        told = cli("explain", out, "--participant", "zebra-7", *form)
        assert told.code == 2
        assert "zebra" not in told.out + told.err


@pytest.mark.parametrize("folder", ["nowhere", "empty", "without"])
def test_a_folder_without_explanations_is_wrong_input(
    out: Path, folder: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(out, tmp_path / "without")
    for site in SITES:
        (tmp_path / "without" / "sites" / site / "explanations.jsonl").unlink()
    told = cli("explain", tmp_path / folder, "--participant", ADMITTED)
    assert (told.code, told.out) == (2, "")
    assert "holds no explanations.jsonl" in told.err
    assert "explanations stay at the sites" in told.err


@pytest.mark.parametrize("content", ["{", "[]\n", '{"ID": 1}\n', "3\n", "\n"])
def test_a_file_that_is_none_of_explanations_is_wrong_input(content: str, tmp_path: Path) -> None:
    (tmp_path / "explanations.jsonl").write_text(content)
    told = cli("explain", tmp_path, "--participant", ADMITTED)
    assert (told.code, told.out) == (2, "")
    assert "cannot be read as explanations" in told.err


def test_an_id_at_two_sites_is_told_apart_by_their_folders(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "out")
    twice = (tmp_path / "out/sites/East/explanations.jsonl").read_text()
    with (tmp_path / "out/sites/West/explanations.jsonl").open("a") as file:
        file.write(next(line + "\n" for line in twice.splitlines() if ADMITTED in line))
    told = cli("explain", tmp_path / "out", "--participant", ADMITTED)
    assert (told.code, told.out) == (2, "")
    assert "2 sites have somebody of this ID" in told.err
    assert "East, West" in told.err
    own = cli("explain", tmp_path / "out/sites/West", "--participant", ADMITTED)
    assert own.out.startswith("Site West. ")
