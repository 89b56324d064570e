"""Encrypted scores of genotypes: those of `score`, with the same match, and their reports."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.artefacts.pgs_catalog import ScoringFile
from equipoise.errors import InputError
from equipoise.genotypes.matching import REASONS
from equipoise.tools import score_files
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.scorer import open_scorer
from equipoise.tools.score import Site, score
from tools.encrypted_scores import ROWS, VARIANTS, Direct, owner
from tools.scoring import NAMES, Held, listed, site, weights

pytest.importorskip("tenseal")
from equipoise.tools.encrypted_scoring.asking import Choices, score_encrypted


def file_of(folder: Path) -> ScoringFile:
    return weights(folder / "again.txt", ROWS)


def assert_as_plain(held: list[Held], folder: Path, choices: Choices) -> None:
    sites: list[Site] = list(held)
    found = score_encrypted(sites, VARIANTS, Direct(owner(folder)), choices).scores
    plain = score(
        sites,
        VARIANTS,
        [file_of(folder)],
        keep_ambiguous=choices.keep_ambiguous,
        mean_imputation=choices.mean_imputation,
        least_matched=0,
    )
    assert found.scores[0].match.reasons == plain.scores[0].match.reasons
    for own, reference in zip(found.sums, plain.sums, strict=True):
        np.testing.assert_allclose(own.score, reference.score, rtol=0, atol=1e-5)
        np.testing.assert_allclose(own.copies, reference.copies, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(own.not_called, reference.not_called)


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 9), min_size=1, max_size=2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_scores_are_those_of_the_plain_command(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    sizes: list[int],
    dosed: bool,
    ambiguous: bool,
    filled: bool,
) -> None:
    """Matched, swapped, other strand, ambiguous, absent, repeated, X: all as `score` does it."""
    draw = np.random.default_rng(seed)
    held = []
    for at, n in enumerate(sizes):
        calls = draw.integers(0, 3, (6, n)).astype(float)
        calls[draw.random(calls.shape) < 0.3] = np.nan
        real = None
        if dosed:
            real = np.where(np.isnan(calls), np.nan, draw.random(calls.shape) * 2)
            real = real.astype(np.float32)
        held.append(site(calls, f"s{at}", 100 * at, real))
    folder = tmp_path_factory.mktemp("held")
    assert_as_plain(held, folder, Choices(ambiguous, filled, 0))


def test_many_people_are_asked_for_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from equipoise.tools.encrypted_scoring import dosages

    monkeypatch.setattr(wire, "most_people", lambda n: 5)
    monkeypatch.setattr(dosages, "_VALUES", 1)
    monkeypatch.setattr(dosages, "people_at_once", lambda n, group: 8)
    draw = np.random.default_rng(1)
    calls = draw.integers(0, 3, (6, 21)).astype(float)
    calls[draw.random(calls.shape) < 0.1] = np.nan
    direct = Direct(owner(tmp_path))
    choices = Choices(keep_ambiguous=True, least_matched=0)
    seen: list[tuple[int, int]] = []
    found = score_encrypted(
        [site(calls)], VARIANTS, direct, choices, lambda *done: seen.append(done)
    )
    plain = score(
        [site(calls)], VARIANTS, [file_of(tmp_path)], keep_ambiguous=True, least_matched=0
    )
    np.testing.assert_allclose(found.scores.sums[0].score, plain.sums[0].score, atol=1e-5)
    assert found.requests == len(direct.sent) == 5
    assert seen[-1] == (21, 21)
    seeds = {data[44:76] for data in direct.sent}
    assert len(seeds) == 5  # a seed used twice would tell differences of genotypes


def test_the_report_adds_up_and_tells_no_weight(tmp_path: Path) -> None:
    held = site(np.random.default_rng(2).integers(0, 3, (6, 4)).astype(float))
    choices = Choices(least_matched=0)
    found = score_encrypted([held], VARIANTS, Direct(owner(tmp_path)), choices).scores
    report = score_files.write(tmp_path / "out.tsv", [held], found)
    rows = [line.split("\t") for line in report.read_text().splitlines()]
    assert {row[rows[0].index("weight")] for row in rows[1:]} == {"NA"}
    counts = score_files.summary(found)[0]["reasons"]
    assert sum(counts.values()) == len(rows) - 1 == len(ROWS)
    assert set(counts) == set(REASONS)


def test_the_owner_may_tell_what_to_take_for_missing_calls(tmp_path: Path) -> None:
    lines = ["#pgs_id=P", "\t".join([*NAMES, "allelefrequency_effect"])]
    rows = [
        ("", 1, 10, "A", "G", 0.5, 0.25),
        ("", 3, 9, "A", "C", 2, 0.1),
        ("", 1, 30, "A", "C", 1, ""),
    ]
    lines += ["\t".join(map(str, row)) for row in rows]
    (tmp_path / "w.txt").write_text("\n".join(lines) + "\n")
    made = open_scorer(tmp_path / "w.txt", tmp_path / "counts", per_day=9, in_all=9)
    calls = np.full((6, 3), np.nan)
    calls[2] = [2, 1, np.nan]
    found = score_encrypted([site(calls)], VARIANTS, Direct(made))
    assert found.told_expected == 2
    # 0.5 * 0.5 + 2 * 0.2 for everybody, and the third person the mean of the other two.
    np.testing.assert_allclose(found.scores.sums[0].score[0], [2.65, 1.65, 2.15], atol=1e-5)


def test_a_frequency_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = ["#pgs_id=P", "\t".join([*NAMES, "allelefrequency_effect"])]
    lines += ["\t1\t10\tA\tG\t1\t0.5", "\t1\t20\tA\tG\t1\t1.5"]
    (tmp_path / "w.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"w\.txt:4: '1\.5' in allelefrequency_effect"):
        open_scorer(tmp_path / "w.txt", tmp_path / "counts", per_day=9)


def test_genotypes_of_another_build_or_list_are_refused(tmp_path: Path) -> None:
    direct = Direct(owner(tmp_path))
    held = site(np.ones((6, 2)))
    with pytest.raises(InputError, match="positions of GRCh37, genotypes of GRCh38"):
        score_encrypted([held], VARIANTS, direct, Choices(build="GRCh38"))
    other = listed([("9", i, "A", "G") for i in range(1, 7)])
    with pytest.raises(InputError, match="least-matched 0"):
        score_encrypted([held], other, direct)
    assert direct.sent == []


def test_weights_of_other_kinds_are_listed_with_their_reason(tmp_path: Path) -> None:
    lines = ["#pgs_id=P", "\t".join([*NAMES, "is_recessive"])]
    lines += ["\t1\t10\tA\tG\t1\tFALSE", "\t1\t30\tA\tC\t9\tTRUE", "\t1\t20\tC\tT\t2\t"]
    (tmp_path / "w.txt").write_text("\n".join(lines) + "\n")
    made = open_scorer(tmp_path / "w.txt", tmp_path / "counts", per_day=9, in_all=9)
    found = score_encrypted(
        [site(np.ones((6, 1)))], VARIANTS, Direct(made), Choices(least_matched=0)
    )
    assert found.scores.scores[0].match.reasons == ["matched", "recessive", "matched"]
    np.testing.assert_allclose(found.scores.sums[0].score, [[3]], atol=1e-5)
    assert isinstance(found.scores.scores[0].file.weights, pl.DataFrame)
