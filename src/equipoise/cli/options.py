"""Options that several of the commands for one person have."""

import os
from pathlib import Path
from typing import Annotated

import typer

from equipoise.native import THREADS

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Genotypes = Annotated[
    list[str],
    typer.Option(
        "--genotypes",
        help="A site's genotypes, once for each site; its files by chromosome parted by commas.",
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="How many threads compute.")]
Phenotypes = Annotated[
    list[Path],
    typer.Option("--phenotypes", help="A table with IID: one for each site, or one for all."),
]


def names_of(words: str) -> tuple[str, ...]:
    """Return what commas part."""
    return tuple(name for name in words.split(",") if name)


def limit_threads(threads: int) -> None:
    """Have libraries use no more threads than asked for; before they are first imported."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault(THREADS, str(threads))
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
