"""Who takes part is fixed at the site, and what is said of it singles nobody out."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import DisclosureError, InputError, ProtocolError
from equipoise.federation.people import Dataset, People
from equipoise.federation.roster import (
    Register,
    Roster,
    folds,
    folds_of,
    make_roster,
    published_counts,
)
from equipoise.plan import Member, Plan, Step

LEAST = 10
K = 5


def roster(people: range) -> Roster:
    ids = tuple(f"person {i}" for i in people)
    return make_roster(ids, [None] * len(ids))


def test_everybody_without_a_reason_is_admitted_in_order() -> None:
    made = make_roster(["a", "b", "c", "d"], [None, "x", None, "x"])
    assert (made.ids, made.rows.tolist()) == (("a", "c"), [0, 2])
    assert (made.recruited, made.refused, made.n) == (4, {"x": 2}, 2)


# --- the register


@pytest.mark.parametrize("joined", [0, LEAST, LEAST + 1, 40])
def test_an_equal_or_a_far_roster_is_admitted(joined: int, tmp_path: Path) -> None:
    register = Register(tmp_path, LEAST)
    register.admit(roster(range(50)), "one")
    register.admit(roster(range(50 + joined)), "two")
    assert register.compare(roster(range(50))) == ([0, joined] if joined else [0])


@pytest.mark.parametrize("joined", [1, 2, LEAST - 1])
@pytest.mark.parametrize("left", [True, False])
def test_a_near_roster_is_refused_and_not_entered(joined: int, left: bool, tmp_path: Path) -> None:
    register = Register(tmp_path, LEAST)
    first, second = roster(range(50)), roster(range(50 + joined))
    register.admit(second if left else first, "one")
    with pytest.raises(DisclosureError, match="fewer than 10 people"):
        register.admit(first if left else second, "two")
    assert len((tmp_path / "rosters.jsonl").read_text().splitlines()) == 1


def test_people_who_change_places_count_on_both_sides(tmp_path: Path) -> None:
    register = Register(tmp_path, LEAST)
    register.admit(roster(range(50)), "one")
    with pytest.raises(DisclosureError):
        register.admit(roster(range(4, 54)), "two")
    register.admit(roster(range(5, 55)), "two")


def test_every_earlier_roster_counts_over_all_studies_and_runs(tmp_path: Path) -> None:
    Register(tmp_path, LEAST).admit(roster(range(50)), "one")
    Register(tmp_path, LEAST).admit(roster(range(100)), "two")
    with pytest.raises(DisclosureError):
        Register(tmp_path, LEAST).admit(roster(range(53)), "three")


def test_order_of_people_is_irrelevant(tmp_path: Path) -> None:
    register = Register(tmp_path, LEAST)
    first = register.admit(roster(range(50)), "one")
    assert register.admit(make_roster(roster(range(50)).ids[::-1], [None] * 50), "one") == first
    assert len((tmp_path / "rosters.jsonl").read_text().splitlines()) == 1


def test_the_register_names_nobody(tmp_path: Path) -> None:
    Register(tmp_path, LEAST).admit(roster(range(50)), "one")
    assert "person" not in (tmp_path / "rosters.jsonl").read_text()
    assert (tmp_path / "register.key").stat().st_mode & 0o777 == 0o600


def test_salted_digests_differ_by_site_and_hold_at_one(tmp_path: Path) -> None:
    one, other = Register(tmp_path / "a", LEAST), Register(tmp_path / "b", LEAST)
    people = roster(range(50))
    assert one.admit(people, "s") != other.admit(people, "s")
    assert one.salted(b"x") != other.salted(b"x")
    assert Register(tmp_path / "a", LEAST).salted(b"x") == one.salted(b"x")
    assert one.salted(b"x") != one.salted(b"y")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_of_another_size_is_refused(size: int, tmp_path: Path) -> None:
    """An empty secret, as a crash may leave it, would let anybody test who is in a roster."""
    (tmp_path / "register.key").write_bytes(bytes(size))
    with pytest.raises(InputError, match="restore it"):
        Register(tmp_path, LEAST)


# --- folds


@given(st.lists(st.text(), min_size=1, unique=True), st.integers(0, 99), st.integers(1, 7))
def test_a_fold_depends_on_the_person_and_the_seed_alone(ids: list[str], seed: int, k: int) -> None:
    together = folds(ids, seed, k)
    assert together.tolist() == [folds([person], seed, k)[0] for person in ids]
    assert set(together.tolist()) <= set(range(k))


def test_folds_are_even_and_change_with_the_seed() -> None:
    ids = [f"p{i}" for i in range(5000)]
    counts = np.bincount(folds(ids, 1, 5), minlength=5)
    assert counts.min() > 900  # five standard deviations below 1000 are 859
    assert (folds(ids, 1, 5) != folds(ids, 2, 5)).mean() > 0.7


MEMBERS = tuple(Member(name, "", "", 30, name == "b") for name in "cabd")


def planned(fold_by: str, seed: int = 1) -> Plan:
    sizes = {"n_variants": 1, "seed": seed, "folds": 3, "k": K, "roster_k": LEAST}
    texts = {"package": "", "sources": "", "variants": "", "protection": "clear"}
    return Plan(1, study={}, members=MEMBERS, steps=(), fold_by=fold_by, **sizes, **texts)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("fold_by", ["person", "site"])
def test_nobody_of_an_external_site_is_in_a_fold(fold_by: str) -> None:
    assert folds_of(["x", "y"], planned(fold_by), MEMBERS[2]).tolist() == [-1, -1]


def test_folds_by_person_are_the_same_at_whatever_site() -> None:
    ids = [f"p{i}" for i in range(50)]
    for own in (MEMBERS[0], MEMBERS[1], MEMBERS[3]):
        assert folds_of(ids, planned("person"), own).tolist() == folds(ids, 1, 3).tolist()


def test_folds_by_site_are_the_places_among_the_sorted_sites_that_train() -> None:
    found = {m.name: folds_of(["x"], planned("site"), m).tolist() for m in MEMBERS}
    assert found == {"a": [0], "b": [-1], "c": [1], "d": [2]}


def test_plans_with_external_sites_and_folds_by_site_are_read_as_they_were_written() -> None:
    for plan in (planned("site"), planned("person")):
        assert Plan.from_bytes(plan.to_bytes()) == plan
        assert (plan.people, plan.training) == (90, ("a", "c", "d"))
    turned = replace(planned("site"), members=(*MEMBERS[:3], replace(MEMBERS[3], external=True)))
    assert turned.digest() != planned("site").digest()


# --- what is published of refused people

REASONS = ("a", "b", "c")


def published(refused: Mapping[str, int]) -> dict[str, Any]:
    recruited = 50 + sum(refused.values())
    known = {reason: n for reason, n in refused.items() if n}
    return published_counts(Roster(("p",) * 50, np.arange(50), recruited, known), K)


@given(st.dictionaries(st.text(min_size=2, max_size=4), st.integers(1, 30), max_size=6))
def test_no_published_count_is_from_1_to_4_and_they_add_up(refused: dict[str, int]) -> None:
    refused.pop("other", None)
    said = published(refused)
    shown = [n for n in said["refused"].values() if n is not None]
    assert all(n >= K for n in shown)
    if said["recruited"] is None:
        assert 0 < sum(refused.values()) < K
        assert said["refused"] == {"other": None}
    else:
        assert said["recruited"] - said["admitted"] == sum(shown) == sum(refused.values())
        assert not 0 < said["recruited"] - said["admitted"] < K


def test_subtraction_never_gives_a_count_from_1_to_4() -> None:
    """All answers of a site to all counts up to 12 for three reasons, and all that fits each.

    Somebody who knows the rule, every other number and the reasons there can be still has
    at least two counts to choose from for each reason that is not shown.
    """
    fits: dict[str, list[tuple[int, ...]]] = {}
    for counts in product(range(13), repeat=len(REASONS)):
        said = published(dict(zip(REASONS, counts, strict=True)))
        fits.setdefault(repr(said), []).append(counts)
    for possible in fits.values():
        for place in range(len(REASONS)):
            values = {counts[place] for counts in possible}
            assert len(values) > 1 or not values & set(range(1, K)), possible[:3]


# --- the people of a study


def people(home: Path, n: int) -> People:
    ids = tuple(f"p{i}" for i in range(n))
    data = Dataset(None, ids, (None,) * n, {})  # pyright: ignore[reportArgumentType]
    return People(data, Register(home, LEAST), 1, 2, K, LEAST)


def test_a_site_of_too_few_people_takes_no_part(tmp_path: Path) -> None:
    few = people(tmp_path, LEAST - 1)
    with pytest.raises(DisclosureError, match="takes no part"):
        few.fix("study")
    with pytest.raises(ProtocolError, match="not been fixed"):
        _ = few.roster
    assert not (tmp_path / "rosters.jsonl").exists()
    people(tmp_path, LEAST).fix("study")


def test_only_a_plan_says_who_is_in_a_fold_and_whose_sums_leave(tmp_path: Path) -> None:
    some = people(tmp_path, LEAST)
    some.fix("study")
    some.folds = 3
    with pytest.raises(ProtocolError, match="before there is a plan"):
        _ = some.contributing
    with pytest.raises(ProtocolError, match="another seed"):
        some.check_plan(planned("site", seed=2), MEMBERS[0])
    some.check_plan(planned("site"), MEMBERS[0])
    assert (some.contributing.n, some.contributing.fold.tolist()) == (LEAST, [1] * LEAST)


def test_the_people_of_an_external_site_are_in_no_sum(tmp_path: Path) -> None:
    some = people(tmp_path, LEAST)
    some.fix("study")
    some.folds, some.kept = 3, {"score": np.ones(LEAST)}
    some.check_plan(planned("person"), MEMBERS[2])
    inside = some.contributing
    assert (inside.n, inside.column("score").shape, inside.fold.shape) == (0, (0,), (0,))
    assert (some.cohort.n, set(some.cohort.fold.tolist())) == (LEAST, {-1})


def test_a_step_keeps_the_columns_that_the_plan_says_and_no_others(tmp_path: Path) -> None:
    some = people(tmp_path, LEAST)
    some.fix("study")
    step = Step("s", "a", {}, keeps=("score",))
    for columns in ({}, {"score": np.zeros(10), "more": np.zeros(10)}, {"more": np.zeros(10)}):
        with pytest.raises(ProtocolError, match="other columns than planned"):
            some.keep(step, columns)
    first = some.keep(step, {"score": np.zeros(10)})
    assert some.keep(step, {"score": np.ones(10)}) != first
    assert some.kept["score"].tolist() == [1.0] * 10
