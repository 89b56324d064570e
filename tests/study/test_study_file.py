"""The study file: what a good one gives, and that a bad one says all that is wrong, with lines."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise import demo
from equipoise.consent.terms import Purpose
from equipoise.errors import ConsentError, InputError, Problem
from equipoise.study import file as study_file
from equipoise.study.section import find_lines

GOOD = """\
# a study
[study]
id = "gstt1"                    # a safe name
question = "Does the genome tell who lacks GSTT1?"
purpose = "DS MONDO:0005015"
as_of = 2026-11-01
seed = 7

[[people]]
name = "A. Analyst"
role = "analyst"
contact = "a@example.org"

[trait]
name = "gstt1_null"
type = "binary"

[covariates]
columns = [
  "sex",   # [not a table]
  "age",
]

[variants]
list = "variants.tsv"
build = "GRCh37"

[[site]]
name = "FIN"
genotypes = "fin/genotypes"
phenotypes = "fin/phenotypes.tsv"
consents = "fin/consents.tsv"

[[site]]
name = "TSI"
genotypes = "tsi/genotypes"
phenotypes = "tsi/phenotypes.tsv"
consents = "/elsewhere/consents.tsv"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        study_file.read(write(folder, text))
    return caught.value.problems


def only(folder: Path, text: str) -> Problem:
    found = problems(folder, text)
    assert len(found) == 1, found
    return found[0]


def test_a_good_file_gives_all_it_says_and_the_defaults(tmp_path: Path) -> None:
    study = study_file.read(write(tmp_path, GOOD))
    assert study.id == "gstt1"
    assert study.purpose == Purpose("DS", "MONDO:0005015")
    assert study.as_of == date(2026, 11, 1)
    assert study.seed == 7
    assert study.people[0].contact == "a@example.org"
    assert study.covariates.columns == ("sex", "age")
    assert study.covariates.components == 0
    assert study.protection.kind == "masked"
    assert (study.validation.folds, study.validation.hold_out_each_site) == (5, False)
    assert study.audit is None
    assert [site.name for site in study.sites] == ["FIN", "TSI"]
    assert not any(site.external for site in study.sites)


def test_paths_are_seen_from_the_study_file_and_are_not_opened(tmp_path: Path) -> None:
    study = study_file.read(write(tmp_path, GOOD))
    assert study.variants.list == tmp_path / "variants.tsv"
    assert study.sites[0].phenotypes == tmp_path / "fin" / "phenotypes.tsv"
    assert study.sites[1].consents == Path("/elsewhere/consents.tsv")


