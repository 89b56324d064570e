"""Scoring files of the PGS Catalog: read to the last digit, or refused by line."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.artefacts import pgs_catalog, scoring_file
from equipoise.artefacts.pgs_catalog import COLUMNS, ScoringFile, read, same_build
from equipoise.artefacts.scoring_file import ScoredVariant
from equipoise.errors import InputError

HEAD = (
    "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/\n"
    "#format_version=2.0\n##POLYGENIC SCORE (PGS) INFORMATION\n#pgs_id=PGS000999\n"
    "#trait_reported=a=b\n#genome_build=GRCh37\n#variants_number=2\n"
)
HARMONISED = HEAD + "##HARMONIZATION DETAILS\n#HmPOS_build=GRCh38\n"
PLAIN = ("rsID", "chr_name", "chr_position", "effect_allele", "other_allele", "effect_weight")
HM = ("hm_source", "hm_rsID", "hm_chr", "hm_pos", "hm_inferOtherAllele")

ALLELES = st.tuples(st.text("ACGT", min_size=1, max_size=4), st.text("ACGT", min_size=1)).filter(
    lambda pair: pair[0] != pair[1]
)
WRITTEN = st.builds(
    lambda chromosome, position, pair, weight: ScoredVariant(
        chromosome, position, *pair, weight, 0.25
    ),
    st.sampled_from(["1", "22", "X"]),
    st.integers(1, 250_000_000),
    ALLELES,
    st.floats(-1e6, 1e6),
)


def text(names: tuple[str, ...], *rows: tuple[object, ...], head: str = HEAD) -> str:
    return head + "\n".join("\t".join(map(str, row)) for row in (names, *rows)) + "\n"


def score(folder: Path, content: str | bytes, build: str | None = None) -> ScoringFile:
    path = folder / "score.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, build)


def refused(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        score(folder, content)
    assert all(p.expected and p.remedy for p in caught.value.problems)
    return str(caught.value)


@given(st.lists(WRITTEN, min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_we_write_is_read_to_the_weights_of_the_file(
    tmp_path: Path, variants: list[ScoredVariant]
) -> None:
    path = tmp_path / "model.txt"
    scoring_file.write(path, variants, name="a model", trait="t", build="GRCh38", notes={"x": "1"})
    found = read(path)
    assert (found.name, found.build, found.harmonised) == ("a model", "GRCh38", False)
    assert found.declared == found.n_weights == len(variants)
    # The writer keeps nine digits; of those the reader loses nothing.
    assert found.weights["weight"].to_list() == [float(f"{v.weight:.9g}") for v in variants]
    for name, own in (
        ("chromosome", [v.chromosome for v in variants]),
        ("position", [v.position for v in variants]),
        ("effect_allele", [v.effect_allele for v in variants]),
        ("other_allele", [v.other_allele for v in variants]),
    ):
        assert found.weights[name].to_list() == own
    assert found.weights["unsupported"].null_count() == len(variants)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_digit_of_a_weight_counts(tmp_path: Path, weights: list[float]) -> None:
    rows = [("rs", 1, i + 1, "A", "G", repr(weight)) for i, weight in enumerate(weights)]
    assert score(tmp_path, text(PLAIN, *rows)).weights["weight"].to_list() == weights


def test_the_columns_are_those_promised(tmp_path: Path) -> None:
    found = score(tmp_path, text(PLAIN, ("rs1", "chr1", 5, "a", "ct", "1e-3")))
    assert dict(found.weights.schema) == {name: kind() for name, kind in COLUMNS.items()}
    assert found.weights.rows() == [(9, "rs1", "1", 5, "A", "CT", 0.001, None)]
    assert (found.trait, found.declared, found.n_weights) == ("a=b", 2, 1)


def harmonised() -> str:
    names = (*PLAIN, *HM)
    return text(
        names,
        ("rs1", 1, 100, "A", "G", 0.5, "ENSEMBL", "rs9", 1, 200, ""),
        ("rs2", 1, 300, "C", "T", -1, "Unknown", "", "", "", ""),
        head=HARMONISED,
    )


def test_harmonised_places_come_first_and_are_never_mixed_with_others(tmp_path: Path) -> None:
    found = score(tmp_path, harmonised())
    assert (found.build, found.harmonised) == ("GRCh38", True)
    assert found.weights["position"].to_list() == [200, None]
    assert found.weights["chromosome"].to_list() == ["1", None]
    assert found.weights["rsid"].to_list() == ["rs9", "rs2"]


@pytest.mark.parametrize(("build", "first"), [("hg19", 100), ("GRCh38", 200), ("hg18", 200)])
def test_the_places_of_the_build_wanted_are_taken(tmp_path: Path, build: str, first: int) -> None:
    found = score(tmp_path, harmonised(), build)
    assert found.weights["position"][0] == first
    assert found.build == ("GRCh37" if first == 100 else "GRCh38")


def test_an_other_allele_is_inferred_only_where_there_is_one(tmp_path: Path) -> None:
    names = ("effect_allele", "effect_weight", "hm_chr", "hm_pos", "hm_inferOtherAllele")
    rows = [("A", 1, 1, 5, "G"), ("A", 1, 1, 6, "G/T"), ("A", 1, 1, 7, "")]
    found = score(tmp_path, text(names, *rows, head=HARMONISED))
    assert found.weights["other_allele"].to_list() == ["G", None, None]


@pytest.mark.parametrize(
    ("given", "inferred", "other"),
    [
        ("T/C", "", None),
        ("CC,AAA", "", None),
        ("c/g/n/t", "", None),
        ("", "A", None),
        ("", "-", "-"),
        ("-", "", "-"),
        ("<CN0>", "", "<CN0>"),
        ("G", "C", "G"),
        ("T/C", "C", "C"),
        (".", "", None),
    ],
)
def test_of_several_other_alleles_none_is_known(
    tmp_path: Path, given: str, inferred: str, other: str | None
) -> None:
    """Forms of the Catalog's own files; of one that is no base, no variant has the letters."""
    names = ("effect_allele", "other_allele", "effect_weight", "hm_chr", "hm_pos", HM[-1])
    row = ("A", given, 1, 1, 5, inferred)
    assert score(tmp_path, text(names, row)).weights["other_allele"].to_list() == [other]


