"""The folder of a simulation: the sites' files, and beside them the truth."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.genotypes.variants import FREQUENCY, HEADER
from equipoise.simulation.design import Design
from equipoise.simulation.roster import KINSHIP, Roster
from equipoise.simulation.sites import Written, bed, complement
from equipoise.simulation.traits import Made, ages

NOTE = "Simulated by `equipoise simulate`. No person in these files is real.\n"

_README = (
    NOTE
    + """
{how}

sites/<site>/genotypes.bed .bim .fam   genotypes; A1 is the derived allele
sites/<site>/phenotypes.tsv            traits, age, sex (1 male, 2 female)
variants.tsv                           the variants of the files, as a study lists them
truth.json                             all parameters, and what was reached
truth.tsv                              causal variants with their effects and frequencies
truth-people.tsv                       population, site and genetic values of each person
truth-relatives.tsv                    pairs of relatives
truth-planted.tsv                      variants swapped or flipped at every site but the first

To make it again: equipoise with these parameters and the versions that truth.json names.
"""
)

_HOW = {
    "coalescent": "Genomes come from a history of populations (msprime), with linkage"
    " disequilibrium.",
    "random": "Variants are independent, in Hardy-Weinberg proportions: there is no linkage"
    " disequilibrium\nand no history. For measuring speed, not for judging methods.",
}


def readme(folder: Path, design: Design) -> None:
    """Write README.txt, and a note in each site's folder."""
    write_whole(folder / "README.txt", [_README.format(how=_HOW[design.model])])
    for name in design.site_names:
        write_whole(folder / "sites" / name / "README.txt", [NOTE])


def variants(folder: Path, design: Design, roster: Roster, written: Sequence[Written]) -> None:
    """Write variants.tsv, each site's `.bim`, and truth-planted.tsv."""
    frame = _listed(roster, written)
    typed = frame.filter("typed")
    typed.select(*HEADER, FREQUENCY).write_csv(folder / "variants.tsv", separator="\t")
    planted = typed.filter(pl.col("swapped") | pl.col("flipped"))
    planted.select(*HEADER, "swapped", "flipped").write_csv(
        folder / "truth-planted.tsv", separator="\t"
    )
    for site, name in enumerate(design.site_names):
        _bim(typed, first=site == 0).write_csv(
            bed(folder, name).with_suffix(".bim"), separator="\t", include_header=False
        )


def _listed(roster: Roster, written: Sequence[Written]) -> pl.DataFrame:
    chromosome, position, effect, other = HEADER
    return pl.concat(
        pl.DataFrame(
            {
                chromosome: pl.Series([str(w.number)]).new_from_index(0, len(w.position)),
                position: w.position,
                effect: w.effect,
                other: w.other,
                FREQUENCY: w.carried.sum(axis=1) / (2 * roster.n),
                "typed": w.typed,
                "swapped": w.swapped,
                "flipped": w.flipped,
            }
        )
        for w in written
    )


def _bim(typed: pl.DataFrame, *, first: bool) -> pl.DataFrame:
    """Return a site's variants; all but the first site's may be swapped or flipped."""
    chromosome, position, effect, other = (typed[name] for name in HEADER)
    a1, a2 = effect.to_numpy().astype(str), other.to_numpy().astype(str)
    names = chromosome + ":" + position.cast(pl.String) + ":" + other + ":" + effect
    if not first:
        flipped, swapped = typed["flipped"].to_numpy(), typed["swapped"].to_numpy()
        a1, a2 = (np.where(flipped, complement(a), a) for a in (a1, a2))
        a1, a2 = np.where(swapped, a2, a1), np.where(swapped, a1, a2)
    zero = pl.lit("0").alias("centimorgan")
    return pl.DataFrame([chromosome, names.alias("id"), position]).select(
        chromosome.name, "id", zero, position.name, a1=pl.Series(a1), a2=pl.Series(a2)
    )


def people(folder: Path, design: Design, roster: Roster, made: Sequence[Made]) -> None:
    """Write each site's `.fam` and phenotypes, truth-people.tsv and truth-relatives.tsv."""
    ids = roster.ids
    sexes = _texts(roster.sex)
    measured = {
        "IID": ids,
        **{m.trait.name: _cells(m) for m in made},
        "age": _texts(ages(design, roster.n)),
        "sex": sexes,
    }
    for site, name in enumerate(design.site_names):
        members = range(roster.n)[roster.members(site)]
        fam = (f"0\t{ids[i]}\t0\t0\t{sexes[i]}\t-9\n" for i in members)
        write_whole(bed(folder, name).with_suffix(".fam"), fam)
        # Another order than the genotypes': who joins them by line and not by IID shall see it.
        rng = np.random.default_rng([design.seed, 7, site])
        order = cast("list[int]", rng.permutation(members).tolist())
        write_whole(bed(folder, name).with_name("phenotypes.tsv"), _table(measured, order))
    truth: dict[str, list[str]] = {
        "IID": ids,
        "site": [design.site_names[s] for s in roster.site.tolist()],
        "population": [design.populations[p] for p in roster.population.tolist()],
        **{f"genetic_{m.trait.name}": _numbers(m.genetic) for m in made},
    }
    write_whole(folder / "truth-people.tsv", _table(truth, range(roster.n)))
    write_whole(folder / "truth-relatives.tsv", _relatives(design, roster))


def _relatives(design: Design, roster: Roster) -> Iterator[str]:
    ids = roster.ids
    yield "IID1\tIID2\tsite\tkind\tkinship\n"
    for pair in roster.pairs:
        site = design.site_names[int(roster.site[pair.one])]
        yield f"{ids[pair.one]}\t{ids[pair.other]}\t{site}\t{pair.kind}\t{KINSHIP}\n"


def causal(folder: Path, design: Design, written: Sequence[Written], made: Sequence[Made]) -> None:
    """Write truth.tsv: a line for each causal variant of each trait, with its effects."""
    each = [f"{what}_{p}" for what in ("effect", "frequency") for p in design.populations]
    header = "\t".join(("trait", *HEADER, "typed", *each)) + "\n"
    write_whole(folder / "truth.tsv", [header, *_causal(design, written, made)])


def _causal(design: Design, written: Sequence[Written], made: Sequence[Made]) -> Iterator[str]:
    alleles = 2 * np.array([n for _, n in design.people])
    for place, trait in enumerate(made):
        effects = iter(trait.effects)
        for w in written:
            for v in np.flatnonzero(w.causal[place]).tolist():
                cells = (
                    trait.trait.name,
                    f"{w.number}\t{w.position[v]}\t{w.effect[v]}\t{w.other[v]}",
                    "yes" if w.typed[v] else "no",
                    *_numbers(next(effects)),
                    *_numbers(w.carried[v] / alleles),
                )
                yield "\t".join(cells) + "\n"


def truth(folder: Path, content: dict[str, Any]) -> None:
    """Write truth.json."""
    write_whole(folder / "truth.json", [json.dumps(content, indent=1) + "\n"])


def _cells(made: Made) -> list[str]:
    if made.trait.kind == "binary":
        return [str(int(value)) for value in made.value.tolist()]
    return _numbers(made.value)


def _numbers(values: NDArray[np.float64]) -> list[str]:
    return [f"{value:.10g}" for value in values.tolist()]


def _texts(values: NDArray[np.integer]) -> list[str]:
    return [str(value) for value in values.tolist()]


def _table(columns: Mapping[str, Sequence[str]], order: Iterable[int]) -> Iterator[str]:
    yield "\t".join(columns) + "\n"
    for row in order:
        yield "\t".join(column[row] for column in columns.values()) + "\n"
