"""The model's file follows the scoring file format 2.0 of the PGS Catalog.

Read here as the Catalog's own reader does (pygscatalog, pgscatalog.core 1.0: header lines
begin with one #, name and value parted by the only =; then a line of column names).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.artefacts import scoring_file
from equipoise.artefacts.scoring_file import COLUMNS, ScoredVariant

REQUIRED = {"pgs_id", "trait_reported", "genome_build"}
"""Without one of these the Catalog's reader refuses a file of somebody's own."""

KNOWN = {"format_version", "pgs_name", "weight_type", "variants_number"}
"""The other lines that the format knows and we write."""

ALLELE = st.text("ACGT", min_size=1, max_size=5)
REAL = st.floats(-1e6, 1e6, allow_subnormal=False)
VARIANT = st.builds(
    ScoredVariant,
    st.sampled_from(["1", "22", "X"]),
    st.integers(1, 250_000_000),
    ALLELE,
    ALLELE,
    REAL,
    st.floats(0, 1, allow_subnormal=False),
)
TEXT = st.text(max_size=20).filter(lambda t: not any(0xD800 <= ord(c) <= 0xDFFF for c in t))


def read(path: Path) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return header and rows."""
    header: dict[str, str] = {}
    table: list[list[str]] = []
    for line in path.read_text("utf-8").split("\n")[:-1]:
        if not line.startswith("#"):
            table.append(line.split("\t"))
        elif "=" in line and not line.startswith("##"):
            name, value = line.split("=")
            header[name[1:]] = value
    names, *rows = table
    return header, [dict(zip(names, row, strict=True)) for row in rows]


def write(path: Path, variants: list[ScoredVariant], **notes: str) -> None:
    scoring_file.write(path, variants, name="gstt1", trait="null", build="GRCh38", notes=notes)


@given(st.lists(VARIANT, max_size=4))
def test_nine_digits_of_each_weight_come_back(
    tmp_path_factory: pytest.TempPathFactory, variants: list[ScoredVariant]
) -> None:
    path = tmp_path_factory.mktemp("model") / "model.txt"
    write(path, variants)
    header, rows = read(path)
    assert int(header["variants_number"]) == len(rows) == len(variants)
    for variant, row in zip(variants, rows, strict=True):
        assert tuple(row) == COLUMNS
        assert row["chr_name"] == variant.chromosome
        assert int(row["chr_position"]) == variant.position
        assert (row["effect_allele"], row["other_allele"]) == (
            variant.effect_allele,
            variant.other_allele,
        )
        found = float(row["effect_weight"]), float(row["allelefrequency_effect"])
        # Half a unit in the ninth significant digit.
        np.testing.assert_allclose(found, [variant.weight, variant.frequency], rtol=5.01e-9, atol=0)


def test_the_file_is_as_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    write(path, [ScoredVariant("22", 24_000_000, "A", "G", -1 / 3, 0.25)], intercept="-2.1")
    assert path.read_text() == (
        "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/#dl_ftp_scoring"
        " for additional information\n"
        "#format_version=2.0\n"
        "#pgs_id=gstt1\n"
        "#pgs_name=gstt1\n"
        "#trait_reported=null\n"
        "#genome_build=GRCh38\n"
        "#weight_type=log(OR)\n"
        "#variants_number=1\n"
        "#equipoise_intercept=-2.1\n"
        "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\tallelefrequency_effect\n"
        "22\t24000000\tA\tG\t-0.333333333\t0.25\n"
    )


@given(TEXT, TEXT, TEXT)
def test_no_text_breaks_the_header(
    tmp_path_factory: pytest.TempPathFactory, name: str, trait: str, note: str
) -> None:
    path = tmp_path_factory.mktemp("model") / "model.txt"
    scoring_file.write(path, [], name=name, trait=trait, build="GRCh37", notes={"note": note})
    header, rows = read(path)
    assert rows == []
    assert set(header) == REQUIRED | KNOWN | {"equipoise_note"}
    for written, given_ in (
        ("pgs_name", name),
        ("trait_reported", trait),
        ("equipoise_note", note),
    ):
        assert header[written].split() == given_.replace("=", " ").split()


def test_what_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("before")
    much: Any = "much"  # What a caller must not pass.
    broken = ScoredVariant("22", 1, "A", "G", much, 0.5)
    with pytest.raises(ValueError, match="format code"):
        write(path, [ScoredVariant("22", 1, "A", "G", 1.0, 0.5), broken])
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("model.txt", "before")]
