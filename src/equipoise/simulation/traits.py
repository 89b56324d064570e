"""Traits of simulated people: genetic values from causal variants, and what is added to them.

    y = genetic value + environment + age + sex + site + population

Within each population the genetic value has mean 0 and variance h2, the environment variance
1 - h2, so h2 is the heritability beyond the covariates. The means of populations differ by
`population_effect` alone: no difference between populations is genetic here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from equipoise.packed.decode import Block, decode
from equipoise.simulation.design import Design, Trait
from equipoise.simulation.roster import Roster

Values = NDArray[np.float64]

_MEAN_AGE: Final = 55.0
_SD_AGE: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One trait of everybody, and its truth.

    value      (people,) what the tables have: 0 or 1 where binary
    genetic    (people,) genetic value
    effects    (causal variants, populations) of an allele, on the scale of `genetic`
    reached    heritability in each population, by the variances of the people made
    prevalence of a binary trait among all people and at each site, else empty
    """

    trait: Trait
    value: Values = field(repr=False)
    genetic: Values = field(repr=False)
    effects: Values = field(repr=False)
    reached: Values
    prevalence: Values


def ages(design: Design, n: int) -> NDArray[np.int64]:
    """Return whole years, normal about 55 with SD 10, from 20 to 90."""
    drawn = np.random.default_rng([design.seed, 5]).normal(_MEAN_AGE, _SD_AGE, n)
    return np.clip(np.rint(drawn), 20, 90).astype(np.int64)


def effects(trait: Trait, frequency: Values, rng: np.random.Generator) -> Values:
    """Return the effect of an allele in each population, unscaled, (variants, populations).

    frequency  (variants, populations) of the effect allele

    Normal, with the trait's correlation between any two populations, times
    (2p(1 - p))**(alpha / 2) with p the mean over populations; times 1 where nobody has the one
    allele or the other, as happens to rare ones in small samples.
    """
    mean = frequency.mean(axis=1)
    heterozygosity = 2 * mean * (1 - mean)
    heterozygosity[heterozygosity == 0] = 1.0
    shared = rng.normal(size=(len(mean), 1))
    own = rng.normal(size=frequency.shape)
    normal = np.sqrt(trait.correlation) * shared + np.sqrt(1 - trait.correlation) * own
    return normal * (heterozygosity ** (trait.alpha / 2))[:, None]


def genetic_values(blocks: Iterable[tuple[Block, Values]], roster: Roster, n_traits: int) -> Values:
    """Return the sum of dosage times effect, (people, traits), as it comes.

    blocks  genotypes of everybody at causal variants, and the effects of these,
            (variants, traits, populations)
    """
    total = np.zeros((roster.n, n_traits))
    members = [np.flatnonzero(roster.population == p) for p in range(roster.population.max() + 1)]
    for block, effect in blocks:
        dosage = decode(block, 4 * roster.n_bytes)[:, roster.slots]
        for p, people in enumerate(members):
            total[people] += dosage[:, people].T @ effect[:, :, p]
    return total


def make(design: Design, roster: Roster, trait: Trait, genetic: Values, effect: Values) -> Made:
    """Return a trait of the people with these genetic values, (people,), not yet scaled."""
    place = design.traits.index(trait)
    rng = np.random.default_rng([design.seed, 6, place])
    genetic, effect = _scaled(trait, roster, genetic, effect)
    share = trait.h2 if trait.n_causal else 0.0
    environment = rng.normal(0, np.sqrt(1 - share), roster.n)
    value = genetic + environment + _nuisance(design, roster, rng)
    prevalence = np.empty(0)
    if trait.kind == "binary":
        standard = (value - value.mean()) / value.std()
        value = (standard > -ndtri(trait.prevalence)).astype(np.float64)
        sites = [value[roster.members(s)].mean() for s in range(roster.n_sites)]
        prevalence = np.array([value.mean(), *sites])
    reached = _reached(roster, genetic, environment)
    return Made(trait, value, genetic, effect, reached, prevalence)


def _scaled(trait: Trait, roster: Roster, genetic: Values, effect: Values) -> tuple[Values, Values]:
    """Return genetic values of mean 0 and variance h2 in each population, and their effects."""
    genetic, effect = genetic.copy(), effect.copy()
    for p in range(effect.shape[1]):
        people = roster.population == p
        spread = genetic[people].std()
        # Where a population has none of a trait's causal alleles, its effects stay as drawn.
        factor = np.sqrt(trait.h2) / spread if spread > 0 else 1.0
        genetic[people] = factor * (genetic[people] - genetic[people].mean())
        effect[:, p] *= factor
    return genetic, effect


def _nuisance(design: Design, roster: Roster, rng: np.random.Generator) -> Values:
    age = (ages(design, roster.n) - _MEAN_AGE) / _SD_AGE
    sex = np.where(roster.sex == 1, 0.5, -0.5)
    site = rng.normal(0, design.site_effect, roster.n_sites)[roster.site]
    populations = rng.normal(0, design.population_effect, len(design.people))
    return design.age_effect * age + design.sex_effect * sex + site + populations[roster.population]


def _reached(roster: Roster, genetic: Values, environment: Values) -> Values:
    shares: list[float] = []
    for p in range(roster.population.max() + 1):
        people = roster.population == p
        variance = genetic[people].var()
        shares.append(float(variance / (genetic + environment)[people].var()))
    return np.array(shares)
