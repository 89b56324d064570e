"""Drawings: marks lie where their numbers say."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from dossier import extremes, fakes, scans
from equipoise.dossier import ancestry, curves, findings, quantiles, svg


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_and_within_the_axis(low: float, width: float) -> None:
    found = svg.ticks(low, low + width)
    assert 1 <= len(found) <= 12
    assert all(low - width * 1e-6 <= tick <= low + width * (1 + 1e-6) for tick in found)
    assert np.all(np.diff(found) > 0)


def test_an_axis_without_width_has_one_place() -> None:
    axis = svg.axis(2.0, 2.0)
    assert axis.x(2.0) == axis.y(2.0) == "50.00"


def test_texts_in_drawings_are_escaped() -> None:
    drawn = svg.mark('"><script>', svg.text("tick", "0", "0", "<b>"))
    assert "<script>" not in drawn
    assert "<b>" not in drawn


def test_the_band_of_chance_is_that_of_order_statistics() -> None:
    rank, n = np.array([1, 2, 50, 1000]), 1000
    low, high = quantiles.band(rank, n)
    np.testing.assert_allclose(low, -np.log10(beta.ppf(0.975, rank, n + 1 - rank)), rtol=1e-9)
    np.testing.assert_allclose(high, -np.log10(beta.ppf(0.025, rank, n + 1 - rank)), rtol=1e-9)


def test_a_qq_plot_of_chance_stays_in_its_band_and_few_points_stand_for_many() -> None:
    scanned = scans.table(["1"] * 50_000, np.arange(50_000), -np.log10(np.arange(1, 50_001) / 5e4))
    found = quantiles.plot(scanned)
    assert found
    assert found.tested == 50_000
    assert found.median == pytest.approx(-np.log10(0.5), abs=1e-4)  # ranks are a half apart
    assert str(found.svg).count("h0") <= quantiles.RANKS
    assert quantiles.plot(scans.untested()) is None


def dots(drawn: Any, kind: str) -> list[tuple[float, float]]:
    found = re.findall(rf'<circle class="{kind}" cx="([\d.]+)%" cy="([\d.]+)%"', str(drawn))
    return [(float(x), float(y)) for x, y in found]


def test_calibration_dots_lie_at_their_shares_and_withheld_bins_are_not_drawn() -> None:
    bins = curves.bins(fakes.evaluation()["overall"]["calibration"])
    drawn = curves.calibration(bins)
    assert drawn
    assert dots(drawn.svg, "dot") == [(1.0, 100.0), (36.0, 61.3), (95.0, 0.0)]
    assert "3 groups" in drawn.said
    assert curves.calibration(bins[1:2]) is None


def test_a_roc_curve_begins_and_ends_in_the_corners() -> None:
    drawn = curves.roc([[0.1, 0.5]])
    assert drawn
    assert 'd="M0,1000L100,500L1000,0"' in drawn.svg
    assert curves.roc([]) is None
    assert curves.roc(None) is None


def test_a_map_shows_counts_hides_few_and_keeps_sites_in_place() -> None:
    found = ancestry.plot(fakes.ancestry())
    assert found
    assert (found.shown, found.hidden, found.empty) == (14, 6, 5)
    assert dots(found.svg, "middle")[1] == (32.5, 47.5)  # FIN at -1.4, 0.2 of -4 to 4
    assert "PC1 below −2.4, PC2 −2.4 to −0.8: 14 people" in found.svg
    assert ancestry.plot(extremes.no_components()["ancestry"]) is None


def test_a_site_beyond_the_map_stands_at_its_edge() -> None:
    content = fakes.ancestry()
    content["sites"] = {"FAR": {"PC1": {"mean": 9.0, "sd": 1.0}, "PC2": {"mean": 0, "sd": None}}}
    content["sites"]["HIDDEN"] = {"PC1": {"mean": None, "sd": None}}
    found = ancestry.plot(content)
    assert found
    assert dots(found.svg, "middle") == [(100.0, 50.0)]


def test_findings_are_drawn_by_metric_in_a_shape_for_each_verdict() -> None:
    drawn = findings.forests(fakes.audit())
    assert [forest.metric for forest in drawn] == ["auc", "o_e", "calibration_slope"]
    first = {row.verdict: str(row.svg) for row in drawn[0].rows}
    assert 'class="dot open"' in first["inconclusive"]
    assert 'class="dot"' in first["equivalence shown"]
    assert "diamond" in first["gap shown"]
    assert "not estimable" in first["not estimable"]
    assert "◂" in first["gap shown"]  # -0.33 lies beyond six margins of 0.05
    assert "The largest gap is −0.21, of site TSI." in drawn[0].said


def test_findings_that_call_for_attention_come_first() -> None:
    verdicts = [finding["verdict"] for finding in findings.ordered(fakes.audit()["findings"])]
    assert verdicts == sorted(verdicts, key=findings.VERDICTS.index)
    assert sum(findings.tally(fakes.audit()["findings"]).values()) == 30


def test_an_unknown_metric_without_margin_is_drawn_too() -> None:
    audit = fakes.audit()
    audit |= {"margins": {}, "findings": [fakes.finding("site=A", "new", "gap shown", 3.0, 1.0)]}
    (forest,) = findings.forests(audit)
    assert forest.margin is None
    assert "margin" not in str(forest.rows[0].svg)
