"""People placed among the components of others: projection, distance, nearest reference.

A loadings file gives, for each variant, what its standardised dosage adds to each component,
so that components have mean 0 and variance 1 over the people they were found in (training).

Projected scores are drawn towards 0: the loadings fit the noise of the training people too.
By Lee, Zou and Wright 2010, doi:10.1214/10-AOS821, with d the eigenvalue in units of noise and
gamma independent variants a person, the scores of new people are smaller by

    (l - 1) / (l - 1 + gamma),  where l (1 + gamma / (l - 1)) = d

The file holds this factor for each component; `project` divides by it where it is asked to.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import chdtrc

from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.genotypes.align import AlignedSource, align
from equipoise.genotypes.text import contents, lines, refuse, whole
from equipoise.genotypes.variants import FREQUENCY, HEADER, Variants
from equipoise.tools.products import scores
from equipoise.tools.sites import Site, Sites

MARK: Final = "#equipoise loadings 1"

NONE_NEAR: Final = "none near"
"""The label of who is far from every group."""

FAR: Final = 1e-3
"""Less than this share of the nearest group lies as far out as a person: none is near."""


@dataclass(frozen=True, slots=True)
class Loadings:
    """What a loadings file says.

    weights      (variants, k) as in the file
    names        of the components, such as PC1
    eigenvalues  (k,) of XX'/m in the training people
    shrinkage    (k,) of projected scores, see above; NaN for one that noise may give
    people       how many the components were found in
    """

    variants: Variants = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    names: tuple[str, ...]
    eigenvalues: NDArray[np.float64]
    shrinkage: NDArray[np.float64]
    people: int
    build: str | None


def shrinkage(
    eigenvalues: NDArray[np.float64],
    separated: NDArray[np.bool_],
    total: float,
    people: int,
    effective: float,
) -> NDArray[np.float64]:
    """Return by how much scores of new people are smaller, (k,), NaN where noise may give them.

    total      sum of all eigenvalues of XX'/m
    effective  number of independent variants

    >>> shrinkage(np.array([50.0]), np.array([True]), 1050.0, 1001, 10_000.0).round(3)
    array([0.98])
    """
    spikes = float(eigenvalues[separated].sum())
    noise = (total - spikes) / max(people - 1 - int(separated.sum()), 1)
    gamma = effective / people
    d = gamma * eigenvalues / noise
    half = 1 + d - gamma
    beyond = separated & (d > (1 + sqrt(gamma)) ** 2)
    l = (half + np.sqrt(np.where(beyond, half**2 - 4 * d, 0.0))) / 2  # noqa: E741
    return np.where(beyond, (l - 1) / np.where(beyond, l - 1 + gamma, 1.0), np.nan)


def read_loadings(path: Path) -> Loadings:
    """Return a loadings file; InputError where it has another form."""
    text = contents(path, "loadings").decode().split("\n")
    said: dict[str, str] = {}
    first = 0
    while first < len(text) and text[first].startswith("#"):
        name, _, value = text[first].removeprefix("#").partition("=")
        said[name] = value
        first += 1
    expected = f"a file of loadings that `equipoise pca` wrote, with the first line {MARK!r}"
    header = tuple(text[first].split("\t")) if first < len(text) else ()
    fixed, names = (*HEADER, FREQUENCY), header[len(HEADER) + 1 :]
    if text[0] != MARK or header[: len(fixed)] != fixed or not names:
        raise whole(path, "a file of another form", expected, "give that file")
    table = lines(str(path), "\n".join(text[first + 1 :]).encode(), header, first=first + 2)
    numbers = [FREQUENCY, *names, HEADER[1]]
    read = table.frame.with_columns(pl.col(n).cast(pl.Float64, strict=False) for n in numbers)
    faults = [
        table.fault(
            ~read[n].is_finite().fill_null(value=False),
            f"a {n} that is no number",
            "a number",
            "write the file again",
        )
        for n in numbers
    ]
    faults.append(
        table.fault(
            ~read[FREQUENCY].is_between(0, 1, closed="none").fill_null(value=False),
            "a frequency that is not between 0 and 1",
            "a variant with two alleles",
            "leave the variant out",
        )
    )
    refuse(table.file, (*table.faults, *faults))
    if not len(read):
        raise whole(path, "no variant", expected, "give a file with variants")
    try:
        eigenvalues, factors = (
            np.array([float(v) for v in said[key].split(",")])
            for key in ("eigenvalues", "shrinkage")
        )
        people = int(said["people"])
    except (KeyError, ValueError):
        raise whole(path, "a head of another form", expected, "give that file") from None
    if not len(eigenvalues) == len(factors) == len(names):
        raise whole(path, "a head for other components", expected, "give that file")
    variants = Variants.of(read.with_columns(pl.col(HEADER[1]).cast(pl.Int64)))
    weights = read.select(names).to_numpy()
    return Loadings(
        variants, weights, names, eigenvalues, factors, people, said.get("build") or None
    )


@dataclass(frozen=True, slots=True)
class Projected:
    """Scores of people, in units of the training people's standard deviation.

    scores   one array a site, (samples, k)
    matched  variants of the file that all sites have, of how many
    """

    scores: tuple[NDArray[np.float64], ...] = field(repr=False)
    matched: int
    of: int
    corrected: bool


def project(
    sites: Sites, loadings: Loadings, *, correct: bool, executor: Executor | None = None
) -> Projected:
    """Return the scores of all people; a missing call counts the training people's mean.

    correct  divide by the shrinkage, which has to be known for every component

    A variant that a site has not counts the mean too, so that scores lie nearer to 0. Raises
    InputError where less than 80 % of the variants are found, as `genotypes.align` does.
    """
    if correct and np.isnan(loadings.shrinkage).any():
        raise InputError(
            "the shrinkage of a component that noise may give is not known; expected components"
            " that stand out; leave the correction or the last components out"
        )
    factor = loadings.shrinkage if correct else np.ones(len(loadings.names))
    mean = 2 * np.asarray(loadings.variants.frequency)
    found: list[NDArray[np.float64]] = []
    present = np.ones(len(mean), np.bool_)
    for site in sites.sites:
        source, _ = align(site.source, sites.variants, loadings.variants)
        found.append(_scores(site, source, (mean, loadings.weights), executor) / factor)
        present &= source.present
    return Projected(tuple(found), int(np.count_nonzero(present)), len(mean), correct)


def _scores(
    site: Site,
    source: AlignedSource,
    loadings: tuple[NDArray[np.float64], NDArray[np.float64]],
    executor: Executor | None,
) -> NDArray[np.float64]:
    n = len(site.sample_ids)
    cohort = Cohort(source, np.arange(n), {}, np.zeros(n, np.int64), executor)
    return scores(cohort, *loadings)


def distances(
    placed: NDArray[np.float64], eigenvalues: NDArray[np.float64], people: int
) -> NDArray[np.float64]:
    """Return the genetic distance of each person from the centre of training, (samples,).

    Ding et al. 2023, doi:10.1038/s41586-023-06079-4: the Euclidean distance on principal
    components as X v gives them, in which a component's variance is its eigenvalue. Here over
    sqrt(m), so that it does not grow with the number of variants; the centre is 0.

    placed  (samples, k) of variance 1 in training
    """
    return np.sqrt(placed**2 @ (eigenvalues / people))


@dataclass(frozen=True, slots=True)
class Reference:
    """Groups of reference people, each as a normal distribution.

    mean        (groups, k)
    covariance  (groups, k, k)
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64] = field(repr=False)
    covariance: NDArray[np.float64] = field(repr=False)


