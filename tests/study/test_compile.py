"""From a study file to a plan: one plan for one set of inputs, and what it is made of."""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.analyses.contributions import GAP
from equipoise.consent.terms import Purpose
from equipoise.errors import DisclosureError
from equipoise.federation import budget, registry
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.plan import Member, Plan, Ref
from equipoise.study.compile import WINDOW, compile_plan, public_study, windows
from equipoise.study.records import (
    MARGINS,
    Audit,
    Covariates,
    Person,
    SiteFiles,
    Study,
    Trait,
    Validation,
    VariantList,
)
from equipoise.sums import GENOTYPE

NAMES = ("a", "b", "c", "d")
ANCESTRY = ("pruning", "components", "strata", "ancestry")
ALWAYS = (
    "census",
    "frequency",
    "quality",
    "association",
    "model",
    "tuning",
    "calibration",
    "performance",
    "single",
    "recalibration",
    "relevance",
)


def listed(places: list[tuple[str, int]]) -> Variants:
    rows = [(chromosome, position, "A", "G") for chromosome, position in places]
    schema = dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64}
    return Variants.of(pl.DataFrame(rows, schema=schema, orient="row"))


LISTED = listed([(c, 1 + 9_000 * i) for c in ("21", "22") for i in range(300)])


def study(
    components: int = 0,
    *,
    external: tuple[str, ...] = (),
    hold_out: bool = False,
    folds: int = 5,
    audit: Audit | None = None,
) -> Study:
    nowhere = Path("nowhere")
    return Study(
        id="made-up",
        question="Does it hold?",
        purpose=Purpose("HMB"),
        as_of=date(2026, 1, 1),
        seed=7,
        people=(Person("N. N.", "analyst", "n@example.org"),),
        trait=Trait("ill", "binary"),
        covariates=Covariates(("sex",), components),
        variants=VariantList(nowhere, "GRCh37"),
        sites=tuple(SiteFiles(n, nowhere, nowhere, nowhere, n in external) for n in NAMES),
        validation=Validation(folds, hold_out, "to see" if hold_out else ""),
        audit=audit,
    )


def members(external: tuple[str, ...] = (), people: int = 90) -> tuple[Member, ...]:
    return tuple(Member(n, n * 64, n * 64, people, n in external) for n in NAMES)


def plan_of(of: Study, people: int = 90) -> Plan:
    external = tuple(site.name for site in of.sites if site.external)
    return compile_plan(of, LISTED, members(external, people))


def names(plan: Plan) -> tuple[str, ...]:
    return tuple(step.name for step in plan.steps)


STUDIES = {
    "plain": study(),
    "with components": study(3),
    "with an audit": study(2, audit=Audit(("sex", "smoker"), MARGINS)),
    "with an external site": study(2, external=("b",)),
    "each site held out": study(hold_out=True),
    "each site held out, one external": study(2, external=("d",), hold_out=True),
}
EVERY = pytest.mark.parametrize("name", STUDIES)


@EVERY
def test_the_same_inputs_give_the_same_plan(name: str) -> None:
    one, other = plan_of(STUDIES[name]), plan_of(replace(STUDIES[name]))
    assert one.digest() == other.digest()
    assert one == other
    assert Plan.from_bytes(one.to_bytes()) == one


def test_where_a_site_keeps_its_files_is_no_part_of_the_plan() -> None:
    moved = replace(
        study(),
        variants=VariantList(Path("/elsewhere"), "GRCh37"),
        sites=tuple(replace(site, genotypes=Path("/x.bed")) for site in study().sites),
    )
    assert plan_of(moved).digest() == plan_of(study()).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"question": "?"},
        {"trait": Trait("tall", "binary")},
        {"covariates": Covariates(())},
        {"covariates": Covariates(("sex",), 2)},
        {"validation": Validation(4)},
        {"audit": Audit((), MARGINS)},
    ],
)
def test_another_study_is_another_plan(change: dict[str, object]) -> None:
    assert plan_of(replace(study(), **change)).digest() != plan_of(study()).digest()  # pyright: ignore[reportArgumentType]


def test_other_people_or_another_list_are_another_plan() -> None:
    plan = plan_of(study())
    assert plan_of(study(), people=91).digest() != plan.digest()
    fewer = listed([("21", 1 + 9_000 * i) for i in range(300)])
    assert compile_plan(study(), fewer, members()).digest() != plan.digest()


@EVERY
def test_a_plan_lets_out_no_more_than_is_allowed(name: str) -> None:
    plan = plan_of(STUDIES[name])
    found = budget.disclosure(plan, registry.build)
    budget.check(plan, found)
    assert found.columns
    assert found.sites_derivable is plan.study["validation"]["hold_out_each_site"]