def test_the_public_part_is_json_and_holds_no_path(tmp_path: Path) -> None:
    public = study_file.read(write(tmp_path, GOOD)).public()
    text = json.dumps(public)
    assert json.loads(text) == public
    assert "tsv" not in text
    assert "fin/" not in text
    assert str(tmp_path) not in text
    elsewhere = GOOD.replace("fin/", "other/").replace("variants.tsv", "v.tsv")
    assert study_file.read(write(tmp_path, elsewhere)).public() == public
    assert study_file.read(write(tmp_path, GOOD.replace("seed = 7", "seed = 8"))).public() != public


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain = study_file.read(write(tmp_path, GOOD))
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert study_file.read(path) == plain


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("seed = 7", 'seed = "7"', 7, "whole number"),
        ("seed = 7", "seed = true", 7, "whole number"),
        ("seed = 7", "seed = -1", 7, "whole number from 0"),
        ("seed = 7", "sead = 7\nseed = 7", 7, "did you mean `seed`?"),
        ("seed = 7", "", 2, "no key `seed` in [study]"),
        ("as_of = 2026-11-01", 'as_of = "2026-11-01"', 6, "without quotes"),
        ("as_of = 2026-11-01", "as_of = 2026-11-01T00:00:00", 6, "time of day"),
        ("as_of = 2026-11-01", "as_of = 20:00:00", 6, "time of day"),
        ('"gstt1" ', '"../gstt1"', 3, "letter or digit"),
        ('"gstt1" ', '""', 3, "letter or digit"),
        ('"gstt1" ', '"a\\nb"', 3, "line break"),
        ('"gstt1" ', f'"{"a" * 65}"', 3, "64"),
        ('"DS MONDO:0005015"', '"DS"', 5, "DS with a disease"),
        ('"DS MONDO:0005015"', '"HMB MONDO:0005015"', 5, "DS with a disease"),
        ('"DS MONDO:0005015"', '"NRES"', 5, "GRU, HMB, DS, POA"),
        ('"binary"', '"binry"', 16, '"binary" or "quantitative"'),
        ('"gstt1_null"', '"IID"', 15, "other than IID"),
        ('  "age",', '  "sex",', 19, "different texts"),
        ('  "age",', '  "gstt1_null",', 19, "nor the trait"),
        ('  "age",', "  3,", 19, "different texts"),
        ('"GRCh37"', '"hg19"', 26, '"GRCh37" or "GRCh38"'),
        ('name = "TSI"', 'name = "fin"', 35, "again"),
        ('name = "TSI"', 'name = "T SI"', 35, "letter or digit"),
        ('name = "TSI"\n', "", 34, "no key `name` in [site]"),
        ('name = "TSI"', 'name = "TSI"\nextrenal = true', 36, "did you mean `external`?"),
        ('name = "TSI"', 'name = "TSI"\nexternal = 1', 36, "true or false"),
        ('contact = "a@example.org"', "", 9, "no key `contact` in [people]"),
        ("[trait]", "[covariats]\n[trait]", 14, "did you mean `covariates`?"),
        ("[trait]", "[protection]\nkind = 'none'\n[trait]", 15, '"clear" or "masked"'),
        ("[trait]", "[validation]\nfolds = 1\n[trait]", 15, "from 3 to 20"),
        ("[trait]", "[validation]\nfolds = 2\n[trait]", 15, "from 3 to 20"),
        ("[trait]", "[validation]\nfolds = 21\n[trait]", 15, "from 3 to 20"),
        ("[trait]", "[validation]\nfolds = 5.0\n[trait]", 15, "from 3 to 20"),
    ],
)
def test_one_wrong_thing_is_one_problem_at_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert GOOD.count(old) == 1
    problem = only(tmp_path, GOOD.replace(old, new))
    assert problem.line == line
    assert words in str(problem)
    assert problem.remedy


@pytest.mark.parametrize("table", ["study", "trait", "variants"])
def test_a_missing_table_is_one_problem(tmp_path: Path, table: str) -> None:
    text = re.sub(rf"^\[{table}\]\n(.+\n)+", "", GOOD, flags=re.MULTILINE)
    assert f"no table [{table}]" in only(tmp_path, text).found


@pytest.mark.parametrize("table", ["people", "site"])
def test_at_least_one_of_each_list_is_needed(tmp_path: Path, table: str) -> None:
    text = re.sub(rf"^\[\[{table}\]\]\n(.+\n)+", "", GOOD, flags=re.MULTILINE)
    assert f"one or more tables [[{table}]]" in only(tmp_path, text).expected


def test_wrong_brackets_are_named(tmp_path: Path) -> None:
    single = only(tmp_path, GOOD.replace("[[people]]", "[people]"))
    assert (single.line, "two pairs" in single.remedy) == (9, True)
    double = only(tmp_path, GOOD.replace("[trait]", "[[trait]]"))
    assert (double.line, "one pair" in double.remedy) == (14, True)


def test_all_problems_come_at_once_in_order(tmp_path: Path) -> None:
    text = GOOD.replace("seed = 7", "seed = 1.5").replace("GRCh37", "b37").replace('"TSI"', '"!"')
    found = problems(tmp_path, text + "[protecton]\n")
    assert [problem.line for problem in found] == [7, 26, 35, 39]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"binary"', '"quantitative"', 16),
    ],
)
def test_what_is_not_available_yet_is_never_ignored(
    tmp_path: Path, old: str, new: str, line: int
) -> None:
    problem = only(tmp_path, GOOD.replace(old, new))
    assert problem.line == line
    assert "not available in this version" in problem.found


