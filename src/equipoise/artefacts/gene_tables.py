"""Tables of genes: GFF3 and BED, plain or gzipped.

GFF3 (The Sequence Ontology, version 1.26): nine columns parted by tabs, bases 1-based with both
ends in; of features of the wanted types are read the sequence, the ends, and of the attributes
`Name`, else `gene_name`, `gene` or `ID`. BED (GA4GH BEDv1.0): at least four columns, parted by
tabs or blanks, the start 0-based and the end not in it. Names of chromosomes lose `chr`, and a
version such as NC_000001.11 is refused by whoever matches it: give a table that says 1.

One table comes with the package, `bundled("GRCh38")`: the genes of Ensembl release 110 on
chromosomes 1 to 22, X, Y and MT, of every kind that Ensembl names. Its first line says where it
is from and under which licence; `scripts/bundled_genes.py` makes it.
"""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote

import polars as pl

from equipoise.artefacts.gwas_reading import contents
from equipoise.errors import InputError, Problem

COLUMNS: Final = {"gene": pl.String, "chromosome": pl.String, "first": pl.Int64, "last": pl.Int64}

BUNDLED: Final = {"GRCh38": "genes_GRCh38.bed.gz"}
"""The tables that come with the package, by genome build."""

MOST_PROBLEMS: Final = 20
"""Wrong lines that are told of one file."""

Row: TypeAlias = tuple[str, str, int, int]

_NAMES: Final = ("Name", "gene_name", "gene", "ID")
_EXPECTED: Final = "a table of genes in GFF3 or BED"


class _WrongLineError(ValueError):
    """A line is not of the format: found, expected, remedy."""


def read(path: Path, types: Sequence[str] = ("gene",)) -> pl.DataFrame:
    """Return the genes of a table, one row each: gene, chromosome, first and last base, 1-based.

    The name of the file says what it is: `.gff3`, `.gff` or `.bed`, with or without `.gz`.
    `types` are the features of a GFF3 file that are genes. Rows that share a name stay apart:
    such genes may be copies far from each other. InputError, with the lines, for a file of
    another form or without genes.
    """
    suffix = next((s for s in reversed(path.suffixes) if s != ".gz"), "")
    if suffix not in (".gff3", ".gff", ".bed"):
        found = f"a name that ends in {suffix or 'nothing'}"
        raise InputError(
            Problem(str(path), None, found, _EXPECTED, "name it .gff3 or .bed, or with .gz behind")
        )
    wanted = frozenset(types)

    def gff3(line: str) -> Row | None:
        return _gff3(line, wanted)

    rows = _rows(path, _bed if suffix == ".bed" else gff3)
    if not rows:
        kinds = "rows" if suffix == ".bed" else f"features of the types {', '.join(types)}"
        raise InputError(
            Problem(str(path), None, f"no {kinds}", _EXPECTED, "give the table of another source")
        )
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def bundled(build: str) -> pl.DataFrame:
    """Return the genes of the table of a genome build that comes with the package, as `read` does.

    InputError for a build without one.

    >>> bundled("GRCh38").filter(pl.col("gene") == "APOE").row(0)
    ('APOE', '19', 44905791, 44909393)
    """
    if build not in BUNDLED:
        raise InputError(
            f"no table of genes of the build {build} comes with the package; expected"
            f" {' or '.join(BUNDLED)}; give a GFF3 or BED file of {build}"
        )
    held = resources.files("equipoise").joinpath("data", BUNDLED[build])
    with resources.as_file(held) as path:
        return read(path)


def _rows(path: Path, row: Callable[[str], Row | None]) -> list[Row]:
    """Return the rows of a file; InputError with the lines that are wrong."""
    data, rows, problems = contents(path, _EXPECTED), list[Row](), list[Problem]()
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if line.startswith("##FASTA"):
            break
        if not line.strip() or line.startswith("#"):
            continue
        try:
            found = row(line)
        except _WrongLineError as error:
            found, expected, remedy = error.args
            problems.append(Problem(str(path), number, found, expected, remedy))
            if len(problems) == MOST_PROBLEMS:
                break
            continue
        if found is not None:
            rows.append(found)
    if problems:
        raise InputError(problems)
    return rows


def _gff3(line: str, types: frozenset[str]) -> Row | None:
    """Return the gene of a line, None where it is another feature."""
    cells = line.split("\t")
    if len(cells) != 9:
        expected = "9 columns, parted by tabs"
        raise _WrongLineError(f"{len(cells)} columns", expected, "see the format of GFF3")
    if cells[2] not in types:
        return None
    pairs = (part.partition("=") for part in cells[8].split(";"))
    attributes = {key.strip(): unquote(value.strip()) for key, _, value in pairs}
    name = next((attributes[key] for key in _NAMES if attributes.get(key)), "")
    if not name:
        expected = "an attribute Name, gene_name, gene or ID"
        raise _WrongLineError("a gene without a name", expected, "name it in column 9")
    return _row(name, unquote(cells[0]), cells[3], cells[4], 0)


def _bed(line: str) -> Row | None:
    """Return the gene of a line, None where it is for a browser."""
    cells = line.split("\t") if "\t" in line else line.split()
    if cells[0] in ("track", "browser") or cells[0].startswith(("track ", "browser ")):
        return None
    if len(cells) < 4 or not cells[3].strip():
        expected = "chromosome, start, end and name"
        raise _WrongLineError(f"{len(cells)} columns", expected, "name the gene in column 4")
    return _row(cells[3].strip(), cells[0], cells[1], cells[2], 1)


def _row(name: str, chromosome: str, start: str, stop: str, before: int) -> Row:
    """Return a gene; `before` is 1 where the start is 0-based."""
    digits = all(part.isascii() and part.isdigit() and len(part) < 16 for part in (start, stop))
    if not digits or not 1 <= int(start) + before <= int(stop):
        least = "0 or more, before its end" if before else "1 or more, not after its end"
        found, expected = f"a gene from {start} to {stop}", f"a whole number as start, {least}"
        raise _WrongLineError(found, expected, "check the columns of the table")
    own = chromosome[3:] if chromosome.lower().startswith("chr") else chromosome
    return name, "MT" if own == "M" else own, int(start) + before, int(stop)
