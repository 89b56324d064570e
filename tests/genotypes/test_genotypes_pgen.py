"""PGEN: its three files, as plink2 writes them; refused by name and byte."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.genotypes.pgen import PgenFile
from equipoise.genotypes.pgen_index import check_index
from genotypes.formats import Tiny, read_hard, run_plink2, write_pgen

pytest.importorskip("pgenlib")
NAN = np.nan
PLINK2 = pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
COHORT = Tiny(
    np.array([[0, 1, 2, NAN, 0], [2, 1, 0, 2, 1], [0, 0, 0, 0, 1.0]]),
    ("1", "22", "X"),
    (7, 9, 11),
    ("A", "C", "G"),
    ("G", "CT", "T"),
    (1, 2, 0, 1, 2),
)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_hard(PgenFile.open(path))
    message = str(caught.value)
    assert message.startswith(str(path.with_suffix("")))
    return message


def test_any_of_the_three_or_their_prefix_opens_them(tmp_path: Path) -> None:
    path = write_pgen(tmp_path, COHORT)
    for suffix in (".pgen", ".pvar", ".psam", ""):
        file = PgenFile.open(path.with_suffix(suffix))
        np.testing.assert_array_equal(read_hard(file), COHORT.dosage)
        assert file.sex.tolist() == [1, 2, 0, 1, 2]
        assert not file.has_dosages


def test_threads_read_at_once(tmp_path: Path) -> None:
    file = PgenFile.open(write_pgen(tmp_path, COHORT))
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda i: file.packed(i % 3, i % 3 + 1), range(60)))
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part, file.packed(i % 3, i % 3 + 1))


@PLINK2
@pytest.mark.parametrize("words", [(), ("vzs",), ("format=2",)])
def test_forms_that_plink2_writes_are_read(tmp_path: Path, words: tuple[str, ...]) -> None:
    if "vzs" in words:
        pytest.importorskip("zstandard")
    run_plink2(
        *("--dummy", 33, 70, 0.1, "--make-pgen", *words, "--seed", 2),
        *("--out", tmp_path / "d"),
    )
    run_plink2(
        *("--pfile", tmp_path / "d", *(("vzs",) if "vzs" in words else ())),
        *("--make-bed", "--out", tmp_path / "e"),
    )
    from equipoise.genotypes.plink import PlinkFile

    ours, theirs = PgenFile.open(tmp_path / "d"), PlinkFile.open(tmp_path / "e")
    np.testing.assert_array_equal(ours.packed(0, 70), theirs.packed(0, 70))
    assert ours.variants.frame().equals(theirs.variants.frame())
    assert ours.sample_ids == theirs.sample_ids


@PLINK2
def test_more_than_two_alleles_are_left_out_and_their_neighbours_kept(tmp_path: Path) -> None:
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n"
    rows = (
        "1\t4\tw\tA\tG\t.\t.\t.\tGT\t0/1\t1/1\t0/0\n1\t5\tx\tA\tG,T\t.\t.\t.\tGT\t0/1\t1/2\t2/2\n"
        "1\t6\ty\tA\tG\t.\t.\t.\tGT\t0/1\t1/1\t0/1\n1\t7\tz\tA\t<DEL>\t.\t.\t.\tGT\t0/1\t0/0\t./.\n"
    )
    (tmp_path / "a.vcf").write_text(head + rows)
    run_plink2("--vcf", tmp_path / "a.vcf", "--make-pgen", "--out", tmp_path / "a")
    file = PgenFile.open(tmp_path / "a.pgen")
    assert file.left_out == {"more than two alleles": 1, "a symbolic allele": 1}
    assert file.ids.tolist() == ["w", "y"]
    np.testing.assert_array_equal(read_hard(file), [[1, 2, 0], [1, 2, 1]])


@pytest.mark.parametrize("suffix", [".pgen", ".pvar", ".psam"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_missing_or_empty_file_is_named(tmp_path: Path, suffix: str, lost: bool) -> None:
    path = write_pgen(tmp_path, COHORT).with_suffix(suffix)
    path.unlink() if lost else path.write_bytes(b"")
    message = refused(tmp_path / "a.pgen")
    assert message.startswith(str(path))
    assert ("no such file" if lost else "an empty file") in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:11], "byte 0: a file that begins with 6c 1b 10"),
        (lambda b: b"\x6c\x1c" + b[2:], "byte 0: a file that begins with 6c 1c"),
        (lambda b: b[:2] + b"\x20" + b[3:], "byte 0: a file that begins with 6c 1b 20"),
        (lambda b: b[:3] + bytes(4) + b[7:], "byte 3: no variants or no people"),
        (lambda b: b[:3] + b"\x04" + b[4:], "byte 12: records that do not begin"),
        (lambda b: b[:7] + b"\x06" + b[8:], "3 variants and 6 people"),
        (lambda b: b[:11] + b"\x0f" + b[12:], "byte 11: a head of a kind"),
        (lambda b: b[:16], "byte 16: an index cut short"),
        (lambda b: b[:24], "byte 24: an index cut short"),
        (lambda b: b[:-1], "cut short; expected"),
        (lambda b: b + b"\0", "too long; expected"),
    ],
)
def test_a_pgen_that_is_not_whole_is_refused_by_its_byte(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    path = write_pgen(tmp_path, COHORT)
    path.write_bytes(change(path.read_bytes()))
    assert words in refused(path)


def test_the_index_is_checked_without_the_package(tmp_path: Path) -> None:
    index = check_index(write_pgen(tmp_path, COHORT, dosages=True))
    assert (index.n_variants, index.n_samples) == (3, 5)


@pytest.mark.parametrize(
    ("suffix", "text", "words"),
    [
        (".psam", "#IID\nP0\nP1\nP2\nP3\n", "3 variants and 5 people"),
        (".psam", "#IID\tSEX\n" + "P\tx\n" * 5, "a sex of another form"),
        (".psam", "#IID\n" + "P\n" * 5, "4 IDs of people that come twice"),
        (".psam", "#FID\tSEX\n" + "P\t1\n" * 5, "no column IID"),
        (".psam", "#ID\n" + "P\n" * 5, "a header of another form"),
        (".psam", "#IID\tSEX\nP0\n", "a line of another number of cells"),
        (".pvar", "#CHROM\tPOS\tID\tREF\tALT\n", "a header and nothing else"),
        (".pvar", "#CHROM\tPOS\tID\tREF\n1\t2\ta\tA\n", "no column ALT"),
        (".pvar", "#CHROM\tPOS\tID\tREF\tALT\n" + "1\tx\ta\tA\n" * 3, "another number of cells"),
        (".pvar", "#CHROM\tPOS\tID\tREF\tALT\n" + "1\tx\ta\tA\tG\n" * 3, "a position of another"),
        (
            ".pvar",
            "#CHROM\tPOS\tID\tREF\tALT\n" + "1\t5\ta\tA\tG\n" * 3,
            "that an earlier line has",
        ),
        (".pvar", "#CHROM\tPOS\tID\tREF\tALT\n" + "1\t5\ta\tA\tA\n" * 3, "twice the same allele"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    tmp_path: Path, suffix: str, text: str, words: str
) -> None:
    path = write_pgen(tmp_path, COHORT)
    path.with_suffix(suffix).write_text(text)
    assert words in refused(path)


def test_tables_of_plink_1_are_read(tmp_path: Path) -> None:
    path = write_pgen(tmp_path, COHORT)
    people = "".join(f"F P{i} 0 0 {sex} -9\n" for i, sex in enumerate(COHORT.sex))
    path.with_suffix(".psam").write_text(people)
    path.with_suffix(".pvar").write_text("1 a 0 7 G A\n22 b 0 9 CT C\nX c 0 11 T G\n")
    file = PgenFile.open(path)
    assert file.variants.frame().equals(COHORT.variants.frame())
    assert file.sample_ids == COHORT.ids


def test_an_absent_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = write_pgen(tmp_path, COHORT)
    monkeypatch.setitem(sys.modules, "pgenlib", None)
    assert "pip install 'equipoise[pgen]'" in refused(path)
