"""The report of a scan, its pictures, and the reduction of a scan that they are drawn from."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dossier.scans import table, untested
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier import manhattan, picture, quantiles, reduction
from equipoise.dossier.association_report import Summary, association_report, pictures
from equipoise.dossier.picture import LINEAR, Scale, write_svg
from equipoise.dossier.reduction import SUGGESTIVE, Reduction
from equipoise.solvers.ld_score import LdRegression
from strategies import SEEDS

GENOME = tuple(map(str, range(1, 23)))
SUMMARY = Summary("GSTT1 null", "GRCh37", "linear regression", "0.1.0", "scan.tsv.gz")


def made_up(n: int, seed: int = 1, hits: int = 0, strongest: float = 60) -> Statistics:
    """Return a scan over 22 chromosomes, made up, with so many variants above the line."""
    draw = np.random.default_rng(seed)
    p = -np.log10(draw.random(n))
    p[draw.choice(n, hits, replace=False)] = np.linspace(7.31, strongest, hits)
    code = np.arange(n) * 22 // n
    position = (np.arange(n) - np.searchsorted(code, code)) * (3_000_000_000 // n) + 1
    return table(np.array(GENOME)[code], position, p)


def dots(drawn: Any) -> int:
    return str(drawn).count("h0")


def columns(scan: Statistics, rows: Any = slice(None)) -> dict[str, Any]:
    return {name: getattr(scan, name)[rows] for name in Statistics.__dataclass_fields__}


# The scale


@given(st.floats(1, 1e5), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_scale_rises_from_bottom_to_top(top: float, shares: list[float]) -> None:
    scale = Scale(top)
    p = np.sort(np.array([0.0, *shares, 1.0])) * top
    heights = scale.at(p)
    assert np.all(np.diff(heights) >= 0)
    axis = scale.axis("")
    assert heights[0] == axis.low == 0
    assert heights[-1] == pytest.approx(axis.high)
    assert all(axis.low <= height <= axis.high * (1 + 1e-9) for height, _ in axis.ticks)
    if top <= LINEAR:
        np.testing.assert_array_equal(heights, p)


def test_a_hit_of_1e_400_leaves_the_genome_wide_line_a_fifth_of_the_way_up() -> None:
    scale = Scale.over(400.0)
    axis = scale.axis("")
    assert axis.share(float(scale.at(np.array([7.3]))[0])) > 0.2
    assert axis.share(float(scale.at(np.array([400.0]))[0])) < 1
    assert [text for _, text in axis.ticks][-4:] == ["50", "100", "200", "500"]


# The reduction


@given(SEEDS, st.integers(1, 400), st.integers(1, 60))
def test_blocks_in_any_cut_say_what_the_table_says(seed: int, n: int, cut: int) -> None:
    draw = np.random.default_rng(seed)
    p = draw.exponential(3.0, n)
    p[draw.random(n) < 0.2] = np.nan
    scan = table(np.sort(draw.integers(1, 4, n)).astype(str), np.arange(n) * 100_000, p)
    found = Reduction()
    for start in range(0, n, cut):
        found.add(columns(scan, slice(start, start + cut)))
    known = p[np.isfinite(p)]
    assert (found.rows, found.tested) == (n, len(known))
    assert found.status == {"ok": n}
    assert found.above(SUGGESTIVE) == np.count_nonzero(known > SUGGESTIVE)
    assert sorted(found.points().p) == sorted(known)  # few points are all kept
    if len(known):
        assert found.median() == pytest.approx(np.median(known), rel=1e-12)


@given(SEEDS, st.sampled_from([1500, 5000]))
def test_quantiles_of_many_variants_are_right_to_a_bin(seed: int, n: int) -> None:
    p = np.random.default_rng(seed).exponential(2.0, n)
    found = Reduction()
    found.add(columns(table(["1"] * n, np.arange(n), p)))
    rank = quantiles.ranks(n)
    truth = np.sort(p)[::-1][rank - 1]
    np.testing.assert_allclose(1 + found.quantiles(rank), 1 + truth, rtol=2 / reduction.STEPS)
    np.testing.assert_array_equal(found.quantiles(rank[rank <= 1000]), truth[rank <= 1000])


def test_a_scan_that_is_merged_keeps_all_that_is_strong_and_one_of_each_cell() -> None:
    scan = made_up(40_000, hits=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduction, "MOST", 3000)
        found = Reduction()
        for start in range(0, 40_000, 1000):
            found.add(columns(scan, slice(start, start + 1000)))
    p = scan.neg_log_10_p_value
    points = found.points()
    assert len(points.p) < 3000 + np.count_nonzero(p > SUGGESTIVE)
    strong = np.sort(p[p > SUGGESTIVE])
    np.testing.assert_array_equal(np.sort(points.p[points.p > SUGGESTIVE]), strong)
    assert found.tested == 40_000
    assert found.median() == pytest.approx(np.median(p), rel=1e-4)
    for name in GENOME:  # no chromosome is emptied, from bottom to top
        there = points.p[points.chromosome == name]
        of = p[scan.chromosome == name]
        assert there.min() < 0.2
        assert there.max() == of.max()


def test_chromosomes_come_in_the_order_of_the_genome() -> None:
    names = ["X", "chr10", "2", "GL1", "1"]
    found = Reduction.of(table(names, [1] * 5, [1.0] * 5))
    assert list(found.points().chromosome) == ["1", "2", "10", "X", "GL1"]


def slow_loci(scan: Statistics, line: float, apart: int) -> list[tuple[str, int, int]]:
    """A slow twin: the strongest of those left, and all near it, again and again."""
    left = set(np.flatnonzero(scan.neg_log_10_p_value > line).tolist())
    found: list[tuple[str, int, int]] = []
    while left:
        lead = min(left, key=lambda i: (-scan.neg_log_10_p_value[i], i))
        at = scan.base_pair_location
        near = {
            i
            for i in left
            if scan.chromosome[i] == scan.chromosome[lead] and abs(at[i] - at[lead]) <= apart
        }
        left -= near
        found.append((str(scan.chromosome[lead]), int(at[lead]), len(near) - 1))
    return found


@given(SEEDS, st.integers(1, 40), st.integers(0, 30))
def test_loci_are_those_of_a_slow_twin(seed: int, n: int, apart: int) -> None:
    draw = np.random.default_rng(seed)
    scan = table(
        draw.integers(1, 3, n).astype(str), draw.integers(1, 100, n), draw.uniform(4, 9, n)
    )
    found = Reduction.of(scan).loci(6.0, apart)
    assert [(x.chromosome, x.base_pair_location, x.others) for x in found] == slow_loci(
        scan, 6.0, apart
    )


def test_nothing_tested_has_no_median_and_no_line_below_what_is_kept() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Reduction().median()
    with pytest.raises(ValueError, match="at least 5"):
        Reduction.of(made_up(10)).above(3.0)


# The pictures


def test_no_hit_is_left_out_of_a_large_scan_and_the_file_stays_small(tmp_path: Path) -> None:
    scan = made_up(300_000, hits=2000, strongest=400)
    found = Reduction.of(scan)
    sketch = manhattan.picture(found)
    assert sketch
    assert sketch.weaker == manhattan.INTERESTING
    # Two hits are one dot only where they cover the same spot of 1,000 by 400.
    assert dots(sketch.picture.marks) == sketch.drawn
    heights = sorted({round(1 - float(y) / 1000, 2) for y in re.findall(r",([\d.]+)h0", str(sketch.picture.marks))})  # fmt: skip
    scale = Scale.over(400)
    line = float(scale.at(np.array([7.3]))[0]) / scale.axis("").high
    wanted = np.arange(np.ceil(line * 100), np.floor(float(scale.at(np.array([400.0]))[0]) / scale.axis("").high * 100)) / 100  # fmt: skip
    assert set(np.round(wanted, 2)) <= set(heights)
    for name, drawn in pictures(found).items():
        path = tmp_path / f"{name}.svg"
        write_svg(path, drawn)
        assert path.stat().st_size < 400_000
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_more_hits_than_a_page_holds_stay_small_and_say_from_where_all_are_drawn() -> None:
    scan = made_up(120_000, hits=100_000, strongest=300)
    sketch = manhattan.picture(Reduction.of(scan))
    assert sketch
    assert len(sketch.picture.file()) < 400_000
    assert sketch.weaker >= manhattan.INTERESTING


def test_the_strongest_loci_are_named_and_names_do_not_overlap() -> None:
    sketch = manhattan.picture(Reduction.of(made_up(20_000, hits=200)))
    assert sketch
    names = re.findall(r'class="locus" x="([\d.]+)%" y="([\d.]+)%"', str(sketch.picture.marks))
    assert 1 <= len(names) <= manhattan.LABELS
    assert names[0][1] == min((y for _, y in names), key=float)


def test_the_qq_plot_of_a_reduction_is_that_of_the_table() -> None:
    scan = made_up(5000)
    of_table, of_reduction = quantiles.plot(scan), quantiles.picture(Reduction.of(scan))
    assert of_table
    assert of_reduction
    assert dots(of_table.svg) == dots(of_reduction.page())


def test_a_scan_without_a_p_value_has_no_picture() -> None:
    assert pictures(Reduction.of(untested())) == {}
    assert pictures(Reduction()) == {}


def test_one_variant_is_a_manhattan_plot() -> None:
    assert list(pictures(Reduction.of(table(["X"], [100], [0.0])))) == ["manhattan"]


def test_a_picture_is_a_file_without_leftovers(tmp_path: Path) -> None:
    drawn = pictures(Reduction.of(made_up(100)))["qq"]
    write_svg(tmp_path / "qq.svg", drawn)
    text = (tmp_path / "qq.svg").read_text()
    assert "{" not in text.replace(str(picture.STYLE), "")
    assert "<script" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["qq.svg"]


# The page


def page(scan: Reduction, **more: Any) -> str:
    fixed = {name: getattr(SUMMARY, name) for name in ("trait", "genome_build", "model", "table")}
    return association_report(scan, Summary(**{**fixed, "equipoise": "0.1.0", **more}))


def test_the_page_says_what_was_found() -> None:
    scan = Reduction.of(made_up(3000, hits=3))
    text = page(
        scan,
        cases=62,
        controls=296,
        covariates=("sex", "PC1"),
        people={"CEU": {"matched": 99, "used": 90}, "FIN": {"matched": None, "used": 95}},
        ld=LdRegression(1.02, 0.03, 0.1, 0.01, 1.1, 0.2, 0.3, 2999),
        ld_note="LD scores of the people of CEU.",
    )
    for said in (
        "3,000 variants tested in 2 sites",
        "3 variants lie above the genome-wide line",
        "λ₁₀₀₀",
        "1.020</b> (standard error 0.030)",
        "no sign of structure",
        "sex and PC1",
        "not shown",
        "185",  # used in both
        "LD scores of the people of CEU.",
        "60.0",
    ):
        assert said in text, said
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!#)", text)


@pytest.mark.parametrize(
    ("intercept", "error", "said"),
    [(1.2, 0.02, "inflate the scan"), (0.9, 0.02, "below 1"), (1.1, 0.2, "too wide")],
)
def test_the_intercept_is_put_into_words(intercept: float, error: float, said: str) -> None:
    ld = LdRegression(intercept, error, 0.1, 0.01, 1.1, None, None, 2999)
    assert said in page(Reduction.of(made_up(500)), ld=ld)


def test_a_scan_in_which_nothing_was_tested_is_a_page() -> None:
    text = page(Reduction.of(untested()))
    assert "nothing to draw" in text
    assert "could not be given" in text
    assert "No variant lies above" in text


def test_a_scan_without_hits_says_so_and_lists_those_that_come_near() -> None:
    p = np.full(500, 0.3)
    assert "no locus to list" in page(Reduction.of(table(["1"] * 500, np.arange(500), p)))
    p[7] = 6.0
    text = page(Reduction.of(table(["1"] * 500, np.arange(500), p)))
    assert "Loci above 5, below the line" in text


def test_texts_are_taken_for_untrusted() -> None:
    scan = table(["<script>1</script>"], [5], [9.0])
    found = Reduction()
    found.add({**columns(scan), "status": np.array(["<b>"]), "rsid": np.array(["<i>"])})
    text = page(found, trait="<img src=x>", notes=["</p><script>"], people={"<u>": {"<s>": 1}})
    assert not re.search(r"<(script|b>ok|i>|img|u>|s>)", text)
    drawn = pictures(found)["manhattan"].file()
    assert "<script" not in drawn
    assert "<i>" not in drawn
