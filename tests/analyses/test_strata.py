"""Strata against Lloyd's rounds on everybody's rows, and what is closed and merged."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from equipoise.analyses.strata import Strata, StrataState, Stratification, most_strata
from equipoise.step import Done, Next
from laws import cases, harness
from strategies import SEEDS, Rows, make_rows

Floats = NDArray[np.float64]
ROUNDS = 8


def cohort_of(places: Floats, controls: NDArray[np.bool_] | None = None) -> Rows:
    """Return people at the given places, (people, components); by default nobody has the trait."""
    n, k = places.shape
    base = make_rows(1, n=n, kinds=["common"])
    trait = np.zeros(n) if controls is None else np.where(controls, 0.0, 1.0)
    columns = {f"PC{axis + 1}": places[:, axis] for axis in range(k)}
    return base.with_columns({**columns, "trait": trait})


def analysis_of(people: Rows, least: int = 20, rounds: int = ROUNDS) -> Stratification:
    components = tuple(sorted(name for name in people.columns if name.startswith("PC")))
    return Stratification(people.n, "trait", components, least, rounds)


def run(people: Rows, least: int = 20, rounds: int = ROUNDS) -> harness.Finished:
    sites = people.split(np.arange(people.n) % 4, 4)
    return harness.run(analysis_of(people, least, rounds), sites, "masked", rounds=rounds)


def labels(people: Rows, found: Strata, least: int = 20) -> NDArray[np.int64]:
    columns = analysis_of(people, least).derive(people.cohort(), found)
    assert list(columns) == ["stratum"]
    return columns["stratum"].astype(np.int64)


def groups(seed: int, centres: list[tuple[float, ...]], sizes: list[int]) -> Floats:
    draw = np.random.default_rng(seed)
    parts = [
        np.array(centre) + 0.2 * draw.normal(size=(n, len(centre)))
        for centre, n in zip(centres, sizes, strict=True)
    ]
    return np.concatenate(parts)


def slowly(places: Floats, least: int, rounds: int) -> tuple[list[list[float]], list[int]]:
    """Return centroids and who is nearest to which at the last, one person at a time."""
    people = [[max(-4.0, min(4.0, round(2 * x) / 2)) for x in place] for place in places.tolist()]
    k = len(people[0])
    centroids = [[0.0] * k]
    for axis in range(min(3, k)):
        centroids += [[at if a == axis else 0.0 for a in range(k)] for at in (1.5, -1.5)]
    alive = set(range(len(centroids)))

    def nearest(place: list[float]) -> int:
        def far(c: int) -> float:
            return sum((x - y) ** 2 for x, y in zip(place, centroids[c], strict=True))

        return min(sorted(alive), key=far)

    for asked in range(rounds - 1):
        mine = [nearest(place) for place in people]
        sizes = [mine.count(c) for c in range(len(centroids))]
        before = (set(alive), [list(c) for c in centroids])
        alive = {c for c in range(len(centroids)) if sizes[c] >= least} | {sizes.index(max(sizes))}
        for c in alive if asked else ():
            inside = [people[i] for i in range(len(people)) if mine[i] == c]
            centroids[c] = [
                round(sum(x) / len(inside) * 1024) / 1024 for x in zip(*inside, strict=True)
            ]
        if len(alive) == 1 or (asked and before == (alive, centroids)):
            break
    return centroids, [nearest(place) for place in people]


@settings(max_examples=12)
@given(SEEDS, st.integers(1, 4), st.integers(30, 90), st.sampled_from([2, 5, 12]))
def test_centroids_and_people_equal_a_slow_twin(seed: int, k: int, n: int, least: int) -> None:
    draw = np.random.default_rng(seed)
    places = draw.normal(size=(n, k)) * draw.uniform(0.5, 2, k)
    places += 2.0 * draw.integers(-1, 2, (n, k))
    people = cohort_of(places)
    found = run(people, least).result
    centroids, nearest = slowly(places, least, ROUNDS)
    assert found.centroids.tolist() == centroids
    # Everybody is a control here, so none is merged but one that got small at the end.
    large = [c for c in set(nearest) if nearest.count(c) >= least]
    if len(large) == len(set(nearest)):
        assert [found.labels[c] for c in nearest] == labels(people, found, least).tolist()
        assert found.people.tolist() == [nearest.count(c) for c in sorted(large)]


@settings(max_examples=12)
@given(SEEDS, st.integers(1, 4), st.sampled_from([2, 6, 20]))
def test_strata_are_large_enough_and_count_whom_they_hold(seed: int, k: int, least: int) -> None:
    draw = np.random.default_rng(seed)
    places = 2 * draw.normal(size=(80, k))
    people = cohort_of(places, draw.random(80) < draw.uniform(0.2, 1))
    found = run(people, least).result
    own, control = labels(people, found, least), people.columns["trait"] == 0
    n = len(found.people)
    assert found.people.tolist() == np.bincount(own, minlength=n).tolist()
    assert found.controls.tolist() == np.bincount(own[control], minlength=n).tolist()
    assert n == 1 or found.controls.min() >= least
    assert sorted(set(found.labels[found.labels >= 0].tolist())) == list(range(n))


def test_groups_apart_become_strata_as_kmeans_of_scikit_learn_finds_them() -> None:
    sizes = [60, 40, 50]
    places = groups(2, [(1.8, 0.0), (-1.2, 1.0), (-1.0, -1.5)], sizes)
    people = cohort_of(places)
    found = run(people).result
    own = labels(people, found)
    theirs = KMeans(3, n_init=5, random_state=0).fit(places).labels_
    assert len(set(zip(own.tolist(), theirs.tolist(), strict=True))) == 3
    assert sorted(found.people.tolist()) == sorted(sizes)


def test_people_without_kept_components_are_one_stratum() -> None:
    people = cohort_of(np.zeros((50, 4)))
    done = run(people)
    assert done.result.people.tolist() == [50]
    assert labels(people, done.result).tolist() == [0] * 50
    assert len(done.asked) == 2


def test_a_component_that_is_not_kept_splits_nobody() -> None:
    places = groups(3, [(1.5, 0.0), (-1.5, 0.0)], [40, 40])
    places[:, 1] = 0.0
    found = run(cohort_of(places)).result
    assert found.labels[3:].tolist() == [-1, -1]


@pytest.mark.parametrize("rounds", [1, 2, 3, 8])
def test_no_more_rounds_are_asked_than_planned(rounds: int) -> None:
    places = np.random.default_rng(4).normal(size=(90, 3))
    assert len(run(cohort_of(places), 5, rounds).asked) <= rounds


def test_sums_of_coordinates_are_asked_of_counted_sets_and_controls_only_at_the_end() -> None:
    people = cohort_of(np.random.default_rng(5).normal(size=(90, 2)))
    asked = run(people, 8).asked
    assert not asked[0].total[0]["coordinates"].any()
    assert all(one.total[0]["coordinates"].any() for one in asked[1:-1])
    assert not asked[-1].total[0]["coordinates"].any()
    assert [bool(one.total[0]["controls"].any()) for one in asked] == [False] * (len(asked) - 1) + [
        True
    ]


def test_a_person_is_told_to_half_a_standard_deviation_and_to_four_at_most() -> None:
    people = cohort_of(np.array([[0.7, -31.0], [0.1, -0.2]]))
    state = replace(analysis_of(people).start(), asked=1)
    (sums,) = analysis_of(people).summarise(people.cohort(), state)
    assert sums["coordinates"].sum(axis=0).tolist() == [0.5, -4.0]


def last_state(*centroids: tuple[float, ...]) -> StrataState:
    return StrataState(np.array(centroids), np.ones(len(centroids), np.int64), 2, 1)


def merged(state: StrataState, people: list[int], controls: list[int]) -> Strata:
    analysis = Stratification(1000, "trait", ("PC1",), 20, ROUNDS)
    totals = {"people": np.array(people, np.float64), "controls": np.array(controls, np.float64)}
    outcome = analysis.advance(state, [totals])
    assert isinstance(outcome, Done)
    return outcome.result


@pytest.mark.parametrize(
    ("people", "controls", "labels_", "sizes"),
    [
        ([50, 40, 30], [30, 20, 20], [0, 1, 2], [50, 40, 30]),
        # The nearest, at 0, is smaller: the larger one at -1.5 takes the last in.
        ([30, 40, 35], [20, 20, 10], [0, 1, 1], [30, 75]),
        # The smallest goes first; with it, the one that it joins is large enough itself.
        ([50, 25, 24], [15, 20, 10], [0, 1, 0], [74, 25]),
        # The largest of all has too few controls: it joins the nearest.
        ([90, 40, 30], [5, 30, 20], [1, 0, 1], [40, 120]),
        ([9, 8, 7], [3, 3, 3], [0, 0, 0], [24]),
    ],
)
def test_a_stratum_too_small_joins_the_nearest_larger(
    people: list[int], controls: list[int], labels_: list[int], sizes: list[int]
) -> None:
    found = merged(last_state((0.0,), (-1.5,), (1.0,)), people, controls)
    assert found.labels.tolist() == labels_
    assert found.people.tolist() == sizes
    assert found.people.sum() == sum(people)
    assert found.controls.sum() == sum(controls)


def test_a_centroid_with_few_people_is_closed_where_it_was() -> None:
    people = cohort_of(groups(6, [(0.0,), (3.0,)], [60, 5]))
    analysis = analysis_of(people)
    state = replace(analysis.start(), asked=1)
    outcome = analysis.advance(state, analysis.summarise(people.cohort(), state))
    assert isinstance(outcome, Next)
    assert outcome.state.open.tolist() == [1, 0, 0]
    assert outcome.state.centroids[1:].tolist() == [[1.5], [-1.5]]


def test_the_number_of_centroids_follows_from_the_number_of_components() -> None:
    for k in range(1, 7):
        analysis = Stratification(10, "trait", tuple(f"PC{i + 1}" for i in range(k)), 20, 8)
        assert analysis.start().centroids.shape == (most_strata(k), k)


def test_a_plan_says_that_sums_are_over_sets_which_it_does_not_know() -> None:
    people = make_rows(7)
    schema = cases.analysis("strata", people).schema(cases.analysis("strata", people).start())
    assert {field.over for _, field in schema.fields} == {("stratum",)}