def test_where_the_catalog_says_0_there_is_no_place(tmp_path: Path) -> None:
    names = ("effect_allele", "effect_weight", "hm_chr", "hm_pos")
    found = score(tmp_path, text(names, ("A", 1, 1, 0), ("A", 1, 1, 7), head=HARMONISED))
    assert found.weights.select("chromosome", "position").rows() == [(None, None), ("1", 7)]


def test_places_of_haplotypes_and_interactions_need_not_be_one(tmp_path: Path) -> None:
    """Parts are parted by `;` in a haplotype and by `_x_` in an interaction."""
    names = (*PLAIN, "is_haplotype", "is_interaction")
    apoe = ("rs429358;rs7412", 19, "44908684;44908822", "C;C", "", 0.9, "True", "False")
    pair = ("rs1_x_rs2", "1_x_6", "5_x_7", "A_x_G", "", 0.1, "False", "True")
    plain = ("rs3", 1, 5, "A", "G", 0.5, "False", "False")
    found = score(tmp_path, text(names, apoe, pair, plain)).weights
    assert found["unsupported"].to_list() == ["haplotype", "interaction", None]
    assert found.select("chromosome", "position").rows() == [(None, None)] * 2 + [("1", 5)]


def test_a_file_of_the_former_format_keeps_its_words_meaning(tmp_path: Path) -> None:
    """Format 1.0, before 2022; its other allele was called the reference allele."""
    head = (
        "### PGS CATALOG SCORING FILE - see www.pgscatalog.org/downloads/#dl_ftp\n"
        "# PGS ID = PGS000001\n# Reported Trait = Breast Cancer\n"
        "# Original Genome Build = hg19\n# Number of Variants = 1\n"
    )
    names = (*PLAIN[:4], "reference_allele", "effect_weight")
    found = score(tmp_path, text(names, ("rs1", 1, 5, "A", "G", 0.5), head=head))
    assert (found.name, found.trait, found.build) == ("PGS000001", "Breast Cancer", "hg19")
    assert (found.declared, found.weights["other_allele"].to_list()) == (1, ["G"])


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("is_haplotype", "True", "haplotype"),
        ("is_diplotype", "TRUE", "diplotype"),
        ("is_interaction", "True", "interaction"),
        ("is_dominant", "True", "dominant"),
        ("is_recessive", "1", "recessive"),
        ("is_recessive", "1.0", "recessive"),
        ("is_recessive", "False", None),
        ("is_recessive", "0", None),
        ("dosage_1_weight", "0.2", "dosage_weights"),
        ("dosage_1_weight", "", None),
    ],
)
def test_what_is_not_additive_is_named(
    tmp_path: Path, column: str, cell: str, reason: str | None
) -> None:
    found = score(tmp_path, text((*PLAIN, column), ("rs1", 1, 5, "A", "G", 0.5, cell)))
    assert found.weights["unsupported"].to_list() == [reason]


def test_an_allele_that_is_no_bases_is_not_supported_and_needs_no_weight(tmp_path: Path) -> None:
    found = score(
        tmp_path,
        text(
            (*PLAIN, "is_haplotype"),
            ("", 6, 5, "HLA-B*27", "", "", ""),
            ("", 1, 1, "D", "I", 1, ""),
        ),
    )
    assert found.weights["unsupported"].to_list() == ["allele_form", "allele_form"]


def test_a_file_of_dosage_weights_alone_is_read(tmp_path: Path) -> None:
    names = (*PLAIN[:5], "dosage_0_weight", "dosage_1_weight", "dosage_2_weight")
    found = score(tmp_path, text(names, ("rs1", 1, 5, "A", "G", 0, 0.5, 2)))
    assert found.weights["unsupported"].to_list() == ["dosage_weights"]


