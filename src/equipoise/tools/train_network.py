"""`equipoise train --network`: the gene network beside the linear model, on the people who test.

Nobody else will do: the network's rival is the polygenic score, which must be out of sample in
whoever trains, stops or compares (`analyses.gene_network`), and those who test have neither
trained nor tuned it. They are parted by fold: the first fifth compares, the next tenth stops,
all others train.

The rival may have an intercept and a slope for each group, as the model's calibration has: else
a network that merely tells groups apart would be taken for one that finds interactions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.gene_network import GeneNetwork
from equipoise.analyses.gene_network_result import COMPARE, PARTS, STOP, TRAIN, TrainedNetwork
from equipoise.artefacts import gene_tables
from equipoise.artefacts.pgs_catalog import same_build
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError, InputError
from equipoise.models.gene_network import library
from equipoise.models.gene_tables import Genes, Interval, assigned, tiles
from equipoise.models.network_model import group_columns
from equipoise.sums import PEOPLE_PER_COLUMN
from equipoise.tools.adding import Adding
from equipoise.tools.executors import executor
from equipoise.tools.sites import Sites
from equipoise.tools.train import Trained
from equipoise.tools.train_people import STRATUM, Request, folds_of
from equipoise.tools.train_scores import MOST_SCORE, STANDARD, protection_of, spread_of, tested

PARTED: Final = "network_part"
"""The column with what a person is for."""

ROUNDS: Final = 60
WIDTH: Final = 8
LEAST_ROUNDS: Final = 20
"""Fewer rounds do not train a network: where columns do not allow them, it is refused."""

LEAST_FOLDS: Final = 4
"""Folds that test: one to compare on, one to stop by, and half of all to train on."""

LEAST_PEOPLE: Final = 20
"""Of each part; of a yes/no trait with it, and without it."""

TILE: Final = 50
"""Neighbouring variants that are taken for a gene where no table of genes is given."""

COUNTED: Final = 2
"""Columns that a round counts for each value of a gene, where genes share no variants."""

NOT_SAID: Final = "NR"
"""The genome build where none is given."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, the table of genes read.

    rounds     the most, those of the linear model among them; width: values of a gene
    table      what the genes are, in words
    intervals  the genes; none where runs of neighbouring variants are taken for them
    margin     bases by which genes are widened to both sides
    """

    rounds: int = ROUNDS
    width: int = WIDTH
    table: str = f"runs of at most {TILE} neighbouring variants"
    intervals: tuple[Interval, ...] = field(default=(), repr=False)
    margin: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    """What came of it.

    genes    those the network reads, no variant in two; of_table: how many of the table they are
    columns  told about each variant in a round
    allowed  in all; None at one site, where nobody is told anything
    """

    asked: Asked
    analysis: GeneNetwork
    result: TrainedNetwork
    genes: Genes = field(repr=False)
    of_table: int
    columns: int
    allowed: int | None


def asked(
    genes: str, margin: int, rounds: int, width: int, *, request: Request, build: str
) -> Asked:
    """Return what is asked for, once nothing is known to be in its way.

    genes  a GFF3 or BED file, the name of a table that comes with the package, or ""

    InputError for a table that cannot be read or is of another build, for too few who test, and
    where JAX is missing.
    """
    library()
    _, test = folds_of(request)
    if test < LEAST_FOLDS:
        raise InputError(
            f"--test {request.test:g} is {test} folds of people; --network parts those who test"
            f" into three, and needs {LEAST_FOLDS} at least; raise --test"
        )
    if not genes:
        if margin:
            raise InputError("--gene-margin widens the genes of a table; give one by --genes")
        return Asked(rounds, width)
    known = not Path(genes).suffix  # a file's says its format
    found = gene_tables.bundled(genes) if known else gene_tables.read(Path(genes))
    if known and build != NOT_SAID and not same_build(build, genes):
        raise InputError(
            f"--genes {genes} for variants of {build}; expected genes of their own build; give a"
            f" GFF3 or BED file of {build}"
        )
    table = f"of Ensembl 110, {genes}" if known else Path(genes).name
    return Asked(rounds, width, table, tuple(found.iter_rows()), margin)


def refuse(wanted: Asked, request: Request, sites: Sites, cohorts: Sequence[Cohort]) -> None:
    """Raise what stands in the way of a network of these people, before anything is trained.

    InputError where no gene has a variant, a part is too small, or fewer than half of those who
    test are left to train it; DisclosureError where too few rounds are allowed.
    """
    _genes(sites, wanted)
    tuning, test = folds_of(request)
    places = [cohort.fold - tuning for cohort in cohorts]
    tests = [(place >= 0) & (place < test) for place in places]
    part = parts(np.concatenate([p[m] for p, m in zip(places, tests, strict=True)]), test)
    traits = [c.column(request.trait)[m] for c, m in zip(cohorts, tests, strict=True)]
    _refuse_small(part, np.concatenate(traits), binary=request.binary)
    allowed = _allowed([int(m.sum()) for m in tests])
    if allowed is not None:
        _rounds(wanted.rounds, COUNTED * wanted.width, allowed)


def network(trained: Trained, wanted: Asked, at: Callable[[float], None]) -> Network:
    """Return the network of a training's test people; `at` is told the share done.

    DisclosureError where rounds would tell too much; see `refuse`, which sees it coming.
    """
    cohorts = people(trained)
    genes, of_table = _genes(trained.sites, wanted)
    analysis = _analysis(trained, wanted, cohorts, genes)
    columns = analysis.form.network()["weights"].directions
    allowed = _allowed([cohort.n for cohort in cohorts])
    if allowed is not None:
        analysis = replace(analysis, rounds=_rounds(wanted.rounds, columns, allowed))
    with executor(trained.request.threads) as pool:
        own = tuple(replace(cohort, executor=pool) for cohort in cohorts)
        adding = Adding(own, protection_of(trained))
        rounds = analysis.rounds
        result = adding.end(analysis, lambda state: at(state.rounds / rounds)).result
    return Network(wanted, analysis, result, genes, of_table, columns, allowed)


def people(trained: Trained) -> tuple[Cohort, ...]:
    """Return those who test, with the score, what they are for, and the columns of groups."""
    form, found = trained.form, list[Cohort]()
    for cohort in tested(trained, spread_of(trained)):
        part = parts(cohort.fold - form.tuning, form.test).astype(np.float64)
        own = {PARTED: part, **_by_group(cohort, len(trained.groups))}
        found.append(cohort.with_columns(own))
    return tuple(found)


def parts(place: NDArray[np.int64], test: int) -> NDArray[np.int64]:
    """Return what people are for, by the place of their fold among those that test.

    >>> parts(np.arange(10), 10).tolist()
    [2, 2, 1, 0, 0, 0, 0, 0, 0, 0]
    """
    compare, stop = max(round(test / 5), 1), max(round(test / 10), 1)
    late = np.where(place < compare + stop, STOP, TRAIN)
    return np.where(place < compare, COMPARE, late).astype(np.int64)


def beside(trained: Trained) -> dict[str, float]:
    """Return the network's covariates in order, with where each is cut: the groups' come last."""
    own = dict(zip(trained.form.covariates, trained.form.bounds[:-1], strict=True))
    for s in range(1, len(trained.groups)):
        own |= dict(zip(_names(s), (1.0, MOST_SCORE), strict=True))
    return own


def _names(s: int) -> tuple[str, str]:
    return f"in_group_{s}", f"score_in_group_{s}"


def _by_group(cohort: Cohort, groups: int) -> dict[str, NDArray[np.float64]]:
    """Return who is in each group but the first, and their scores, by name."""
    names = [name for s in range(1, groups) for name in _names(s)]
    group = cohort.column(STRATUM).astype(np.int64)
    columns = group_columns(group, cohort.column(STANDARD), groups)
    return dict(zip(names, columns, strict=True))


def _refuse_small(part: NDArray[np.int64], trait: NDArray[np.float64], *, binary: bool) -> None:
    """Raise InputError where a part is too small, or fewer than half of the people train."""
    kinds = [trait == 1, trait == 0] if binary else [np.ones(len(part), np.bool_)]
    least = min(int(np.sum((part == p) & kind)) for p in range(PARTS) for kind in kinds)
    if least < LEAST_PEOPLE:
        each = " with the trait and as many without it" if binary else ""
        raise InputError(
            f"{len(part)} people test, too few for --network: it needs {LEAST_PEOPLE}{each} to"
            " train on, to stop by and to compare on; raise --test, or leave --network out"
        )
    if 2 * int(np.sum(part == TRAIN)) < len(part):
        raise InputError(
            f"fewer than half of the {len(part)} people who test are left to train the network;"
            " raise --test"
        )


def _allowed(sizes: Sequence[int]) -> int | None:
    """Return how many columns may be told about people at sites of such sizes; None at one."""
    outside = sum(sizes) - max(sizes)
    return outside // PEOPLE_PER_COLUMN if len(sizes) > 1 else None


def _genes(sites: Sites, wanted: Asked) -> tuple[Genes, int]:
    """Return the genes that have variants, and how many of the table that is."""
    listed = sites.variants
    chromosome = [str(name) for name in listed.chromosome.tolist()]
    if not wanted.intervals:
        found = tiles(chromosome, listed.position, TILE)
    else:
        found = assigned(chromosome, listed.position, wanted.intervals, wanted.margin)
    return joined(found), len(found.names)


def joined(genes: Genes) -> Genes:
    """Return genes of which those that share variants are one: each round tells of each once.

    >>> joined(Genes(("A", "B", "C"), (0, 2, 4), (3, 4, 5), 1))
    Genes(names=('A+B', 'C'), starts=(0, 4), stops=(4, 5), outside=1)
    """
    found: list[tuple[list[str], int, int]] = []
    for name, start, stop in zip(genes.names, genes.starts, genes.stops, strict=True):
        if found and start < found[-1][2]:
            names, first, last = found[-1]
            found[-1] = ([*names, name], first, max(last, stop))
        else:
            found.append(([name], start, stop))
    names, starts, stops = zip(*found, strict=True)
    return Genes(tuple("+".join(each) for each in names), starts, stops, genes.outside)


def _analysis(
    trained: Trained, wanted: Asked, cohorts: Sequence[Cohort], genes: Genes
) -> GeneNetwork:
    form, covariates = trained.form, beside(trained)
    return GeneNetwork(
        people=sum(cohort.n for cohort in cohorts),
        n_variants=form.n_variants,
        rounds=wanted.rounds,
        starts=genes.starts,
        stops=genes.stops,
        trait=form.trait,
        score=STANDARD,
        part=PARTED,
        covariates=tuple(covariates),
        bounds=(*covariates.values(), form.bounds[-1]),
        seed=trained.request.seed,
        frequencies=trained.known["frequency"],
        binary=trained.request.binary,
        width=wanted.width,
        least=LEAST_PEOPLE,
    )


def _rounds(wanted: int, columns: int, allowed: int) -> int:
    """Return how many rounds the columns allow; DisclosureError where they are too few."""
    found = min(wanted, allowed // columns)
    if found < min(wanted, LEAST_ROUNDS):
        raise DisclosureError(
            f"each round of the network tells {columns} columns about every variant, and the"
            f" people who test outside the largest site allow {allowed} in all: {found} rounds,"
            f" where {min(wanted, LEAST_ROUNDS)} are the least; take a smaller --network-width, a"
            " larger --test, or more people"
        )
    return found
