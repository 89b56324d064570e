"""A small study of a few sites, built in memory.

`Federation` has everything that a run has but files of genotypes: rosters, keys, ledgers,
journals and the compiled plan.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import equipoise
from equipoise.analyses.contributions import columns as contributions
from equipoise.consent.terms import Purpose
from equipoise.federation import budget, registry
from equipoise.federation.desk import Desk
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.journal import Journal
from equipoise.federation.people import Dataset, People
from equipoise.federation.roster import Register
from equipoise.federation.run import Centre, Run
from equipoise.federation.site import Site
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.retraced import Retraced
from equipoise.packed.decode import encode
from equipoise.plan import VERSION, Literal, Member, Parameter, Plan, Ref, Step
from equipoise.study.records import (
    Covariates,
    Person,
    Protection,
    SiteFiles,
    Study,
    Trait,
    Validation,
    VariantList,
)
from equipoise.transport import Transport
from equipoise.transports.local import LocalTransport

N_VARIANTS = 60
NEWTON = 8
SPACING = 8_000
WINDOWS = (0, 13, 25, 38, 50, 60)
"""Where tiles of 100,000 base pairs begin, and the end."""

K = 5
ROSTER_K = 10
FOLDS = 3
"""The fewest that leave people to train on where two are left out together."""

PRIVACY = {"epsilon": 1e7, "delta": 1e-6, "shares": {"association": 4.0}}
"""So much may be spent that totals are nearly exact: what is tested is who counts and refuses."""

STRONG = 33
PEOPLE = 36
REFUSED = 6
ADMITTED = PEOPLE - REFUSED

LISTED = Variants.of(
    pl.DataFrame(
        [("22", 1 + SPACING * i, "A", "G") for i in range(N_VARIANTS)],
        schema=dict.fromkeys(HEADER, pl.String) | {HEADER[1]: pl.Int64},
        orient="row",
    )
)

Frames = list[bytes]
Steward = Callable[[Plan], None]


class InMemory:
    """A block source that was never a file."""

    def __init__(self, dosage: NDArray[np.float64]) -> None:
        self.block = encode(dosage)
        self.n_variants, self.n_samples = dosage.shape

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.block[start:stop]


@cache
def dataset(place: int, people: int) -> Dataset:
    """Return the people of one site: one strong variant, some missing calls, some refused."""
    draw = np.random.default_rng(place)
    frequency = np.linspace(0.25, 0.5, N_VARIANTS)
    dosage = draw.binomial(2, frequency[:, None], (N_VARIANTS, people)).astype(np.float64)
    trait = np.where(draw.random(people) < 0.1, dosage[STRONG] == 0, dosage[STRONG] > 0)
    dosage[draw.random(dosage.shape) < 0.02] = np.nan
    reasons = tuple("withdrawn" if i < REFUSED else None for i in range(people))
    columns = {
        "trait": trait.astype(np.float64),
        "sex": draw.integers(0, 2, people).astype(np.float64),
    }
    ids = tuple(f"{place}-{i}" for i in range(people))
    return Dataset(InMemory(dosage), ids, reasons, columns)


def study_of(
    names: Iterable[str],
    kind: str,
    folds: int,
    *,
    external: Iterable[str] = (),
    hold_out: str | None = None,
    lost_site: str = "end",
) -> Study:
    """Return the study that all parties were given; `hold_out` is the reason for it."""
    nowhere = Path("nowhere")
    outside = set(external)
    sites = tuple(SiteFiles(n, nowhere, nowhere, nowhere, n in outside) for n in names)
    if hold_out is not None:
        folds = sum(not site.external for site in sites)
    return Study(
        id="made-up",
        question="Does it hold?",
        purpose=Purpose("HMB"),
        as_of=date(2024, 1, 1),
        seed=7,
        people=(Person("N. N.", "principal investigator", "n@example.org"),),
        trait=Trait("trait", "binary"),
        covariates=Covariates(("sex",)),
        variants=VariantList(nowhere, "GRCh37"),
        sites=sites,
        protection=Protection(kind, lost_site),
        validation=Validation(folds, hold_out is not None, hold_out or ""),
    )


def public(study: Study) -> dict[str, Any]:
    return {**study.public(), "id": study.id}


def plan_of(study: Study, members: tuple[Member, ...], *, calibrated: bool = False) -> Plan:
    """Return a plan of its own, with a step of each kind that a gate meets.

    One that counts, one in blocks, one by fold, one within the column budget whose columns
    are kept, and one with figures by site. With `calibrated`, also those that make a score.
    """
    validation = study.validation
    return Plan(
        version=VERSION,
        package=equipoise.__version__,
        sources=registry.sources(),
        study=public(study),
        variants=LISTED.digest().hex(),
        n_variants=N_VARIANTS,
        members=members,
        protection=study.protection.kind,
        seed=study.seed,
        folds=validation.folds,
        k=K,
        roster_k=ROSTER_K,
        steps=_steps(members, validation, calibrated, study.protection.kind),
        fold_by=validation.fold_by,
        lost_site=study.protection.lost_site,
        privacy=PRIVACY if study.protection.kind == "noise" else None,
    )


def _steps(
    members: tuple[Member, ...], validation: Validation, calibrated: bool, kind: str
) -> tuple[Step, ...]:
    people = sum(member.people for member in members if not member.external)
    smallest = budget.people_of_smallest(members, validation.folds, validation.fold_by)
    trait: dict[str, Literal] = {"people": people, "trait": "trait"}
    sizes: dict[str, Literal] = {"people": people, "folds": validation.folds}
    terms: dict[str, Literal] = {"covariates": ("sex",), "bounds": (1.0,)}
    listed: dict[str, Literal] = {"people": people, "n_variants": N_VARIANTS}
    counts: dict[str, Parameter] = {"frequencies": Ref("frequency")}
    nets: dict[str, Parameter] = {
        "windows": WINDOWS,
        "columns": min(16, budget.allowed_columns(smallest)),
        "counted": budget.people_outside(members) / people,
        "threshold": 5.45,  # p = 5e-8
        "penalties": (0.1, 0.1),
        "background": (),
        "census": Ref("census"),
        "quality": Ref("quality"),
        "association": Ref("association"),
    }
    quality: dict[str, Literal] = {"strata": 1, "stratum": ""}
    frequency: dict[str, Literal] = {"floor": 10, "least_called": people // 2}
    performance: dict[str, Literal] = {"bins": max(2, people // 10), "k": K, "floor": 10}
    return (
        Step("census", "census", {**sizes, **trait, "least": ROSTER_K, "k": K}),
        Step("frequency", "frequency", {**listed, **frequency}),
        Step("quality", "hardy", {**listed, **trait, **counts, **quality}),
        Step("association", "linear", {**sizes, **terms, **listed, **trait, **counts}),
        Step(
            "model", "elastic_net", {**sizes, **trait, **terms, **counts, **nets}, keeps=("single",)
        ),
        *(_calibration({**sizes, **trait, **counts}) if calibrated else ()),
        Step(
            "performance",
            "performance",
            {**trait, **performance, "score": "single", "span": 0.5, "calibrated": False},
            rounds=3,
            figures=kind != "noise",
        ),
    )


def _calibration(common: Mapping[str, Parameter]) -> tuple[Step, ...]:
    """Return the steps from nets to a score."""
    known: dict[str, Parameter] = {**common, "covariates": ("sex",), "nets": Ref("model")}
    calibration: dict[str, Parameter] = {
        "rounds": NEWTON,
        "background": (),
        "tiles": tuple(range(len(WINDOWS) - 1)),
        "loci": 2,
        "tuned": Ref("tuning"),
    }
    kept = ("score", "logit", "probability", "predicted", *contributions(2))
    return (
        Step("tuning", "tuning", {**known, "penalties": 1}),
        Step("calibration", "calibration", {**known, **calibration}, NEWTON, kept),
    )


@dataclass
class Federation:
    """All parties of a study, each with its own keys, people, journal and ledger."""

    root: Path
    study: Study
    identities: dict[str, Identity]
    peers: Peers
    sites: dict[str, Site] = field(default_factory=dict[str, Site])
    desks: dict[str, Desk] = field(default_factory=dict[str, Desk])
    people: dict[str, People] = field(default_factory=dict[str, People])
    calibrated: bool = False
    lasting: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.sites))

    @property
    def variants(self) -> str:
        return LISTED.digest().hex()

    @property
    def public(self) -> dict[str, Any]:
        return public(self.study)

    def compiled(self, members: tuple[Member, ...]) -> Plan:
        return plan_of(self.study, members, calibrated=self.calibrated)

    def entries(self, name: str) -> list[Entry]:
        return list(self.desks[name].ledger.entries())

    def kinds(self, name: str) -> list[str]:
        return [entry.kind for entry in self.entries(name)]

    def run(
        self, over: Callable[[Transport], Transport] = lambda local: local
    ) -> tuple[Run, Log, dict[str, Mapping[str, Any]]]:
        """Run the study with the honest centre, over the local transport or one around it."""
        log = Log.create(self.root / "ledger", "equipoise/made-up/centre", self._key(CENTRE))
        handles = {name: site.handle for name, site in self.sites.items()}
        transport = over(LocalTransport(handles))
        try:
            identity = self.identities[CENTRE]
            centre = Centre(identity, self.peers, transport, log, self.compiled, {})
            done = centre.run(self.public, self.variants)
            return done, log, centre.close(done)
        finally:
            transport.close()

    def start(self, name: str, steward: Steward) -> None:
        """Give a site its desk: a new one, or the one that it had before it was stopped."""
        output, origin = self.root / "sites" / name, f"equipoise/made-up/{name}"
        again = (output / "ledger").exists()
        log = (Retraced.open if again else Retraced.create)(
            output / "ledger", origin, self._key(name)
        )
        if again:
            log.retrace(("release", "refusal"))
        self.desks[name] = Desk(
            identity=self.identities[name],
            peers=self.peers,
            study=self.public,
            variants=self.variants,
            publics={},
            approve=steward,
            journal=Journal(self.root / "journals" / name, lasting=self.lasting),
            ledger=log,
        )
        self.sites[name] = Site(self.people[name], self.desks[name], output)
        if self.lasting:
            self.sites[name].resume()

    def restart(self, name: str) -> None:
        """Stop a site and start it again, with its files and nothing else."""
        self.desks[name].ledger.close()
        old = self.people[name]
        rules = old.seed, old.folds, old.k, old.least
        self.people[name] = People(old.dataset, old.register, *rules)
        self.start(name, self.desks[name].approve)

    def close(self) -> None:
        for desk in self.desks.values():
            desk.ledger.close()

    def _key(self, name: str) -> Any:
        return self.identities[name].signing


def build(
    root: Path,
    *,
    kind: str = "masked",
    n_sites: int = 4,
    people: int | None = None,
    steward: Steward | None = None,
    external: Iterable[str] = (),
    hold_out: str | None = None,
    calibrated: bool = False,
    lost_site: str = "end",
    lasting: bool = False,
) -> Federation:
    """Return a federation; without a `steward`, every site compiles the plan itself.

    Where few sites share the folds, each has more people, unless a number is given. Under
    noise no site publishes figures.
    """
    people = people or PEOPLE * (2 if n_sites < 3 else 1)
    names = [f"s{i}" for i in range(n_sites)]
    rules = {"external": external, "hold_out": hold_out, "lost_site": lost_site}
    study = study_of(names, kind, FOLDS, **rules)  # pyright: ignore[reportArgumentType]  by name
    identities = {name: Identity.create(name) for name in [*names, CENTRE]}
    peers = Peers({name: identity.signing_key for name, identity in identities.items()})
    made = Federation(root, study, identities, peers, calibrated=calibrated, lasting=lasting)

    def compiles(plan: Plan) -> None:
        if made.compiled(plan.members).digest() != plan.digest():
            raise registry.ProtocolError("the plan is not the one that follows from the study")

    for place, name in enumerate(names):
        own = People(
            dataset(place, people),
            Register(root / "homes" / name, ROSTER_K),
            study.seed,
            study.validation.folds,
            K,
            ROSTER_K,
        )
        made.people[name] = own
        made.start(name, steward or compiles)
    return made


def scores(federation: Federation, name: str) -> list[tuple[float, int]]:
    """Return score and fold of each person of a site, as it keeps them."""
    people = federation.people[name]
    return list(zip(people.kept["score"].tolist(), people.cohort.fold.tolist(), strict=True))


def scored(federation: Federation, name: str, done: Run, row: int) -> NDArray[np.float64]:
    """Return what one row of the published model says of each person of a site.

    Row 0 is the model of everybody, row f + 1 the one that never saw fold f. It is worked out
    from published numbers and the site's own columns, person by person.
    """
    nets, counts, tuned = (done.results[n] for n in ("model", "frequency", "tuning"))
    cohort = federation.people[name].cohort
    weights = nets.weights[row, row, tuned.choice[row]]
    assert tuned.choice[row] >= 0
    assert weights.any()
    a, b = tuned.weights[row]
    slope = done.results["calibration"].coefficients[row, 1] / tuned.scale[row]
    found: list[float] = []
    dosage, sex = cohort.dosage_at(nets.variants), cohort.column("sex")
    for person in range(cohort.n):
        g = dosage[:, person] - counts.mean_at(nets.variants)
        net = weights[~np.isnan(g)] @ g[~np.isnan(g)]
        other = nets.covariates[row, row, 0] * (sex[person] - nets.means[0])
        found.append(slope * (a * net + b * other))
    return np.array(found)