def reference(placed: NDArray[np.float64], labels: Sequence[str]) -> Reference:
    """Return the groups of labelled people; "" is no label.

    A group's covariance is drawn towards that within all groups, the more the fewer people it
    has: (n S + (k + 2) W) / (n + k + 2). InputError where a group has fewer than two people.
    """
    of = np.array(labels, object)
    names = tuple(sorted(set(labels) - {""}))
    members = [placed[of == name] for name in names]
    if len(names) < 2 or min(len(one) for one in members) < 2:
        raise InputError(
            "reference labels of fewer than two groups, or a group of one person; expected two"
            " groups of at least two people each; join or leave out the small ones"
        )
    k = placed.shape[1]
    means = np.stack([one.mean(axis=0) for one in members])
    apart = [one - mean for one, mean in zip(members, means, strict=True)]
    n = np.array([len(one) for one in members], np.float64)
    products = np.stack([one.T @ one for one in apart])
    within = products.sum(axis=0) / max(n.sum() - len(n), 1) + 1e-9 * np.eye(k)
    share = (k + 2) / (n + k + 2)
    own = products / (n - 1)[:, None, None]
    covariance = (1 - share)[:, None, None] * own + share[:, None, None] * within
    return Reference(names, means, covariance)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest group of each person.

    label        its name, or `NONE_NEAR`
    probability  of that group among all, if one of them it is; each as likely beforehand
    outside      share of that group's people who would lie further out
    """

    label: NDArray[np.object_] = field(repr=False)
    probability: NDArray[np.float64] = field(repr=False)
    outside: NDArray[np.float64] = field(repr=False)


def nearest(placed: NDArray[np.float64], groups: Reference) -> Nearest:
    """Return the most probable group of each person, under a normal distribution for each.

    Genetic similarity to reference people, and nothing else: groups grade into each other,
    and a probability near 1 only says that the other groups are less similar.
    """
    k = placed.shape[1]
    log_density, square = np.zeros((2, len(placed), len(groups.names)))
    lower = np.linalg.cholesky(groups.covariance)
    for g in range(len(groups.names)):
        factor: NDArray[np.float64] = lower[g]
        apart: NDArray[np.float64] = placed - groups.mean[g]
        z = np.linalg.solve(factor, apart.T)
        square[:, g] = np.einsum("ij,ij->j", z, z)
        log_density[:, g] = -square[:, g] / 2 - float(np.log(np.diag(factor)).sum())
    best = np.argmax(log_density, axis=1)
    rows = np.arange(len(placed))
    share = np.exp(log_density - log_density[rows, best][:, None])
    outside = np.asarray(chdtrc(float(k), square.min(axis=1)), np.float64)
    label = np.array(groups.names, object)[best]
    label[outside < FAR] = NONE_NEAR
    return Nearest(label, 1 / share.sum(axis=1), outside)


def labels_of(sites: Sites, labels: Mapping[str, str]) -> list[list[str]]:
    """Return each site's labels, "" for whoever has none."""
    return [[labels.get(iid, "") for iid in site.sample_ids] for site in sites.sites]
