"""PLINK files: read back as written, mapped, and refused with the right words."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.text import contents, lines, refuse
from equipoise.genotypes.variants import HEADER, Variants, normal, repeated
from equipoise.packed.decode import decode, encode

NAN = np.nan
DOSAGE = np.array([[2, 1, 0, NAN, 2], [0, 0, NAN, 1, 1], [1, 1, 1, 1, 1.0]])
IDS = ("P1", "P2", "P3", "P4", "P5")
LISTED = Variants.of(
    pl.DataFrame(
        [("22", 300, "A", "G"), ("22", 100, "C", "CT"), ("X", 5, "G", "T")],
        schema=list(HEADER),
        orient="row",
    )
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    prefix = tmp_path / "site.v1"
    plink.write(prefix, encode(DOSAGE), LISTED, IDS, np.array([1, 2, 0, 1, 2], np.int8))
    return prefix


def edit(prefix: Path, suffix: str, change: Callable[[bytes], bytes]) -> None:
    path = Path(f"{prefix}{suffix}")
    path.write_bytes(change(path.read_bytes()))


def refused(prefix: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        PlinkFile.open(prefix)
    assert all(p.expected and p.remedy for p in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("suffix", ["", ".bed", ".bim", ".fam"])
def test_what_was_written_is_read(prefix: Path, suffix: str) -> None:
    file = PlinkFile.open(Path(f"{prefix}{suffix}"))
    assert (file.n_samples, file.n_variants) == (5, 3)
    assert file.sample_ids == IDS
    assert file.sex.tolist() == [1, 2, 0, 1, 2]
    assert file.variants.frame().equals(LISTED.frame())
    np.testing.assert_array_equal(decode(file.packed(0, 3), 5), DOSAGE)
    np.testing.assert_array_equal(decode(file.packed(1, 2), 5), DOSAGE[1:2])


def test_the_genotypes_are_mapped_and_cannot_be_written(prefix: Path) -> None:
    block = PlinkFile.open(prefix).packed(0, 3)
    assert not block.flags.writeable
    assert not block.flags.owndata


def test_its_repr_names_nobody(prefix: Path) -> None:
    assert repr(PlinkFile.open(prefix)) == "PlinkFile(variants=Variants())"


def test_blanks_of_any_kind_part_cells(prefix: Path) -> None:
    edit(prefix, ".fam", lambda data: data.replace(b"\t", b"  "))
    edit(prefix, ".bim", lambda data: data.replace(b"\t", b" \t").replace(b"22", b"chr22"))
    file = PlinkFile.open(prefix)
    assert file.sample_ids == IDS
    assert file.variants.frame().equals(LISTED.frame())


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_a_missing_companion_is_named(prefix: Path, suffix: str) -> None:
    Path(f"{prefix}{suffix}").unlink()
    (message,) = refused(prefix)
    assert message.startswith(f"{prefix}{suffix}: no such file; expected the")


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_an_empty_file_is_refused(prefix: Path, suffix: str) -> None:
    edit(prefix, suffix, lambda _: b"")
    (message,) = refused(prefix)
    assert message.startswith(f"{prefix}{suffix}: an empty file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b"\x6c\x1b\x00" + b[3:], "a sample-major file (byte 3 is 0)"),
        (lambda b: b"\x00" + b[1:], "begins with 00 1b 01 (bytes 1 to 3); expected 6c 1b 01"),
        (lambda b: b[:2], "begins with 6c 1b (bytes 1 to 3)"),
        (lambda b: b[:-1], "8 bytes, cut short; expected 9 for the 3 variants of the .bim and 5"),
        (lambda b: b + b"\0", "10 bytes, too long; expected 9"),
        (lambda b: b[:3], "3 bytes, cut short"),
    ],
)
def test_a_bed_that_is_not_whole_is_refused(
    prefix: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    edit(prefix, ".bed", change)
    (message,) = refused(prefix)
    assert message.startswith(f"{prefix}.bed: ")
    assert words in message


def test_a_bim_shows_all_its_problems(prefix: Path) -> None:
    rows = ["22 . 0 1 A G", "22 . 0 1 G A", "22 . 0 x A G", "22 . 0 2 A A", "22 0 3 A G"]
    edit(prefix, ".bim", lambda _: "\n".join(rows).encode())
    messages = [m.removeprefix(f"{prefix}.bim:").partition(";")[0] for m in refused(prefix)]
    assert messages == [
        "2: a variant that an earlier line has",
        "3: a position that is no whole number",
        "4: twice the same allele",
        "5: a line of another number of cells",
    ]


def test_unplaced_variants_and_unknown_alleles_may_repeat(prefix: Path) -> None:
    rows = ["0 a 0 0 0 A", "0 b 0 0 0 A", "1 c 0 7 0 0"]
    edit(prefix, ".bim", lambda _: "\n".join(rows).encode())
    assert PlinkFile.open(prefix).n_variants == 3


def test_a_fam_shows_all_its_problems_and_no_identifier(prefix: Path) -> None:
    rows = ["0 SECRET 0 0 1 -9", "1 SECRET 0 0 2 -9", "0 P3 0 0 female -9", "0 P4 0 0 1", "0 P5"]
    edit(prefix, ".fam", lambda _: "\n".join(rows).encode())
    messages = refused(prefix)
    assert "SECRET" not in "".join(messages)
    assert [m.removeprefix(f"{prefix}.fam:").partition(";")[0] for m in messages] == [
        "2: an IID that an earlier line has",
        "3: a sex of another form",
        "4: a line of another number of cells",
        "5: a line of another number of cells",
    ]


def test_only_a_block_of_these_variants_and_people_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 variants in the block, 3 in the list"):
        plink.write(tmp_path / "x", encode(DOSAGE[:2]), LISTED, IDS)
    with pytest.raises(ValueError, match="block of shape"):
        plink.write(tmp_path / "x", encode(DOSAGE), LISTED, IDS[:4])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_fam_that_lost_people_is_refused_though_the_sizes_agree(
    tmp_path: Path, lost: int
) -> None:
    prefix = tmp_path / "eight"
    ids = tuple(f"P{i}" for i in range(8))
    plink.write(prefix, encode(np.ones((3, 8))), LISTED, ids)
    edit(prefix, ".fam", lambda data: b"".join(data.splitlines(keepends=True)[: 8 - lost]))
    (message,) = refused(prefix)
    assert f"calls of more people than the {8 - lost} of the .fam" in message


CELLS = st.sampled_from(["1", "chr2", "100", "200", "0", "x", "A", "G", "."])
LINES = st.lists(
    st.tuples(
        st.sampled_from(["1", "chr1", "2"]),
        CELLS,
        st.sampled_from(["0", "5", "7", "x"]),
        st.sampled_from("ACG"),
        st.sampled_from("ACG."),
        st.sampled_from(["", "", "", "\t9"]),
    ),
    min_size=1,
    max_size=12,
)


def twin(path: Path) -> Any:
    """Read a list as a whole: what is in it, or what is wrong with it."""
    table = lines(str(path), contents(path, "variants"), plink._BIM)
    columns = ("chromosome", "base_pair_location", "a1", "a2")
    frame = normal(table.frame.select(columns).rename({"a1": HEADER[2], "a2": HEADER[3]}))
    try:
        refuse(str(path), (*table.faults, *plink._bim_faults(table, frame), repeated(table, frame)))
    except InputError as error:
        return str(error)
    return frame.rows(), table.frame["id"].to_list()


@given(LINES, st.sampled_from([4, 9, 50, 1000]))
def test_a_list_in_pieces_is_the_list_with_all_its_faults(
    rows: list[tuple[str, ...]], size: int
) -> None:
    text = "\n".join(f"{c}\t{i}\t0\t{p}\t{a}\t{b}{more}" for c, i, p, a, b, more in rows)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(plink, "PIECE", size)
        path = Path(folder) / "site.bim"
        path.write_text(text + "\n")
        plink._LAST.clear()
        try:
            variants, ids = plink._bim(path)
            found: Any = variants.frame().rows(), ids.tolist()
        except InputError as error:
            found = str(error)
        assert found == twin(path)


def test_the_list_of_another_site_is_read_once_where_it_is_the_same(
    prefix: Path, tmp_path: Path
) -> None:
    plink._LAST.clear()
    first = PlinkFile.open(prefix)
    for suffix in (".bed", ".bim", ".fam"):
        Path(f"{tmp_path}/other{suffix}").write_bytes(Path(f"{prefix}{suffix}").read_bytes())
    assert PlinkFile.open(tmp_path / "other").variants is first.variants
    edit(tmp_path / "other", ".bim", lambda data: data.replace(b"\t300\t", b"\t301\t"))
    assert PlinkFile.open(tmp_path / "other").variants.position.tolist() == [301, 100, 5]
