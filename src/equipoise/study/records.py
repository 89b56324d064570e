"""What a study file says, as frozen records."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from equipoise.consent.terms import Purpose

MARGINS: Final[Mapping[str, float]] = {
    "auc": 0.05,
    "o_e": 0.2,
    "calibration_slope": 0.2,
}
"""Metrics of an audit, and the margin of each where the study file gives none.

That of `o_e`, observed over expected cases, is a difference of logarithms.
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who answers for the study."""

    name: str
    role: str
    contact: str


@dataclass(frozen=True, slots=True)
class Trait:
    """The column to predict; `type` is binary or quantitative."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Covariates:
    """Columns of the phenotype table, and how many principal components."""

    columns: tuple[str, ...] = ()
    components: int = 0


@dataclass(frozen=True, slots=True)
class VariantList:
    """The public list of variants and the genome build of its positions."""

    list: Path
    build: str


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """One site and where its files are; an external site never trains."""

    name: str
    genotypes: Path
    phenotypes: Path
    consents: Path
    external: bool = False


@dataclass(frozen=True, slots=True)
class Protection:
    """How sums leave a site, and whether a run ends where a site is lost.

    epsilon, delta  of noise: what one run may spend
    study_epsilon   what all runs of the study may spend together, at the same delta
    shares          of noise: the part of each step of the budget, beside others'
    keeper          of encrypted sums: who keeps the keys
    """

    kind: str = "masked"
    lost_site: str = "end"
    epsilon: float = 0.0
    delta: float = 0.0
    study_epsilon: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    keeper: str = ""

    @property
    def privacy(self) -> dict[str, object] | None:
        """What a plan says of its privacy budget; None without noise."""
        if self.kind != "noise":
            return None
        budget = {"epsilon": self.epsilon, "delta": self.delta}
        return {**budget, "study_epsilon": self.study_epsilon, "shares": dict(self.shares)}

    def public(self) -> dict[str, object]:
        """Give what everybody may see: what this kind of protection does not have is left out."""
        said: dict[str, object] = {"kind": self.kind, "lost_site": self.lost_site}
        return {**said, **(self.privacy or {}), **({"keeper": self.keeper} if self.keeper else {})}


@dataclass(frozen=True, slots=True)
class Validation:
    """Folds over people, and whether each site is held out in turn, with the reason.

    Where it is, the folds are the sites that train, and `folds` is their number.
    """

    folds: int = 5
    hold_out_each_site: bool = False
    reason: str = ""

    @property
    def fold_by(self) -> str:
        """What puts people into folds: "person", by chance, or "site"."""
        return "site" if self.hold_out_each_site else "person"


@dataclass(frozen=True, slots=True)
class Audit:
    """Two-valued columns to compare groups by, and the largest gap that counts as none.

    `margins` has every metric of `MARGINS`.
    """

    groups: tuple[str, ...]
    margins: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Study:
    """All that a study file says."""

    id: str
    question: str
    purpose: Purpose
    as_of: date
    seed: int
    people: tuple[Person, ...]
    trait: Trait
    covariates: Covariates
    variants: VariantList
    sites: tuple[SiteFiles, ...]
    protection: Protection = Protection()
    validation: Validation = Validation()
    audit: Audit | None = None

    @property
    def trains(self) -> bool:
        """Whether the study trains a model: under noise it counts and scans, and no more."""
        return self.protection.kind != "noise"

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is needed besides the trait: covariates, then groups of the audit."""
        groups = self.audit.groups if self.audit else ()
        return tuple(dict.fromkeys((*self.covariates.columns, *groups)))

    def public(self) -> dict[str, object]:
        """Give what everybody may see, for JSON and for hashing; it holds no path."""
        head = {"id": self.id, "question": self.question, "purpose": str(self.purpose)}
        return {
            "study": {**head, "as_of": self.as_of.isoformat(), "seed": self.seed},
            "people": [asdict(person) for person in self.people],
            "trait": asdict(self.trait),
            "covariates": {
                "columns": list(self.covariates.columns),
                "components": self.covariates.components,
            },
            "variants": {"build": self.variants.build},
            "sites": [{"name": site.name, "external": site.external} for site in self.sites],
            "protection": self.protection.public(),
            "validation": self._validation(),
            "audit": self.audit
            and {"groups": list(self.audit.groups), "margins": dict(self.audit.margins)},
        }

    def _validation(self) -> dict[str, object]:
        """Give how the model is validated; where there is none there are no folds to speak of."""
        said = asdict(self.validation)
        return said if self.trains else {k: v for k, v in said.items() if k != "folds"}
