"""Small cohorts for the tests: the pooled rows, and the sites that they are spread over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.cohort import Cohort, Columns
from equipoise.federation.roster import folds
from equipoise.packed.decode import encode

FOLDS = 3
COVARIATES = ("sex", "age")
BOUNDS = (1.0, 4.0)
"""The most that each covariate may be: sex is 0 or 1, age standardised and cut at 4."""

KINDS = ("common", "rare", "monomorphic", "fixed", "absent", "copy", "linked")
"""How a variant may be: `fixed` is everybody homozygous for the effect allele, `absent` not
called in anybody, `copy` equals the variant before it, `linked` nearly does."""


@dataclass(frozen=True)
class Memory:
    """Genotypes held in memory: a BlockSource."""

    block: NDArray[np.uint8]
    n_samples: int

    @property
    def n_variants(self) -> int:
        return len(self.block)

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.block[start:stop]


@dataclass(frozen=True, repr=False)
class Rows:
    """Everybody's rows in one place, which no part of the product ever has.

    dosage  (variants, people), NaN where not called
    """

    ids: tuple[str, ...]
    dosage: NDArray[np.float64]
    columns: Mapping[str, NDArray[np.float64]]
    fold: NDArray[np.int64]
    recipe: str = ""

    def __repr__(self) -> str:
        return self.recipe

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.recipe)

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def n_variants(self) -> int:
        return len(self.dosage)

    def with_column(self, name: str, values: NDArray[np.float64]) -> "Rows":
        return self.with_columns({name: values})

    def with_columns(self, columns: Columns) -> "Rows":
        return replace(self, columns={**self.columns, **columns})

    def cohort(self, members: Sequence[int] | NDArray[np.int64] | None = None) -> Cohort:
        """Return the cohort of `members`, in their order; everybody by default.

        The genotype file holds them backwards and behind a stranger who carries two effect
        alleles everywhere and takes no part: nobody may be read by mistake.
        """
        chosen = np.arange(self.n) if members is None else np.asarray(members, np.int64)
        stranger = np.full((self.n_variants, 1), 2.0)
        file = np.concatenate([stranger, self.dosage[:, chosen[::-1]]], axis=1)
        return Cohort(
            genotypes=Memory(encode(file), file.shape[1]),
            rows=np.arange(len(chosen), 0, -1, dtype=np.int64),
            columns={name: values[chosen] for name, values in self.columns.items()},
            fold=self.fold[chosen],
        )

    def split(self, labels: Sequence[int] | NDArray[np.int64], n_sites: int) -> list[Cohort]:
        """Return a cohort for each site; one that no label names is empty."""
        of = np.asarray(labels)
        return [self.cohort(np.flatnonzero(of == site)) for site in range(n_sites)]


def make_rows(
    seed: int,
    n: int = 48,
    kinds: Sequence[str] = ("common", "linked", "rare", "common", "copy", "common"),
    missing: float = 0.05,
    effect: float = 1.5,
) -> Rows:
    """Return rows with trait (0 or 1), sex, age and score; the first variant has an effect."""
    draw = np.random.default_rng(seed)
    dosage = np.zeros((len(kinds), n))
    for i, kind in enumerate(kinds):
        dosage[i] = _variant(draw, kind, dosage[i - 1] if i else None, n)
    dosage[draw.random(dosage.shape) < missing] = np.nan
    for i, kind in enumerate(kinds):
        if kind == "absent":
            dosage[i] = np.nan
        elif kind == "copy" and i:
            dosage[i] = dosage[i - 1]
    sex = (np.arange(n) % 2).astype(np.float64)
    age = np.clip(draw.normal(size=n), -4, 4)
    liability = effect * (np.nan_to_num(dosage[0], nan=1.0) - 1) + 0.3 * age
    trait = (liability + draw.logistic(size=n) > 0).astype(np.float64)
    trait[:2] = 0.0, 1.0
    columns = {"trait": trait, "sex": draw.permutation(sex), "age": age}
    columns["score"] = draw.normal(size=n)
    ids = tuple(f"P{seed}-{i}" for i in range(n))
    recipe = f"make_rows({seed}, {n}, {list(kinds)}, missing={missing}, effect={effect})"
    return Rows(ids, dosage, columns, folds(ids, seed, FOLDS), recipe)


def _variant(
    draw: np.random.Generator, kind: str, before: NDArray[np.float64] | None, n: int
) -> NDArray[np.float64]:
    if kind in ("copy", "linked") and before is not None:
        fresh = draw.binomial(2, 0.4, n).astype(np.float64)
        return before.copy() if kind == "copy" else np.where(draw.random(n) < 0.15, fresh, before)
    frequency = {"rare": 0.05, "monomorphic": 0.0, "fixed": 1.0}.get(kind, 0.4)
    return draw.binomial(2, frequency, n).astype(np.float64)


SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def rows(draw: st.DrawFn, least: int = 24, most: int = 60) -> Rows:
    """Draw rows of `least` to `most` people and 2 to 12 variants of every kind."""
    return make_rows(
        seed=draw(SEEDS),
        n=draw(st.integers(least, most)),
        kinds=draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=12)),
        missing=draw(st.sampled_from([0.0, 0.02, 0.3])),
    )


@st.composite
def labels(draw: st.DrawFn, n: int, n_sites: int) -> list[int]:
    """Draw the site of each person: any split, sites without people among them."""
    kept = draw(st.sets(st.integers(0, n_sites - 1), min_size=1))
    site = st.sampled_from(sorted(kept))
    return draw(st.lists(site, min_size=n, max_size=n))


def permutations(n: int) -> st.SearchStrategy[NDArray[np.int64]]:
    """Draw an order of n people."""
    return SEEDS.map(lambda seed: np.random.default_rng(seed).permutation(n))
