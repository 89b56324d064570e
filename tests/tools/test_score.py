"""Scores from files: as plink2 gives them, for one site or several, with a reason for each weight."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.cli.scoring import score_and_tell
from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.genotypes.matching import REASONS
from equipoise.genotypes.variants import Variants
from equipoise.packed.decode import encode
from equipoise.tools import score_files
from equipoise.tools.score import score
from tools.scoring import listed, made, site, table, weights

CALLS = np.array(
    [[0, 1, 2, np.nan], [2, 2, np.nan, 1], [np.nan] * 4, [1, 0, 0, 2], [0, 1, 1, np.nan]]
)
VARIANTS = listed(
    [("1", 10, "A", "G"), ("1", 20, "C", "T"), ("1", 30, "A", "C"), ("2", 5, "A", "T"), ("X", 7, "G", "A")]
)  # fmt: skip
ROWS: list[tuple[object, ...]] = [
    ("", 1, 10, "A", "G", 0.5),
    ("", 1, 20, "A", "G", -1),
    ("", 1, 30, "A", "C", 4),
    ("", 2, 5, "A", "T", 8),
    ("", "X", 7, "G", "A", 16),
]


def test_scores_by_hand(tmp_path: Path) -> None:
    found = score([site(CALLS)], VARIANTS, [weights(tmp_path / "w.txt", ROWS)])
    reasons = found.scores[0].match.reasons
    assert reasons == ["matched", "other_strand", "not_called", "ambiguous", "matched"]
    # Position 20 counts C and the weight is of T: 2 - dosage, of mean 1/3. On X males, who are
    # first and third, count half: the mean of 0, 1, 1 with weights 1/2, 1, 1/2 is 3/4.
    expected = [
        0.5 * 0 - 0 + 16 * 0,
        0.5 * 1 - 0 + 16 * 1,
        0.5 * 2 - 1 / 3 + 16 * 1,
        0.5 * 1 - 1 + 16 * 0.75,
    ]
    np.testing.assert_allclose(found.sums[0].score[0], expected, rtol=1e-15)
    path = tmp_path / "scores.tsv"
    report = score_files.write(path, [site(CALLS)], found)
    last = table(path)[-1]
    assert list(last) == list(score_files.HEADER)
    assert [last[k] for k in ("IID", "site", "score", "ALLELE_CT", "DENOM")] == [
        *("P3", "a", "PGS1", "2", "6")
    ]
    assert float(last["NAMED_ALLELE_DOSAGE_SUM"]) == 1
    assert float(last["SCORE_AVG"]) == pytest.approx(11.5 / 6, rel=1e-9)
    rows = table(report)
    assert report.name == "scores.match.tsv"
    assert [row["reason"] for row in rows] == reasons
    assert [row["used"] for row in rows] == ["yes", "yes", "no", "no", "yes"]
    assert [row["line"] for row in rows] == ["4", "5", "6", "7", "8"]


def test_without_mean_imputation_those_not_called_add_nothing(tmp_path: Path) -> None:
    file = weights(tmp_path / "w.txt", ROWS)
    found = score([site(CALLS)], VARIANTS, [file], mean_imputation=False, keep_ambiguous=True)
    np.testing.assert_allclose(found.sums[0].score[0], [8, 16.5, 17, -1 + 16], rtol=1e-15)
    path = tmp_path / "scores.tsv"
    score_files.write(path, [site(CALLS)], found)
    assert [(row["ALLELE_CT"], row["DENOM"]) for row in table(path)] == [
        *[("8", "8")] * 2,
        ("6", "6"),
        ("4", "4"),
    ]


def test_a_person_without_a_call_has_no_average(tmp_path: Path) -> None:
    file = weights(tmp_path / "w.txt", ROWS[:1])
    found = score([site(CALLS)], VARIANTS, [file], mean_imputation=False)
    score_files.write(tmp_path / "s.tsv", [site(CALLS)], found)
    assert table(tmp_path / "s.tsv")[3]["SCORE_AVG"] == "NA"


def many(seed: int, n_variants: int, n: int) -> tuple[NDArray[np.float64], Variants, list[tuple[object, ...]]]:  # fmt: skip
    draw = np.random.default_rng(seed)
    calls = draw.choice([0, 1, 2, np.nan], (n_variants, n), p=[0.5, 0.3, 0.17, 0.03])
    rows = [("1" if i % 9 else "X", 10 * i + 10, "A", "CG"[i % 2]) for i in range(n_variants)]
    wanted = [("", c, p, *draw.permutation([a, b]).tolist(), repr(draw.normal())) for c, p, a, b in rows]  # fmt: skip
    return calls, listed(rows), wanted


def test_any_split_over_sites_gives_the_same_scores_to_the_last_digit(tmp_path: Path) -> None:
    calls, variants, rows = many(1, 1200, 30)
    files = [
        weights(tmp_path / "1.txt", rows, "PGS1"),
        weights(tmp_path / "2.txt", rows[::7], "PGS2"),
    ]
    whole = site(calls)
    pooled = score([whole], variants, files)
    # Not at an even place only, so that each part's sexes are those of the pooled people.
    cuts = (0, 7, 20, 30)
    parts = [
        replace(site(calls[:, a:b], f"s{a}", a), sex=whole.sex[a:b]) for a, b in pairwise(cuts)
    ]
    apart = score(parts, variants, files)
    joined = np.concatenate([sums.score for sums in apart.sums], axis=1)
    np.testing.assert_array_equal(joined, pooled.sums[0].score)


def test_a_score_alone_and_among_others_is_the_same(tmp_path: Path) -> None:
    calls, variants, rows = many(2, 700, 9)
    one = weights(tmp_path / "1.txt", rows[::3], "PGS1")
    two = weights(tmp_path / "2.txt", rows, "PGS2")
    both = score([site(calls)], variants, [one, two])
    # Other tiles: rounding alone may differ.
    for at, file in enumerate((one, two)):
        alone = score([site(calls)], variants, [file])
        np.testing.assert_allclose(alone.sums[0].score[0], both.sums[0].score[at], rtol=1e-12)


def test_dosages_are_used_where_they_are_and_equal_calls_where_they_are_calls(
    tmp_path: Path,
) -> None:
    calls, variants, rows = many(3, 150, 21)
    file = weights(tmp_path / "w.txt", rows)
    plain = score([site(calls)], variants, [file]).sums[0]
    same = score([site(calls, real=calls.astype(np.float32))], variants, [file]).sums[0]
    np.testing.assert_allclose(same.score, plain.score, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(same.copies, plain.copies)
    real = np.clip(calls + 0.25, 0, 2).astype(np.float32)
    other = score([site(calls, real=real)], variants, [file], mean_imputation=False)
    weight = file.weights["weight"].to_numpy()
    swapped = other.scores[0].match.swapped[:, None]
    expected = weight @ np.nan_to_num(np.where(swapped, 2 - real, real).astype(np.float64))
    np.testing.assert_allclose(other.sums[0].score[0], expected, rtol=0, atol=1e-12)


def test_another_build_is_refused_by_name_and_by_positions(tmp_path: Path) -> None:
    calls, variants, rows = many(4, 50, 3)
    file = weights(tmp_path / "w.txt", rows)
    with pytest.raises(InputError, match="positions of GRCh37, genotypes of hg38"):
        score([site(calls)], variants, [file], build="hg38")
    moved = [(i, c, int(str(p)) + 3, *more) for i, c, p, *more in rows]
    other = weights(tmp_path / "m.txt", moved)
    with pytest.raises(InputError, match=r"0 of 50 weights .*another genome build"):
        score([site(calls)], variants, [other], build="GRCh37")
    found = score([site(calls)], variants, [other], least_matched=0)
    assert found.scores[0].match.counts()["absent"] == 50
    np.testing.assert_array_equal(found.sums[0].score, np.zeros((1, 3)))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    calls, variants, rows = many(5, 5, 2)
    file = weights(tmp_path / "w.txt", rows)
    with pytest.raises(InputError, match="2 scoring files are of one name, PGS1"):
        score([site(calls)], variants, [file, file])


def test_the_command_writes_the_table_and_says_what_became_of_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = made(tmp_path)
    out = tmp_path / "scores.tsv"
    score_and_tell([case.prefix], [case.scoring], out, least_matched=0.5, as_json=True)
    content = json.loads(capsys.readouterr().out)
    reasons = content["scores"][0]["reasons"]
    ambiguous = case.reasons.count("ambiguous_kept")
    assert (reasons["ambiguous_kept"], reasons["ambiguous"]) == (0, ambiguous)
    assert ambiguous > 0
    assert sum(reasons.values()) == content["scores"][0]["weights"] == len(case.reasons)
    assert content["scores"][0]["used"] == len(case.named) - ambiguous
    assert set(reasons) == set(REASONS)
    assert len(table(out)) == 2504
    assert len(table(Path(content["report"]))) == len(case.reasons)
    score_and_tell([case.prefix], [case.scoring], out, keep_ambiguous=True, least_matched=0.5)
    said = capsys.readouterr().out
    assert f"PGS9 (GRCh37): {len(case.named)} of {len(case.reasons)} weights used" in said
    assert f"{reasons['absent']:>9}  left out  no variant at the position" in said


def test_the_command_refuses_another_build_and_leaves_nothing(tmp_path: Path) -> None:
    calls, variants, rows = many(6, 40, 5)
    plink.write(tmp_path / "a", encode(calls), variants, tuple("abcde"))
    moved = [(i, c, int(str(p)) + 3, *more) for i, c, p, *more in rows]
    weights(tmp_path / "w.txt", moved)
    with pytest.raises(InputError, match="another genome build") as caught:
        score_and_tell([tmp_path / "a.bed"], [tmp_path / "w.txt"], tmp_path / "out" / "s.tsv")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_several_sites_by_the_command(tmp_path: Path) -> None:
    calls, variants, rows = many(7, 40, 12)
    weights(tmp_path / "w.txt", rows)
    sex = (np.arange(12) % 2 + 1).astype(np.int8)
    ids = tuple(f"P{i}" for i in range(12))
    plink.write(tmp_path / "all", encode(calls), variants, ids, sex)
    for name, part in (("a", slice(5)), ("b", slice(5, 12))):
        plink.write(tmp_path / name, encode(calls[:, part]), variants, ids[part], sex[part])
    for out, names in (("pooled.tsv", ["all"]), ("split.tsv", ["a", "b"])):
        score_and_tell([tmp_path / n for n in names], [tmp_path / "w.txt"], tmp_path / out)
    pooled, split = (table(tmp_path / out) for out in ("pooled.tsv", "split.tsv"))
    assert [row.pop("site") for row in split] == ["a"] * 5 + ["b"] * 7
    assert {row.pop("site") for row in pooled} == {"all"}
    assert pooled == split
