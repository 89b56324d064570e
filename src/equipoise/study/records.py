"""What a study file says, as frozen records."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from equipoise.consent.terms import Purpose


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
    """How sums leave a site: clear or masked."""

    kind: str = "masked"


@dataclass(frozen=True, slots=True)
class Validation:
    """Folds over people, and whether each site is held out in turn, with the reason."""

    folds: int = 5
    hold_out_each_site: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """Columns to compare groups by, and the largest gap that is held to be none, by metric."""

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
            "protection": asdict(self.protection),
            "validation": asdict(self.validation),
            "audit": self.audit
            and {"groups": list(self.audit.groups), "margins": dict(self.audit.margins)},
        }