def test_zip_line_ends_and_mark_do_not_show(tmp_path: Path) -> None:
    content = harmonised()
    expected = score(tmp_path, content)
    for other in (
        gzip.compress(content.encode()),
        content.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + content.encode() + b"\n\n",
    ):
        found = score(tmp_path, other)
        assert found.weights.equals(expected.weights)
        assert found.name == expected.name


def test_a_file_without_id_goes_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt.gz"
    path.write_bytes(gzip.compress(text(PLAIN, ("r", 1, 5, "A", "G", 1), head="").encode()))
    found = read(path)
    assert (found.name, found.build, found.declared) == ("mine", None, None)


GOOD = ("rs1", 1, 5, "A", "G", 0.5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "an empty file"),
        (HEAD, "no column effect_allele"),
        (text(PLAIN), "no weight"),
        (text(PLAIN[:5], GOOD[:5]), "score.txt:8: no column effect_weight"),
        (text((*PLAIN, "rsID"), (*GOOD, "rs2")), "score.txt:8: twice the column rsID"),
        (
            text(("rsID", "effect_allele", "effect_weight"), ("rs1", "A", 1)),
            "no column of positions (hm_chr and hm_pos, or chr_name and chr_position)",
        ),
        (
            text(PLAIN, GOOD, GOOD[:5]),
            "score.txt:10: a line of another number of cells; expected 6",
        ),
        (text(PLAIN, GOOD, (*GOOD, 1)), "score.txt:10: a line of another number of cells"),
        (text(PLAIN, GOOD) + "\n" + "\t".join(map(str, GOOD)), "score.txt:10: a line of another"),
        (text(PLAIN, ("rs1", 1, "5.0", "A", "G", 1)), "score.txt:9: a position that is no whole"),
        (text(PLAIN, ("rs1", 1, 0, "A", "G", 1)), "a position that is no whole number from 1"),
        (text(PLAIN, ("rs1", 1, "9" * 30, "A", "G", 1)), "a position that is no whole number"),
        (text(PLAIN, ("rs1", 1, 5, "A", "G", "nan")), "score.txt:9: a weight that is no finite"),
        (text(PLAIN, ("rs1", 1, 5, "A", "G", "inf")), "a weight that is no finite number"),
        (text(PLAIN, ("rs1", 1, 5, "A", "G", "1e999")), "a weight that is no finite number"),
        (text(PLAIN, ("rs1", 1, 5, "A", "G", "0,5")), "a weight that is no finite number"),
        (text(PLAIN, ("rs1", 1, 5, "A", "G", "")), "a weight that is no finite number"),
        (text(PLAIN, ("rs1", 1, 5, "", "G", 1)), "score.txt:9: no effect allele"),
        (text(PLAIN, ("rs1", 1, 5, "A", "a", 1)), "score.txt:9: twice the same allele"),
        (gzip.compress(text(PLAIN, GOOD).encode())[:-9], "a gzip file cut short or altered"),
        (text(PLAIN, GOOD).encode() + b"\xff", "score.txt:10: bytes that are no UTF-8"),
        (HEAD.encode() + b"PK\x03\x04\x00" * 9, "no column effect_allele"),
    ],
)
def test_a_bad_file_is_refused_by_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.txt")


def test_of_many_problems_the_first_twenty_are_named(tmp_path: Path) -> None:
    rows = [("rs1", 1, "x", "A", "G", "y")] * 100
    said = refused(tmp_path, text(PLAIN, *rows)).split("\n")
    assert len(said) == pgs_catalog.MOST_PROBLEMS + 1
    assert "and 180 more problems" in said[-1]


def test_a_line_of_a_million_letters_is_one_weight(tmp_path: Path) -> None:
    allele = "ACGT" * 250_000
    found = score(tmp_path, text(PLAIN, ("rs1", 1, 5, "A", allele, 1)))
    assert found.weights["other_allele"][0] == allele


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_an_altered_file_is_read_or_refused_and_never_breaks(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(harmonised().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        new = data.draw(
            st.sampled_from([b"", b"\t", b"\n", b"\x00", b'"', b"#", b"\xff", b"9" * 20])
        )
        content[at : at + data.draw(st.integers(0, 3))] = new
    try:
        found = score(tmp_path, bytes(content))
    except InputError:
        return
    asked = found.weights.filter(found.weights["unsupported"].is_null())
    assert asked["weight"].is_finite().all()
    assert asked["effect_allele"].null_count() == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("GRCh37", "hg19", True), ("b37", "grch37", True), ("GRCh38.p14", "hg38", True), ("hg18", "NCBI36", True), ("GRCh37", "GRCh38", False)],
)  # fmt: skip
def test_one_build_has_many_names(one: str, other: str, same: bool) -> None:
    assert same_build(one, other) is same
