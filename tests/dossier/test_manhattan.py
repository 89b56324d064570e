"""The Manhattan plot: few points, and all that matter."""

import re
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dossier.scans import scan, table, untested
from equipoise.dossier import manhattan, svg


def points(drawn: Any) -> list[tuple[float, float]]:
    """Return where the points of a drawing lie, in shares from its bottom left corner."""
    found = re.findall(r"M([\d.]+),([\d.]+)h0", str(drawn))
    return [(float(x) / svg.SIDE, 1 - float(y) / svg.SIDE) for x, y in found]


def test_every_point_above_the_line_is_drawn() -> None:
    p = -np.log10(np.random.default_rng(2).random(20_000))
    p[1000:1300] = np.linspace(7.31, 60, 300)
    drawn = manhattan.plot(table(["22"] * len(p), np.arange(len(p)) * 1000, p))
    assert drawn
    assert drawn.above == 300
    top = 60 * 1.04
    read = [y * top for _, y in points(drawn.svg)]
    assert len(read) == drawn.drawn < 4000
    strong = sorted(v for v in read if v > 7.306)
    # Places are rounded to 0.1 of a thousandth of the height.
    np.testing.assert_allclose(strong, np.linspace(7.31, 60, 300), atol=top * 1e-4)


@given(st.lists(st.tuples(st.floats(0, 250), st.floats(0, 20)), min_size=1, max_size=60))
def test_thinning_keeps_what_matters_and_one_of_each_cell(pairs: list[tuple[float, float]]) -> None:
    x, p = np.array(pairs).T
    kept = manhattan.thin(x, p)
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert set(np.flatnonzero(p > manhattan.INTERESTING)) <= set(kept.tolist())
    columns, rows = manhattan.CELLS
    span = max(float(np.ptp(x)), 1e-9)
    for i in set(range(len(x))) - set(kept.tolist()):  # a slow twin: its cell has a point
        near = (np.abs(x[kept] - x[i]) <= span / columns) & (
            np.abs(p[kept] - p[i]) <= manhattan.INTERESTING / rows
        )
        assert near.any()


def test_thinning_keeps_the_strongest_where_too_many_are_strong() -> None:
    p = np.linspace(3.1, 9.0, 3 * manhattan.MOST_INTERESTING)
    x = np.arange(len(p)) % 997
    kept = manhattan.thin(x.astype(np.float64), p)
    assert set(range(2 * manhattan.MOST_INTERESTING, len(p))) <= set(kept.tolist())
    columns, rows = manhattan.CELLS
    assert len(kept) <= manhattan.MOST_INTERESTING + columns * (rows + 1)


def test_a_plot_of_many_variants_stays_small() -> None:
    p = -np.log10(np.random.default_rng(3).random(85_000))
    drawn = manhattan.plot(table(["22"] * len(p), np.arange(len(p)) * 400, p))
    assert drawn
    assert drawn.tested == 85_000
    assert drawn.drawn < 4000


def test_no_variant_tested_is_no_plot() -> None:
    assert manhattan.plot(untested()) is None
    assert manhattan.plot(table([], [], [])) is None


def test_one_variant_is_a_plot() -> None:
    drawn = manhattan.plot(table(["X"], [100], [0.0]))
    assert drawn
    assert len(points(drawn.svg)) == drawn.drawn == 1


def test_chromosomes_stand_side_by_side_in_two_colours_and_in_the_order_of_the_table() -> None:
    names = ("1", "2", "10", "X")
    scanned = scan(800, names)
    genome = manhattan.lay_out(scanned)
    assert genome.names == names
    assert np.all(np.diff(genome.x) > 0)
    assert list(genome.centres) == sorted(genome.centres)
    drawn = manhattan.plot(scanned)
    assert drawn
    assert all(f">{name}</text>" in drawn.svg for name in names)
    assert all(f"points band{band}" in drawn.svg for band in (0, 1))


def test_the_script_gets_the_points_that_are_drawn() -> None:
    drawn = manhattan.plot(scan(800, ("1", "X")))
    assert drawn
    data = drawn.data
    lists = [v for k, v in data.items() if k not in ("names", "shift", "x", "ticks")]
    assert {len(v) for v in lists if isinstance(v, list)} == {drawn.drawn}
    assert data["names"] == ["1", "X"]
    assert drawn.weaker == manhattan.INTERESTING


def test_a_variant_that_is_not_drawn_is_weaker_than_is_said() -> None:
    p = np.linspace(3.1, 9.0, 3 * manhattan.MOST_INTERESTING)
    drawn = manhattan.plot(table(["1"] * len(p), np.arange(len(p)) % 997, p))
    assert drawn
    assert drawn.weaker == p[-manhattan.MOST_INTERESTING]


def test_texts_of_any_type_of_array_name_a_chromosome() -> None:
    for kind in (object, np.str_, np.dtypes.StringDType()):
        scanned = table(np.array(["2", "1"], kind), [1, 1], [1.0, 2.0])
        assert manhattan.lay_out(scanned).names == ("2", "1")
