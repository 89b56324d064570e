"""`equipoise train`: its options.

What it computes with is imported when it runs.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from equipoise.cli.options import AsJson, Genotypes, Phenotypes, Threads, limit_threads, names_of
from equipoise.errors import InputError

TEST: Final = 0.15
TEST_WITH_NETWORK: Final = 0.34
"""Beside .15 who tune, the most that leaves half of the people to train on."""


# Long, because typer takes the options from the signature.
def train(
    genotypes: Genotypes,
    phenotypes: Phenotypes,
    trait: Annotated[str, typer.Option("--trait", help="The column to predict.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must be new.")],
    groups: Annotated[
        str, typer.Option("--groups", help="A column of ancestry groups, each fitted by itself.")
    ] = "",
    covariates: Annotated[str, typer.Option("--covariates", help="Columns, by commas.")] = "",
    components: Annotated[
        str, typer.Option("--components", help="Covariates that are components of ancestry.")
    ] = "",
    binary: Annotated[bool, typer.Option("--binary", help="The trait is yes or no.")] = False,
    name: Annotated[str, typer.Option("--name", help="What the model is called.")] = "",
    build: Annotated[str, typer.Option("--build", help="GRCh37 or GRCh38.")] = "NR",
    tuning: Annotated[float, typer.Option("--tuning", help="Share of people who tune.")] = 0.15,
    test: Annotated[
        float | None,
        typer.Option(
            "--test",
            help="Share of people who test: .15; .34 with --network, since they train it as well.",
        ),
    ] = None,
    maf: Annotated[float, typer.Option("--maf", help="Least minor allele frequency.")] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Of who trains, tunes and tests.")] = 1,
    protection: Annotated[
        str | None, typer.Option("--protection", help="Of sums: masked (from 3 sites) or clear.")
    ] = None,
    reference_ld: Annotated[
        list[str] | None,
        typer.Option("--reference-ld", help="GROUP=FILE: genotypes to borrow linkage from."),
    ] = None,
    note: Annotated[
        list[str] | None, typer.Option("--note", help="A sentence for the page; may be repeated.")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Train a gene network beside it, and compare.")
    ] = False,
    genes: Annotated[
        str,
        typer.Option(
            "--genes",
            help="The network's: a GFF3 or BED file, or GRCh38, which comes with the package."
            " Without, neighbouring variants are taken together.",
        ),
    ] = "",
    gene_margin: Annotated[
        int, typer.Option("--gene-margin", min=0, help="Bases to widen genes by, to both sides.")
    ] = 0,
    network_rounds: Annotated[
        int, typer.Option("--network-rounds", min=10, help="The most, of sums.")
    ] = 60,
    network_width: Annotated[
        int, typer.Option("--network-width", min=1, help="Values of a gene.")
    ] = 8,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Train a risk model for several ancestries, at one site or over several."""
    limit_threads(threads)
    from equipoise.cli.training import train_and_tell
    from equipoise.tools.train_network import asked
    from equipoise.tools.train_people import Request

    if not network and (genes or gene_margin):
        option = "--genes" if genes else "--gene-margin"
        raise InputError(f"{option} is for the gene network; give --network as well")
    share = test if test is not None else TEST_WITH_NETWORK if network else TEST
    request = Request(
        tuple(genotypes), tuple(phenotypes), trait, names_of(covariates), groups, binary, tuning, share,
        maf, seed, protection, threads, dict(map(_reference, reference_ld or ())),
    )  # fmt: skip
    beside = None
    if network:
        beside = asked(
            genes, gene_margin, network_rounds, network_width, request=request, build=build
        )
    train_and_tell(
        request,
        out,
        name=name or out.name,
        genome_build=build,
        components=names_of(components),
        notes=tuple(note or ()),
        beside=beside,
        as_json=as_json,
    )


def _reference(words: str) -> tuple[str, str]:
    """Return the group and the file that GROUP=FILE names."""
    group, parted, file = words.partition("=")
    if not (group and parted and file):
        raise InputError(f"--reference-ld {words}; expected GROUP=FILE; correct it")
    return group, file
