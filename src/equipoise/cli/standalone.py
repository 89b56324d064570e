"""The commands for one person with files: parse, call one function.

What they compute with takes longer to import than the command line itself, so it is imported
by each command when it runs.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from equipoise.cli.encrypted_scoring import score
from equipoise.cli.leaking import leakage
from equipoise.cli.modelling import train
from equipoise.cli.options import AsJson, Genotypes, Phenotypes, Threads, limit_threads, names_of
from equipoise.cli.simulating import simulate
from equipoise.errors import InputError

Scheduler = Annotated[
    str | None,
    typer.Option("--executor", help="Workers of dask instead of threads: dask://HOST:PORT."),
]


def associate(
    genotypes: Genotypes,
    phenotypes: Phenotypes,
    trait: Annotated[list[str], typer.Option("--trait", help="A column; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="The table to write, GWAS-SSF.")],
    covariates: Annotated[str, typer.Option("--covariates", help="Columns, by commas.")] = "",
    binary: Annotated[bool, typer.Option("--binary", help="The traits are yes or no.")] = False,
    firth: Annotated[
        bool, typer.Option("--firth", help="Firth's effect of every variant, one site.")
    ] = False,
    whole_genome: Annotated[
        bool,
        typer.Option("--whole-genome", help="Take off what other chromosomes say of the trait."),
    ] = False,
    maf: Annotated[float, typer.Option("--maf", help="Least minor allele frequency.")] = 0.0,
    call_rate: Annotated[float, typer.Option("--call-rate", help="Least call rate.")] = 0.0,
    hwe: Annotated[
        float, typer.Option("--hwe", help="Least mid-p of the exact test, at each site.")
    ] = 0.0,
    protection: Annotated[
        str | None,
        typer.Option("--protection", help="Of sums: masked (from 3 sites on) or clear."),
    ] = None,
    build: Annotated[str | None, typer.Option("--build", help="GRCh37 or GRCh38.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="A page to write.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="A folder for pictures.")] = None,
    ld_scores: Annotated[
        list[Path] | None, typer.Option("--ld-scores", help="Of LDSC, for its check.")
    ] = None,
    threads: Threads = 1,
    executor: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Test every variant for association with a trait, at one site or over several."""
    limit_threads(threads)
    from equipoise.cli.associating import associate_and_tell
    from equipoise.tools.associate import Request
    from equipoise.tools.association_files import Wanted
    from equipoise.tools.filters import Limits

    files = Wanted(build, report, plots, tuple(ld_scores or ()))
    request = Request(
        tuple(genotypes), tuple(phenotypes), tuple(trait), names_of(covariates), out, binary, protection, threads,
        executor, files, Limits(maf, call_rate, hwe), firth, whole_genome,
    )  # fmt: skip
    associate_and_tell(request, as_json)