def test_an_audit_is_read_and_has_a_margin_for_every_metric(tmp_path: Path) -> None:
    path = write(tmp_path, f"{GOOD}[audit]\ngroups = ['sex']\nmargins = {{ auc = 0.03 }}\n")
    audit = study_file.read(path).audit
    assert audit is not None
    margins = {"auc": 0.03, "o_e": 0.2, "calibration_slope": 0.2}
    assert (audit.groups, dict(audit.margins)) == (("sex",), margins)


def test_groups_are_columns_like_covariates_each_once(tmp_path: Path) -> None:
    path = write(tmp_path, f"{GOOD}[audit]\ngroups = ['smokes', 'sex']\n")
    assert study_file.read(path).columns == ("sex", "age", "smokes")
    assert study_file.read(write(tmp_path, GOOD)).columns == ("sex", "age")


@pytest.mark.parametrize(
    ("audit", "line", "words"),
    [
        ("margins = { acu = 0.05 }", 40, "did you mean `auc`?"),
        ("margins = { sensitivity = 0.05 }", 40, "an unknown metric `sensitivity`"),
        ("[audit.margins]\nauc = 0.05\no_w = 0.2", 42, "auc, o_e, calibration_slope"),
        ("groups = ['IID']", 40, "nor the trait"),
        ("groups = ['sex', 'gstt1_null']", 40, "nor the trait"),
    ],
)
def test_an_audit_of_unknown_metrics_or_of_the_trait_is_a_problem(
    tmp_path: Path, audit: str, line: int, words: str
) -> None:
    problem = only(tmp_path, f"{GOOD}[audit]\n{audit}\n")
    assert problem.line == line
    assert words in str(problem)


@pytest.mark.parametrize(
    "margins", ["3", "{ auc = 'x' }", "{ auc = -1 }", "{ auc = nan }", "{ auc = true }", "[1]"]
)
def test_the_audit_is_checked_all_the_same(tmp_path: Path, margins: str) -> None:
    found = problems(tmp_path, f"{GOOD}[audit]\ngroups = 'sex'\nmargins = {margins}\n")
    assert [problem.line for problem in found] == [40, 41]


MORE = """\
[[site]]
name = "{name}"
genotypes = "{name}/genotypes"
phenotypes = "{name}/phenotypes.tsv"
consents = "{name}/consents.tsv"
external = {external}
"""
CEU, GBR = MORE.format(name="CEU", external="false"), MORE.format(name="GBR", external="true")
HELD_OUT = '[validation]\nhold_out_each_site = true\nreason = "to see"\n'


def test_where_sites_are_held_out_the_folds_are_those_that_train(tmp_path: Path) -> None:
    study = study_file.read(write(tmp_path, GOOD + CEU + GBR + HELD_OUT))
    assert [site.name for site in study.sites if site.external] == ["GBR"]
    assert (study.validation.folds, study.validation.fold_by) == (3, "site")
    assert study.public()["validation"] == {
        "folds": 3,
        "hold_out_each_site": True,
        "reason": "to see",
    }
    assert study_file.read(write(tmp_path, GOOD)).validation.fold_by == "person"


def test_holding_out_sites_needs_a_reason(tmp_path: Path) -> None:
    problem = only(tmp_path, f"{GOOD}{CEU}[validation]\nhold_out_each_site = true\n")
    assert (problem.line, problem.found) == (46, "no `reason` for it")


def test_folds_cannot_be_given_where_they_are_the_sites(tmp_path: Path) -> None:
    problem = only(tmp_path, f"{GOOD}{CEU}{HELD_OUT}folds = 5\n")
    assert problem.line == 48
    assert "the folds are the sites" in problem.expected


