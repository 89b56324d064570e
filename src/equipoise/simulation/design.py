"""What is to be simulated, checked before anything is."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from equipoise.errors import InputError, Problem
from equipoise.simulation.demography import AMR, POPULATIONS

Model = Literal["coalescent", "random"]
Kind = Literal["quantitative", "binary", "null"]

SPACING: Final = 1500
"""Bases for each written variant where no length is given: twice as many variants as needed
have a minor allele frequency of 1 % in one of the populations."""

SHORTEST: Final = 100_000
_LONGEST: Final = 250_000_000
_NAME: Final = "^[A-Za-z][A-Za-z0-9_]{0,31}$"
_RESERVED: Final = ("IID", "FID", "age", "sex", "site", "population")


@dataclass(frozen=True, slots=True)
class Trait:
    """A trait and its truth.

    h2           share of the variance that is genetic within a population, beyond covariates;
                 of the liability where the trait is binary
    causal       number of causal variants
    correlation  of an allele's effects in two populations
    alpha        the variance of an allele's effect is proportional to (2p(1 - p))**alpha: at 0
                 all alleles have like effects, at -1 all variants explain as much. Schoech et
                 al. 2019 (doi:10.1038/s41467-019-08424-6) found -.38 over 25 traits
    prevalence   of a binary trait, over all people
    A null trait has no causal variant: its h2 and causal are not used.
    """

    name: str
    kind: Kind = "quantitative"
    h2: float = 0.5
    causal: int = 100
    correlation: float = 0.85
    alpha: float = -0.5
    prevalence: float = 0.1

    @property
    def n_causal(self) -> int:
        """Number of causal variants, 0 for a null trait."""
        return 0 if self.kind == "null" else self.causal


TRAITS: Final = (Trait("trait"), Trait("disease", "binary"), Trait("nothing", "null"))


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that a simulation depends on; the same design gives the same files.

    people             how many of each population, by name
    variants           written to the files, over all chromosomes
    model              `coalescent`: a history of populations, with linkage disequilibrium;
                       `random`: independent variants in Hardy-Weinberg proportions, no history
    length             bases of each chromosome; None: `SPACING` for each variant
    maf, maf_everywhere  the least minor allele frequency in one, or in every population
    amr                shares of AFR, EUR and EAS in AMR
    fst                of each population from their common ancestor, `random` only
    sites              number of sites, each with its share of every population;
                       None: a site for each population
    relatives          pairs, in turn a parent with a child and two full sibs, at one site
    untyped            whether causal variants are left out of the files
    missing            share of calls that are missing
    batch_missing      share missing, beyond that, at 5 % of a site's variants in a quarter of
                       its people
    swapped, flipped   shares of variants whose alleles change places, or are named on the other
                       strand, at every site but the first
    site_effect        SD of the sites' means of a trait, in SD of the trait without it
    population_effect  the same of the populations' means, from no genetic cause
    age_effect         SD of the part of a trait that age causes
    sex_effect         difference between men and women in SD
    """

    people: tuple[tuple[str, int], ...]
    variants: int
    seed: int
    model: Model = "coalescent"
    chromosomes: int = 22
    length: int | None = None
    maf: float = 0.01
    maf_everywhere: bool = False
    amr: tuple[tuple[str, float], ...] = tuple(AMR.items())
    fst: float = 0.1
    sites: int | None = 4
    relatives: int = 0
    untyped: bool = False
    missing: float = 0.0
    batch_missing: float = 0.0
    swapped: float = 0.0
    flipped: float = 0.0
    site_effect: float = 0.1
    population_effect: float = 0.0
    age_effect: float = 0.2
    sex_effect: float = 0.2
    traits: tuple[Trait, ...] = TRAITS

    @property
    def n_people(self) -> int:
        """Number of people written."""
        return sum(n for _, n in self.people)

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations."""
        return tuple(name for name, _ in self.people)

    @property
    def site_names(self) -> tuple[str, ...]:
        """Names of the sites, which are their folders."""
        if self.sites is None:
            return self.populations
        return tuple(f"site-{i + 1}" for i in range(self.sites))

    @property
    def hidden(self) -> int:
        """Number of causal variants that the files do not have."""
        return sum(trait.n_causal for trait in self.traits) if self.untyped else 0

    @property
    def bases(self) -> int:
        """Length of each chromosome."""
        if self.length is not None:
            return self.length
        return max(SHORTEST, SPACING * -(-(self.variants + self.hidden) // self.chromosomes))

    def content(self) -> dict[str, Any]:
        """Return all of it, for a record."""
        named = {"people": dict(self.people), "amr": dict(self.amr), "bases": self.bases}
        return {**asdict(self), **named, "traits": [asdict(trait) for trait in self.traits]}

    def check(self) -> None:
        """Raise InputError with all that cannot be simulated, and what to give instead."""
        problems = [*_people(self), *_genomes(self), *_shares(self), *_traits(self)]
        if problems:
            raise InputError(problems)


def _wrong(option: str, found: str, expected: str, remedy: str) -> Problem:
    return Problem(option, None, found, expected, remedy)


def _people(design: Design) -> Iterable[Problem]:
    names = design.populations
    if not names:
        yield _wrong("--people", "nobody", "such as EUR=2000,AFR=500", "name a population")
    if len(set(names)) < len(names):
        yield _wrong("--people", "a population twice", "each once", "add the two numbers up")
    if any(n < 2 for _, n in design.people):
        expected = "2 at least, to have a variance"
        yield _wrong(
            "--people", "fewer than 2 of a population", expected, "give more, or leave it out"
        )
    strange = [name for name in names if name not in POPULATIONS]
    if design.model == "coalescent" and strange:
        remedy = "take one of these, or `--model random`, which takes any name"
        yield _wrong("--people", f"`{strange[0]}`", " ".join(POPULATIONS), remedy)
    elif any(not re.match(_NAME, name) for name in names):
        remedy = "rename it: it becomes a folder and a column"
        yield _wrong("--people", "a name of another form", "letters and digits", remedy)
    if design.sites is not None and design.sites < 1:
        yield _wrong("--sites", f"{design.sites}", "1 at least", "give a number of sites")
    if design.sites is not None and 2 * design.sites > design.n_people:
        remedy = "take fewer sites or more people"
        yield _wrong("--sites", f"{design.sites} for {design.n_people} people", "two each", remedy)
    yield from _relatives(design)


def _relatives(design: Design) -> Iterable[Problem]:
    if design.relatives < 0:
        yield _wrong("--relatives", f"{design.relatives}", "0 or more", "give a number of pairs")
    elif design.relatives and design.model == "random":
        remedy = "take `--model coalescent`"
        found = "relatives among independent variants"
        yield _wrong("--relatives", found, "0: that model has no haplotypes", remedy)
    elif 4 * design.relatives > design.n_people:
        expected = f"{design.n_people // 4} at most: half of all people"
        found = f"{design.relatives} pairs of {design.n_people} people"
        yield _wrong("--relatives", found, expected, "ask for fewer pairs or more people")


def _genomes(design: Design) -> Iterable[Problem]:
    if design.model not in get_args(Model):
        yield _wrong("--model", f"`{design.model}`", "coalescent or random", "take one of the two")
    if not 0 <= design.seed < 2**63:
        yield _wrong("--seed", f"{design.seed}", "0 to 2**63 - 1", "give another")
    if not 1 <= design.chromosomes <= 22:
        remedy = "give a number of autosomes"
        yield _wrong("--chromosomes", f"{design.chromosomes}", "1 to 22", remedy)
    elif design.variants < design.chromosomes:
        remedy = "ask for more variants or fewer chromosomes"
        expected = f"one for each of the {design.chromosomes} chromosomes at least"
        yield _wrong("--variants", f"{design.variants}", expected, remedy)
    elif not SHORTEST <= design.bases <= _LONGEST:
        expected = f"{SHORTEST:,} to {_LONGEST:,} bases a chromosome"
        remedy = "give another --length, or ask for fewer variants on more chromosomes"
        yield _wrong("--length", f"{design.bases:,}", expected, remedy)
    elif design.model == "random" and design.bases <= 2 * design.variants // design.chromosomes:
        remedy = "give a greater --length, or none"
        yield _wrong("--length", f"{design.bases:,}", "two bases for each variant", remedy)
    if not 0 < design.maf < 0.5:
        yield _wrong("--maf", f"{design.maf}", "above 0 and below .5", "give another")
    if not 0 < design.fst < 1:
        yield _wrong("--fst", f"{design.fst}", "above 0 and below 1", "give another")
    if design.untyped and design.model == "random":
        remedy = "take `--model coalescent`"
        expected = "typed ones: nothing would be correlated with a causal variant"
        yield _wrong("--untyped", "untyped among independent variants", expected, remedy)


def _shares(design: Design) -> Iterable[Problem]:
    shares = dict(design.amr)
    strange = set(shares) - set(AMR) or any(not 0 <= share <= 1 for share in shares.values())
    if strange or abs(sum(shares.values()) - 1) > 1e-9:
        remedy = "give shares such as AFR=.1,EUR=.6,EAS=.3"
        yield _wrong("--amr", "other shares", "AFR, EUR and EAS that add up to 1", remedy)
    for option in ("missing", "batch_missing", "swapped", "flipped"):
        share = getattr(design, option)
        if not 0 <= share <= 0.9:
            name = "--" + option.replace("_", "-")
            yield _wrong(name, f"{share}", "0 to .9", "give a share, such as .005")
    for option in ("site_effect", "population_effect", "age_effect", "sex_effect"):
        effect = getattr(design, option)
        if not 0 <= effect <= 10:
            name = "--" + option.replace("_", "-")
            yield _wrong(name, f"{effect}", "0 to 10 SD", "give a number of SD, such as .2")


def _traits(design: Design) -> Iterable[Problem]:
    names = [trait.name for trait in design.traits]
    if len(set(names)) < len(names):
        yield _wrong("--trait", "a name twice", "each once", "rename one of the two")
    for trait in design.traits:
        at = f"--trait {trait.name}"
        if not re.match(_NAME, trait.name) or trait.name in _RESERVED:
            remedy = "rename it: it becomes a column"
            yield _wrong("--trait", "a name of another form or use", "letters and digits", remedy)
        if trait.kind not in get_args(Kind):
            expected = " or ".join(get_args(Kind))
            yield _wrong(at, f"`{trait.kind}`", expected, "take one of these")
        if not 0 <= trait.h2 < 1:
            yield _wrong(at, f"h2 {trait.h2}", "0 to below 1", "give another")
        if trait.kind != "null" and not 1 <= trait.causal <= design.variants:
            expected = f"1 to {design.variants}, the variants written"
            yield _wrong(at, f"{trait.causal} causal variants", expected, "give another `causal`")
        if not 0 <= trait.correlation <= 1:
            yield _wrong(at, f"correlation {trait.correlation}", "0 to 1", "give another")
        if not -2 <= trait.alpha <= 1:
            yield _wrong(at, f"alpha {trait.alpha}", "-2 to 1", "give another, such as -.38")
        if trait.kind == "binary" and not 2 <= trait.prevalence * design.n_people < design.n_people:
            expected = "two cases or more, and controls"
            yield _wrong(at, f"prevalence {trait.prevalence}", expected, "give another")