def pca(
    genotypes: Genotypes,
    components: Annotated[int, typer.Option("--components", min=1, help="How many.")],
    out: Annotated[Path, typer.Option("--out", help="The table of people to write.")],
    no_prune: Annotated[
        bool, typer.Option("--no-prune", help="Use linked variants as well.")
    ] = False,
    window: Annotated[
        str, typer.Option("--window", help="Of pruning: 500kb, or 50 variants.")
    ] = "500kb",
    r2: Annotated[float, typer.Option("--r2", help="The most that is kept within a window.")] = 0.2,
    maf: Annotated[float, typer.Option("--maf", help="Least minor allele frequency.")] = 0.01,
    build: Annotated[
        str | None,
        typer.Option("--build", help="GRCh36, 37 or 38: leaves out long-range linkage."),
    ] = None,
    project: Annotated[
        Path | None, typer.Option("--project", help="Place people by these loadings.")
    ] = None,
    correct: Annotated[
        bool, typer.Option("--correct", help="Undo the shrinkage of placed people.")
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="A table of IID and label: say who is near."),
    ] = None,
    protection: Annotated[
        str | None, typer.Option("--protection", help="Of sums: masked (from 3 sites) or clear.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="A page to write.")] = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Find principal components of ancestry, at one site or over several."""
    limit_threads(threads)
    from equipoise.cli.principal import Asked, components_and_tell
    from equipoise.tools.pca import Request
    from equipoise.tools.pruning import Window

    try:
        within = None if no_prune else Window.of(window)
    except ValueError as error:
        raise InputError(f"--window: {error}; correct it") from error
    request = Request(components, maf, within, r2, build, protection)
    asked = Asked(
        tuple(genotypes), out, request, threads, project, correct, reference, report=report
    )
    components_and_tell(asked, as_json=as_json)


def convert(
    genotypes: Annotated[
        list[Path], typer.Argument(help="The files of one site; several are chromosomes.")
    ],
    out: Annotated[Path, typer.Option("--out", help="A name that ends in .bed or .pgen.")],
    reference: Annotated[
        str,
        typer.Option("--reference", help="Of BGEN, which allele is the reference: first or last."),
    ] = "first",
    as_json: AsJson = False,
) -> None:
    """Write genotypes as PLINK 1 or PGEN, and say what could not be kept."""
    from equipoise.cli.converting import convert_and_tell

    if reference not in ("first", "last"):
        raise InputError(f"--reference {reference}; expected first or last; correct it")
    convert_and_tell(genotypes, out, as_json, reference=reference)


def qc(
    genotypes: Genotypes,
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must be new.")],
    phenotypes: Annotated[
        list[Path] | None, typer.Option("--phenotypes", help="A table with IID, one for each site.")
    ] = None,
    trait: Annotated[
        str | None, typer.Option("--trait", help="Test proportions in those without it.")
    ] = None,
    strata: Annotated[
        str | None, typer.Option("--strata", help="A column of groups, tested by themselves.")
    ] = None,
    no_pairs: Annotated[
        bool, typer.Option("--no-pairs", help="Do not look for relatives and duplicates.")
    ] = False,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Look at the quality of genotypes: tables by variant and person, and a page."""
    limit_threads(threads)
    from equipoise.cli.qualifying import qualify_and_tell
    from equipoise.tools.executors import executor

    with executor(threads) as pool:
        qualify_and_tell(
            genotypes,
            out,
            phenotypes=phenotypes or (),
            trait=trait,
            strata=strata,
            compare=not no_pairs,
            executor=pool,
            as_json=as_json,
        )


def relatedness(
    genotypes: Genotypes,
    out: Annotated[Path, typer.Option("--out", help="The table of pairs to write.")],
    cutoff: Annotated[
        float, typer.Option("--cutoff", help="Least kinship: .354, .177, .0884, .0442 by degree.")
    ] = 0.0884,
    unrelated: Annotated[
        Path | None, typer.Option("--unrelated", help="Write a largest set without such pairs.")
    ] = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Find relatives by KING-robust kinship, within each site."""
    limit_threads(threads)
    from equipoise.cli.relating import relate_and_tell
    from equipoise.tools.executors import executor

    with executor(threads) as pool:
        relate_and_tell(
            genotypes, out, cutoff=cutoff, apart=unrelated, executor=pool, as_json=as_json
        )


EXAMPLES: Final[dict[Any, str]] = {
    associate: "equipoise associate --genotypes a.bed --phenotypes a.tsv --trait ldl"
    " --covariates age,sex --out scan.tsv",
    train: "equipoise train --genotypes a.bed --phenotypes a.tsv --trait ldl --groups ancestry"
    " --out model",
    score: "equipoise score --genotypes a.bed --weights PGS000001_hmPOS_GRCh38.txt.gz"
    " --out scores.tsv",
    pca: "equipoise pca --genotypes a.bed --components 10 --out components.tsv",
    qc: "equipoise qc --genotypes a.bed --out quality",
    relatedness: "equipoise relatedness --genotypes a.bed --out pairs.tsv",
    leakage: "equipoise leakage results --report leakage.html",
    convert: "equipoise convert a.vcf.gz --out a.bed",
    simulate: "equipoise simulate --people EUR=2000,AFR=500 --variants 5000 --seed 1 --out made",
}
"""The commands, each with one that runs."""


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command, example in EXAMPLES.items():
        app.command(epilog=f"Example: {example}")(command)