@pytest.mark.parametrize("more", ["", GBR])
def test_holding_out_sites_needs_three_that_train(tmp_path: Path, more: str) -> None:
    problem = only(tmp_path, GOOD + more + HELD_OUT)
    assert problem.found == "2 of the sites train, each of which is to be held out"
    assert problem.remedy


def test_a_study_in_which_no_site_trains_is_a_problem(tmp_path: Path) -> None:
    outside = re.sub(r"^(consents = .*)$", r"\1\nexternal = true", GOOD, flags=re.MULTILINE)
    assert "no site that trains" in only(tmp_path, outside).found


def test_the_bundled_studies_differ_in_how_they_are_validated_alone() -> None:
    by_person, by_site = (
        study_file.read(demo.folder() / name) for name in ("study.toml", "study-sites.toml")
    )
    assert (by_person.validation.fold_by, by_site.validation.fold_by) == ("person", "site")
    assert by_site.validation.folds == len(by_site.sites) == 4
    same = replace(by_person, id=by_site.id, question=by_site.question)
    assert replace(same, validation=by_site.validation) == by_site


def test_principal_components_can_be_asked_for(tmp_path: Path) -> None:
    text = GOOD.replace("[covariates]", "[covariates]\ncomponents = 4")
    assert study_file.read(write(tmp_path, text)).covariates.components == 4


@pytest.mark.parametrize(
    "purpose", ["UNDERWRITING", "employment", "EQP:EMPLOYMENT", "DS insurance:1"]
)
def test_underwriting_and_employment_are_refused(tmp_path: Path, purpose: str) -> None:
    path = write(tmp_path, GOOD.replace("DS MONDO:0005015", purpose))
    with pytest.raises(ConsentError, match=r"study\.toml:5: .*never a purpose"):
        study_file.read(path)


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"", None, "empty"),
        (b" \n", None, "empty"),
        (b"[study]\nid = \n", 2, "no TOML"),
        (b"[study]\nid = 'a'\nid = 'b'\n", 3, "no TOML"),
        (b"[study", 1, "no TOML"),
        (b"[study]\nid = '\xff'\n", 2, "UTF-8"),
        (b"#" * 1_000_001, None, "more than"),
    ],
)
def test_what_is_no_study_file_at_all_is_one_problem(
    tmp_path: Path, data: bytes, line: int | None, words: str
) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        study_file.read(path)
    assert [problem.line for problem in caught.value.problems] == [line]


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="give the path of the study file"):
            study_file.read(path)


def test_lines_are_found_past_strings_lists_and_comments() -> None:
    text = (
        'a = """\n[not]\nb = 1\n"""\nc = [\n  { d = 1 },  # ]\n  ["]"],\n]\n'
        "[e.'f g']  # x\nh.i = 2\n[[j]]\n[[j]]\nk = 'a # [b] = c'\nl = 1\n"
    )
    found = find_lines(text)
    expected = {("a",): 1, ("c",): 5, ("e", "f g"): 9, ("e", "f g", "h", "i"): 10}
    assert expected.items() <= found.items()
    assert (found["j", 0], found["j", 1], found["j", 1, "k"], found["j", 1, "l"]) == (
        11,
        12,
        13,
        14,
    )
    assert ("not",) not in found
    assert ("b",) not in found


VALUES = st.sampled_from(
    ["1", "-3", "2.5", "'x'", "true", "[]", "['a', 1]", "{ a = 1 }", "2020-01-01"]
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=st.integers(0, len(GOOD.splitlines()) - 1), value=VALUES)
def test_any_value_in_any_place_is_read_or_is_a_problem_with_a_remedy(
    tmp_path: Path, line: int, value: str
) -> None:
    lines = GOOD.splitlines()
    key = re.match(r"\w+ = (?!\[$)", lines[line])
    if key is None:
        return
    lines[line] = key[0] + value
    found: tuple[Problem, ...] = ()
    try:
        study_file.read(write(tmp_path, "\n".join(lines)))
    except InputError as error:
        found = error.problems or (Problem("", None, "", "", ""),)
    assert all(problem.line is not None and problem.remedy for problem in found)
