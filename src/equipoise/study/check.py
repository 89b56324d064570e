"""What a study would let out, known before it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError
from equipoise.federation import agreement, budget, costs, registry
from equipoise.federation.budget import Disclosure
from equipoise.federation.load import Loaded
from equipoise.federation.roster import Register, Roster, folds_of, make_roster, published_counts
from equipoise.federation.spent import Spent
from equipoise.plan import Member, Plan
from equipoise.study.compile import ROSTER_K, K, compile_plan
from equipoise.study.inputs import Inputs, read_inputs
from equipoise.study.records import Study
from equipoise.study.sections.numbers import few
from equipoise.sums import add, decode, encode


@dataclass(frozen=True, slots=True)
class Held:
    """What a site's files hold.

    variants           of the public list
    swapped            those among them that count the other allele, and are flipped
    absent             of the list, and taken as not called
    without_genotypes  rows of phenotypes for nobody in the genotypes, which are left
                       out; None stands for 1 to 4
    other_strand       those whose alleles are named on the other strand, and are translated
    palindromic_by_frequency  those A/T and C/G whose strand their frequency told
    palindromic_dropped       those A/T and C/G among the absent whose strand nothing told
    duplicates_sought  whether there are variants enough to tell people sampled twice
    """

    variants: int
    swapped: int
    absent: int
    without_genotypes: int | None
    other_strand: int = 0
    palindromic_by_frequency: int = 0
    palindromic_dropped: int = 0
    duplicates_sought: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """A study without problems: who takes part and what would leave.

    files    for each site what its files hold of the list and of each other
    rosters  for each site how its roster stands to the earlier ones in its register
    privacy  what the noise costs and comes to (`reviewing.privacy`); None without noise
    spent    for each site what earlier runs of the study have spent of its budget
    """

    study: Study
    people: Mapping[str, Mapping[str, object]]
    files: Mapping[str, Held]
    notes: tuple[str, ...]
    disclosure: Disclosure
    rosters: Mapping[str, str]
    privacy: Mapping[str, Any] | None = None
    spent: Mapping[str, str] = field(default_factory=dict[str, str])


def check(path: Path, homes: Path | None = None) -> Checked:
    """Return what the study of a study file would let out; nothing leaves for that.

    Raises InputError with every problem of every file, and DisclosureError where the
    plan, or a site's roster, would be refused.
    """
    inputs = read_inputs(path)
    rosters = {
        name: make_roster(loaded.dataset.ids, loaded.dataset.reasons)
        for name, loaded in sorted(inputs.loaded.items())
    }
    for name, roster in rosters.items():
        if roster.n < ROSTER_K:
            raise DisclosureError(
                f"site {name} refuses: fewer than {ROSTER_K} people are admitted there"
            )
    external = {site.name for site in inputs.study.sites if site.external}
    members = tuple(Member(n, "", "", roster.n, n in external) for n, roster in rosters.items())
    name = inputs.study.protection.keeper
    keeper = {"name": name, "signing_key": ""} if name else None
    plan = compile_plan(inputs.study, inputs.variants, members, keeper)
    agreement.check_protection(plan)
    found = budget.disclosure(plan, registry.build)
    budget.check(plan, found)
    _count(plan, [_cohort(inputs, plan, m, rosters[m.name]) for m in members if not m.external])
    return Checked(
        inputs.study,
        {name: published_counts(roster, K) for name, roster in rosters.items()},
        {name: _held(loaded) for name, loaded in sorted(inputs.loaded.items())},
        _notes(inputs),
        found,
        {name: _stands(homes, name, roster) for name, roster in rosters.items()},
        costs.told(plan),
        {name: Spent(homes / name).told(plan) for name in rosters} if homes else {},
    )


def _cohort(inputs: Inputs, plan: Plan, member: Member, roster: Roster) -> Cohort:
    data = inputs.loaded[member.name].dataset
    columns = {name: column[roster.rows] for name, column in data.columns.items()}
    fold = folds_of(roster.ids, plan, member)
    return Cohort(data.genotypes, roster.rows, columns, fold)


def _count(plan: Plan, cohorts: Sequence[Cohort]) -> None:
    """Take the plan's census here, to raise now what would end the run after it."""
    census = registry.build(plan.steps[0], None)
    state = census.start()
    schema = census.schema(state)
    answers = [
        [encode(b, s, cohort.n) for b, s in zip(schema.blocks, sums, strict=True)]
        for cohort in cohorts
        for sums in [census.summarise(cohort, state)]
    ]
    totals = zip(schema.blocks, add(schema, answers), strict=True)
    census.advance(state, [decode(block, total) for block, total in totals])


def _held(loaded: Loaded) -> Held:
    found = loaded.alignment
    return Held(
        variants=found.used,
        swapped=found.swapped,
        absent=found.absent,
        without_genotypes=few(loaded.unknown_phenotypes, K),
        other_strand=found.other_strand,
        palindromic_by_frequency=found.palindromic_by_frequency,
        palindromic_dropped=found.palindromic_dropped,
        duplicates_sought=loaded.duplicates_sought,
    )


def _notes(inputs: Inputs) -> tuple[str, ...]:
    return tuple(sorted({note for loaded in inputs.loaded.values() for note in loaded.notes}))


def _stands(homes: Path | None, name: str, roster: Roster) -> str:
    """Say how a roster stands to earlier ones; DisclosureError where it is too near."""
    # A register without its key has nothing in it; to open it would make one.
    if homes is None or not (homes / name / "register.key").exists():
        return "no earlier roster"
    earlier = Register(homes / name, ROSTER_K).compare(roster)
    if not earlier:
        return "no earlier roster"
    least = min(earlier)
    return f"{len(earlier)} earlier, " + (
        "equal to one of them" if least == 0 else f"the nearest {ROSTER_K} or more people apart"
    )
