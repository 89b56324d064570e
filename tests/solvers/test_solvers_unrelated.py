"""Unrelated sets: the best of all by brute force, within their bound, and never related."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.solvers import unrelated as solver
from equipoise.solvers.unrelated import Unrelated, unrelated

Edges = list[tuple[int, int]]


def told(n: int, edges: Edges, **more: object) -> Unrelated:
    first, second = (np.array([e[k] for e in edges], np.int64) for k in (0, 1))
    return unrelated(n, first, second, **more)  # pyright: ignore[reportArgumentType]


def is_unrelated(found: Unrelated, edges: Edges) -> bool:
    return not any(found.kept[i] and found.kept[j] for i, j in edges)


@st.composite
def graphs(draw: st.DrawFn, most: int = 11) -> tuple[int, Edges]:
    n = draw(st.integers(1, most))
    pairs = list(combinations(range(n), 2))
    return n, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


def sparse(seed: int, n: int, m: int) -> Edges:
    ends = np.random.default_rng(seed).integers(0, n, (m, 2)).tolist()
    return sorted({(min(e), max(e)) for e in ends if e[0] != e[1]})


@given(graphs(), st.integers(0, 99))
def test_the_set_is_the_best_by_brute_force(graph: tuple[int, Edges], seed: int) -> None:
    n, edges = graph
    draw = np.random.default_rng(seed)
    cases, rate = draw.random(n) < 0.5, draw.choice([0.9, 0.95, 1.0], n)
    found = told(n, edges, cases=cases, call_rate=rate)

    def worth(chosen: NDArray[np.int64]) -> tuple[int, int, float]:
        return len(chosen), int(cases[chosen].sum()), round(float(rate[chosen].sum()), 6)

    sets = [
        np.array(c, np.int64)
        for size in range(n + 1)
        for c in combinations(range(n), size)
        if not any({i, j} <= set(c) for i, j in edges)
    ]
    assert is_unrelated(found, edges)
    assert found.exact
    assert found.most == found.n
    assert worth(np.flatnonzero(found.kept)) == max(map(worth, sets))


@given(graphs(), st.integers(0, 30))
def test_a_search_given_up_says_so_and_keeps_its_bounds(
    graph: tuple[int, Edges], work: int
) -> None:
    n, edges = graph
    best, found = told(n, edges), told(n, edges, work=work)
    assert is_unrelated(found, edges)
    assert found.n <= best.n <= found.most
    if found.exact:
        assert found.n == best.n
    degrees = np.bincount(np.array(edges, np.int64).ravel(), minlength=n)
    if work == 0:
        assert found.n >= np.sum(1 / (degrees + 1)) - 1e-9


@given(graphs(9), st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(graph: tuple[int, Edges], random: object) -> None:
    n, edges = graph
    turned = [(j, i) for i, j in edges]
    random.shuffle(turned)  # pyright: ignore[reportAttributeAccessIssue]
    assert told(n, edges).kept.tolist() == told(n, turned + edges).kept.tolist()


def test_large_families_and_sparse_graphs_are_exact() -> None:
    clique = list(combinations(range(150), 2))
    assert (told(150, clique).n, told(150, clique).exact) == (1, True)
    star = [(0, i) for i in range(1, 500)]
    assert (told(500, star).n, told(500, star).exact) == (499, True)
    path = [(i, i + 1) for i in range(1500)]
    assert (told(1501, path).n, told(1501, path).exact) == (751, True)
    assert told(200, sparse(1, 200, 300)).exact


def test_beyond_the_exact_ones_the_bound_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = sparse(2, 3000, 9000)
    found = told(3000, edges)
    degrees = np.bincount(np.array(edges).ravel(), minlength=3000)
    assert is_unrelated(found, edges)
    assert not found.exact
    assert np.sum(1 / (degrees + 1)) <= found.n <= found.most
    again = told(3000, edges)
    assert found.kept.tolist() == again.kept.tolist()
    monkeypatch.setattr(solver, "MOST_REDUCED", 10)
    small = sparse(3, 60, 90)
    assert told(60, small).n <= told(60, small).most


def test_the_case_stays_of_a_pair_then_the_better_called() -> None:
    cases = np.array([False, True, False, False])
    rate = np.array([1.0, 0.9, 0.95, 0.99])
    found = told(4, [(0, 1), (2, 3)], cases=cases, call_rate=rate)
    assert found.kept.tolist() == [False, True, False, True]


def test_nobody_and_no_pair() -> None:
    assert told(0, []).n == 0
    assert told(3, []).kept.all()


@pytest.mark.parametrize(
    ("edges", "more"),
    [
        ([(1, 1)], {}),
        ([(0, 3)], {}),
        ([(-1, 0)], {}),
        ([], {"cases": np.ones(2, np.bool_)}),
        ([], {"call_rate": np.array([0.5, np.nan, 1.0])}),
        ([], {"call_rate": np.array([0.5, 1.5, 1.0])}),
    ],
)
def test_impossible_pairs_and_preferences_are_refused(
    edges: Edges, more: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"pair|preferences|call rate"):
        told(3, edges, **more)