@given(
    st.lists(st.integers(10, 2000), min_size=4, max_size=4), st.integers(0, 6), st.integers(3, 20)
)
def test_whoever_takes_part_only_folds_of_too_few_are_refused(
    people: list[int], components: int, folds: int
) -> None:
    """Of what compiles, nothing exceeds the budget."""
    sites = tuple(replace(m, people=n) for m, n in zip(members(), people, strict=True))
    try:
        plan = compile_plan(study(components, folds=folds), LISTED, sites)
    except DisclosureError as error:
        said = str(error)
        assert components > 0
        assert said.startswith(f"{components} components of ancestry ")
        return
    found = budget.disclosure(plan, registry.build)
    if budget.people_of_smallest(sites, folds, "person") >= plan.roster_k:
        assert all(columns.used <= columns.allowed for columns in found.columns)
        budget.check(plan, found)
    else:
        with pytest.raises(DisclosureError, match="use fewer folds or more people"):
            budget.check(plan, found)


@EVERY
def test_a_step_refers_to_earlier_steps_and_reads_what_is_there(name: str) -> None:
    of = STUDIES[name]
    plan = plan_of(of)
    there: set[str] = {GENOTYPE, of.trait.name, *of.columns}
    before: set[str] = set()
    for step in plan.steps:
        refs = {value.step for value in step.parameters.values() if isinstance(value, Ref)}
        assert refs <= before
        analysis = registry.build(step, None)
        schema = analysis.schema(analysis.start())
        assert {read.column for _, field in schema.fields for read in field.reads} <= there
        before.add(step.name)
        there.update(step.keeps)


@pytest.mark.parametrize("components", [0, 1, 2, 4])
def test_steps_of_ancestry_are_there_where_components_are_asked_for(components: int) -> None:
    plan = plan_of(study(components))
    ancestry = ANCESTRY if components else ()
    assert names(plan) == (*ALWAYS[:2], *ancestry, *ALWAYS[2:])
    axes = tuple(f"PC{i + 1}" for i in range(components))
    assert plan.step("association").parameters["covariates"] == ("sex", *axes)
    assert plan.step("model").parameters["background"] == axes
    stratum = "stratum" if components else ""
    assert plan.step("quality").parameters["stratum"] == stratum
    if components:
        assert plan.step("components").keeps == axes
        assert plan.step("strata").keeps == ("stratum",)


def test_an_external_site_is_in_no_number_of_the_plan_but_its_own_line() -> None:
    plan = plan_of(study(2, external=("b",)))
    assert plan.training == ("a", "c", "d")
    assert plan.people == 270
    sizes = {s.parameters["people"] for s in plan.steps if "people" in s.parameters}
    assert sizes == {270}
    larger = tuple(replace(m, people=5000) if m.external else m for m in plan.members)
    again = compile_plan(study(2, external=("b",)), LISTED, larger)
    assert again.steps == plan.steps
    assert again.digest() != plan.digest()


def test_folds_are_the_sites_that_train_where_each_is_held_out() -> None:
    plan = plan_of(study(external=("d",), hold_out=True))
    assert (plan.fold_by, plan.folds) == ("site", 3)
    folds = {s.parameters["folds"] for s in plan.steps if "folds" in s.parameters}
    assert folds == {3}
    assert plan.study["validation"]["reason"] == "to see"
    by_person = plan_of(study(folds=5))
    assert (by_person.fold_by, by_person.folds) == ("person", 5)


def test_groups_of_an_audit_are_asked_for_where_the_model_is_judged_and_nowhere_else() -> None:
    plan = plan_of(study(audit=Audit(("sex", "smoker"), MARGINS)))
    asked = {s.name: s.parameters["groups"] for s in plan.steps if "groups" in s.parameters}
    both = ("sex", "smoker")
    assert asked == {"performance": both, "single": (), "recalibration": both}


def test_the_public_study_has_no_path() -> None:
    assert "nowhere" not in str(public_study(study()))
    assert public_study(study())["id"] == "made-up"


PLACES = st.lists(
    st.tuples(st.sampled_from(["1", "2", "X"]), st.integers(1, 3_000_000)), min_size=1, max_size=40
)


@given(PLACES, st.sampled_from([WINDOW, 1_000_000]))
def test_windows_tile_the_list(places: list[tuple[str, int]], width: int) -> None:
    places = sorted(places)
    starts, tiles = windows(listed(places), width)
    assert (starts[0], starts[-1]) == (0, len(places))
    assert all(a < b for a, b in pairwise(starts))
    own = [places[a:b] for a, b in pairwise(starts)]
    where = [{(chromosome, position // width) for chromosome, position in part} for part in own]
    assert all(len(part) == 1 for part in where)
    assert len(set.union(*where)) == len(where) == len(tiles)
    for (one,), (other,), apart in zip(where[:-1], where[1:], np.diff(tiles), strict=True):
        if one[0] == other[0]:
            assert apart == other[1] - one[1]
        else:
            assert apart > GAP
