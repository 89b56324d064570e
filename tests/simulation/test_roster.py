from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.simulation.design import Design
from equipoise.simulation.roster import KINDS, roster
from simulation.made import SMALL


@st.composite
def designs(draw: st.DrawFn) -> Design:
    people = tuple((name, draw(st.integers(8, 40))) for name in ("EUR", "AFR", "SAS"))
    most = sum(n for _, n in people) // 4
    sites = draw(st.one_of(st.none(), st.integers(1, 4)))
    relatives = draw(st.integers(0, most))
    return replace(SMALL, people=people, sites=sites, relatives=relatives, seed=draw(st.integers(0, 99)))  # fmt: skip


@given(designs())
def test_everybody_asked_for_is_there_once(design: Design) -> None:
    design.check()
    made = roster(design)
    assert made.n == design.n_people == len(set(made.ids))
    assert Counter(made.population.tolist()) == {p: n for p, (_, n) in enumerate(design.people)}
    assert len({tuple(pair) for pair in made.haplotypes.tolist()}) == made.n
    assert np.all(np.diff(made.site) >= 0)
    assert set(made.site.tolist()) == set(range(len(design.site_names)))


@given(designs())
def test_each_site_begins_at_a_whole_byte_and_nobody_shares_a_place(design: Design) -> None:
    made = roster(design)
    assert len(set(made.slots.tolist())) == made.n
    assert made.slots.max() < 4 * made.n_bytes
    for site in range(made.n_sites):
        assert made.slots[made.members(site)][0] == 4 * made.columns(site).start


@given(designs())
def test_pairs_are_relatives_by_their_haplotypes(design: Design) -> None:
    made = roster(design)
    founders = 2 * design.n_people
    assert len(made.pairs) == design.relatives
    places = [place for pair in made.pairs for place in (pair.one, pair.other)]
    assert len(set(places)) == 2 * design.relatives

    def parents(place: int) -> set[int]:
        return {int(made.parent[h - founders]) for h in made.haplotypes[place] if h >= founders}

    for pair in made.pairs:
        assert made.site[pair.one] == made.site[pair.other]
        assert made.population[pair.one] == made.population[pair.other]
        one, other = parents(pair.one), parents(pair.other)
        if pair.kind == KINDS[1]:
            assert one == other
            assert len(one) == 2
        else:
            child, parent = (one, pair.other) if one else (other, pair.one)
            assert made.haplotypes[parent][0] // 2 in child
    unrelated = set(range(made.n)) - set(places)
    assert all(not parents(place) for place in unrelated)


def test_founders_stay_in_the_columns_of_their_population() -> None:
    made = roster(replace(SMALL, relatives=20))
    ends = np.cumsum([2 * n for _, n in SMALL.people])
    first = made.haplotypes[:, 0]
    own = first < ends[-1]
    np.testing.assert_array_equal(np.searchsorted(ends, first[own], "right"), made.population[own])
    founder = made.parent[first[~own] - ends[-1]]
    np.testing.assert_array_equal(
        np.searchsorted(ends, 2 * founder, "right"), made.population[~own]
    )


def test_a_site_for_each_population_has_no_other() -> None:
    made = roster(replace(SMALL, sites=None))
    np.testing.assert_array_equal(made.site, made.population)


def test_an_empty_site_is_refused() -> None:
    people = tuple((name, 2) for name in ("AFR", "EUR", "EAS", "SAS", "AMR"))
    with pytest.raises(InputError, match="fewer sites"):
        roster(replace(SMALL, people=people, sites=5, relatives=0))
