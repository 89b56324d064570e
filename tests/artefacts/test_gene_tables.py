"""Tables of genes: both formats give the same genes, and wrong lines are named."""

import gzip
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from equipoise.artefacts import gene_tables
from equipoise.errors import InputError

ROOT = Path(__file__).resolve().parents[2]

GFF3 = """##gff-version 3
# a comment
chr1\tsource\tgene\t11\t20\t.\t+\t.\tID=g1;Name=ONE%3B1;biotype=protein_coding
chr1\tsource\tmRNA\t11\t20\t.\t+\t.\tID=t1;Parent=g1
X\tsource\tgene\t1\t1\t.\t-\t.\tID=gene:TWO
chrM\tsource\tpseudogene\t5\t9\t.\t-\t.\tgene=THREE
##FASTA
>chr1
ACGT
"""

BED = "track name=genes\n#chrom\nchr1\t10\t20\tONE;1\t0\t+\nX 0 1 gene:TWO\r\n"


def test_gff3_and_bed_give_the_same_genes(tmp_path: Path) -> None:
    one, two = tmp_path / "genes.v1.gff3.gz", tmp_path / "genes.bed"
    one.write_bytes(gzip.compress(GFF3.encode()))
    two.write_text(BED, newline="")
    genes = [("ONE;1", "1", 11, 20), ("gene:TWO", "X", 1, 1)]
    assert gene_tables.read(one).rows() == genes
    assert gene_tables.read(two).rows() == genes


def test_features_of_other_types_are_read_where_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff"
    path.write_text(GFF3)
    assert gene_tables.read(path, ("pseudogene",)).rows() == [("THREE", "MT", 5, 9)]
    with pytest.raises(InputError, match="no features of the types exon"):
        gene_tables.read(path, ("exon",))


LINE = "1\ts\tgene\t{}\t{}\t.\t+\t.\t{}\n"


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("a.gff3", "1\t5\t9\tONE\n", "a.gff3:2: 4 columns; expected 9 columns"),
        ("a.gff3", LINE.format(9, 5, "ID=a"), "a.gff3:2: a gene from 9 to 5"),
        ("a.gff3", LINE.format(0, 5, "ID=a"), "1 or more, not after its end"),
        ("a.gff3", LINE.format("-1", 5, "ID=a"), "a gene from -1 to 5"),
        ("a.gff3", LINE.format(1, 5, "ID=;note=a"), "a gene without a name"),
        ("a.bed", "1\t5\t9\n", "a.bed:2: 3 columns; expected chromosome, start, end and name"),
        ("a.bed", "1\t5\t5\tONE\n", "0 or more, before its end"),
        ("a.bed", "1\tx\t9\tONE\n", "a gene from x to 9"),
        ("a.bed", "1 5 9 \n", "3 columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, name: str, line: str, said: str) -> None:
    path = tmp_path / name
    path.write_text("#header\n" + line)
    with pytest.raises(InputError) as caught:
        gene_tables.read(path)
    assert said in str(caught.value)


def test_all_wrong_lines_are_told_up_to_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_text("1\t2\n" * 50 + "1\t2\t3\tONE\n")
    with pytest.raises(InputError) as caught:
        gene_tables.read(path)
    assert [p.line for p in caught.value.problems] == list(range(1, 21))


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    for name in ("genes.txt", "genes", "genes.gtf.gz"):
        with pytest.raises(InputError, match=r"name it \.gff3 or \.bed"):
            gene_tables.read(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        gene_tables.read(tmp_path / "genes.bed")


def test_the_table_of_the_package_has_the_genes_of_ensembl_110() -> None:
    genes = gene_tables.bundled("GRCh38")
    known = {
        "TP53": ("17", 7661779, 7687538),
        "APOE": ("19", 44905791, 44909393),
        "BRCA1": ("17", 43044295, 43170245),
        "MT-ND1": ("MT", 3307, 4262),
        "SRY": ("Y", 2786855, 2787682),
    }
    for name, place in known.items():
        assert genes.filter(pl.col("gene") == name).rows() == [(name, *place)]
    # It lies on an alternate locus of GRCh38, not on chromosome 22.
    assert "GSTT1" not in genes["gene"]
    assert "GSTT2" in genes["gene"]
    chromosomes = [*map(str, range(1, 23)), "X", "Y", "MT"]
    assert genes["chromosome"].unique(maintain_order=True).to_list() == chromosomes
    assert (genes["first"] >= 1).all()
    assert (genes["first"] < genes["last"]).all()
    by_place = genes.group_by("chromosome", maintain_order=True).agg(pl.col("first").diff().min())
    assert (by_place["first"] >= 0).all()
    assert 30_000 < len(genes) == len(genes.unique())
    assert (genes["gene"].str.len_chars() > 0).all()


def test_the_table_of_the_package_says_where_it_is_from() -> None:
    path = ROOT / "src" / "equipoise" / "data" / gene_tables.BUNDLED["GRCh38"]
    packed = path.read_bytes()
    assert packed[4:8] == bytes(4)  # no time of writing
    first = gzip.decompress(packed).split(b"\n", 1)[0].decode()
    assert first.startswith("# ")
    for said in ("GRCh38", "Ensembl release 110", "ideogram 1.53.0", "CC0 1.0"):
        assert said in first


def test_a_build_without_a_table_is_said() -> None:
    with pytest.raises(InputError, match="no table of genes of the build GRCh37"):
        gene_tables.bundled("GRCh37")


def test_the_script_makes_the_table_of_a_file_alike_each_time(tmp_path: Path) -> None:
    rows = (
        "chr\tstart\tlength\tid\tsymbol",
        "X\t11\t4\t9\tTWO\tx",
        "2\t5\t1\t7\t",
        "10\t3\t2\t8\tONE",
    )
    source = tmp_path / "genes.tsv.gz"
    lines = [f"# {rows[0]}", *rows[1:], "KI270733.1\t1\t5\t6\tELSEWHERE"]
    source.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    made = []
    for name in ("one.bed.gz", "two.bed.gz"):
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
            "from pathlib import Path\n"
            "import bundled_genes\n"
            f"bundled_genes.write(Path({str(source)!r}), Path({str(tmp_path / name)!r}))"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    # Without a symbol a gene has its identifier; the end is the start and the length.
    genes = [("7", "2", 5, 6), ("ONE", "10", 3, 5), ("TWO", "X", 11, 15)]
    assert gene_tables.read(tmp_path / "one.bed.gz").rows() == genes
