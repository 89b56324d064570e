"""Figures of a site: coarse, outward, and none from which a few people's count follows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from equipoise.federation import budget
from equipoise.solvers.comparison import gap
from equipoise.solvers.figures import Own, owners
from equipoise.solvers.intervals import wald

VALUES = st.floats(-3, 3)


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_a_figure_is_near_and_its_interval_covers_the_fine_one(
    value: float, below: float, above: float
) -> None:
    figure = Own("", 0.01, 50, 20).figure(value, value - below, value + above)
    budget.check_figure(figure, 0.01, 5)
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert abs(figure.value - value) <= 0.005 + 1e-9
    assert value - below - 0.01 - 1e-9 <= figure.low <= value - below + 1e-9
    assert value + above - 1e-9 <= figure.high <= value + above + 0.01 + 1e-9
    assert figure.low <= figure.value <= figure.high


def test_counts_of_a_part_of_a_site_are_not_shown() -> None:
    assert Own("", 0.01, 50, 20).figure(0.5).shown
    assert not Own("@sex=1", 0.01, 50, 20).figure(0.5).shown
    assert not Own("@sex=1", 0.01, 50, 20).withheld("few").shown


def test_the_least_gap_is_rounded_up() -> None:
    found = gap(lambda level: wald(0.2, 0.1, level), lambda _: wald(0.0, 0.0), detectable=0.1201)
    figures = Own("@sex=0", 0.01, 50, 20).gaps("auc", found)
    assert list(figures) == ["auc.gap@sex=0", "auc.gap90@sex=0", "auc.detectable@sex=0"]
    assert figures["auc.detectable@sex=0"].value == 0.13


@given(st.lists(st.integers(0, 25), min_size=4, max_size=4))
def test_a_part_has_figures_only_if_the_rest_of_the_site_could_have_them(
    counts: list[int],
) -> None:
    women, women_with, men, men_with = counts
    sex = np.repeat([0.0, 0.0, 1.0, 1.0], counts)
    trait = np.repeat([0.0, 1.0, 0.0, 1.0], counts)
    cells = {"": np.ones(len(sex), np.bool_), "sex=0": sex == 0, "sex=1": sex == 1}
    site, *parts = owners(cells, trait, coarse=0.01, k=5, floor=10)
    assert (site.reason == "") == (min(women + men, women_with + men_with) >= 5)
    assert {part.reason == "" for part in parts} == {min(counts) >= 10}
    assert [(p.controls, p.events) for p in parts] == [(women, women_with), (men, men_with)]
