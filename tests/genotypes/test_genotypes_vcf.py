"""VCF and BCF: what is read, and what is refused with its line and byte."""

import gc
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.genotypes.source import SEVERAL_ALLELES, SYMBOLIC
from equipoise.genotypes.vcf import VcfFile
from genotypes.formats import VCF_HEAD, bgzf, read_hard, run_plink2

NAN = np.nan
PEOPLE = ("a", "b", "c")


def record(
    *cells: str, form: str = "GT", place: str = "1\t10", alleles: str = "A\tG", name: str = "."
) -> str:
    return "\t".join([place, name, alleles, ".", ".", ".", form, *cells])


def written(path: Path, *records: str, people: tuple[str, ...] = PEOPLE) -> Path:
    path.write_text("\n".join(["\t".join([VCF_HEAD, *people]), *records]) + "\n")
    return path


def opened(path: Path, *records: str) -> VcfFile:
    return VcfFile.open(written(path / "a.vcf", *records))


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        VcfFile.open(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert all(p.expected and p.remedy for p in caught.value.problems)
    return message


FIRST = VCF_HEAD.count("\n") + 2
"""The line of the first record."""


def test_a_haploid_call_counts_double_and_phase_does_not_count(tmp_path: Path) -> None:
    file = opened(tmp_path, record("1", "0", "."), record("1|0", "0|1", "1/0", place="X\t9"))
    np.testing.assert_array_equal(read_hard(file), [[2, 0, NAN], [1, 1, 1]])


def test_a_dosage_gives_the_call_and_a_genotype_without_one_counts_itself(tmp_path: Path) -> None:
    file = opened(
        tmp_path,
        record("0/1:1.1", "0/1:1.2", "1/1:.", form="GT:DS"),
        record("0/1:0,0,1", "1:.25,.75", "./.:.", form="GT:GP", place="1\t11"),
        record("1:.6", "1:1", "0/0", form="GT:DS", place="1\t12"),
        record("0,0.5,0.5:0.5", ".:1", "1,0,0:.", form="GP:DS", place="1\t13"),
    )
    expected = [[1.1, 1.2, 2], [2, 1.5, NAN], [1.2, 2, 0], [0.5, 1, 0]]
    np.testing.assert_allclose(file.dosages(0, 4), expected, rtol=1e-6)
    calls = [[1, NAN, 2], [2, NAN, NAN], [NAN, 2, 0], [NAN, 1, 0]]
    np.testing.assert_array_equal(read_hard(file), calls)
    assert file.has_dosages


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_dosages_by_person_are_those_of_plink2(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.vcf",
        record("0/1:1.1", "0/1:1.2", "1/1:0.05", form="GT:DS", name="v1"),
        record("1:1", "1:0.6", "./.:1", form="GT:DS", place="1\t11", name="v2"),
        record("0|1:1.89", "0/0:.11", "0/1:.", form="GT:DS", place="1\t12", name="v3"),
    )
    run_plink2("--vcf", path, "dosage=DS", "--make-pgen", "--out", tmp_path / "r")
    run_plink2("--pfile", tmp_path / "r", "--export", "vcf", "--out", tmp_path / "hard")
    run_plink2(
        *("--pfile", tmp_path / "r", "--export", "vcf", "vcf-dosage=DS-force"),
        *("--out", tmp_path / "soft"),
    )
    ours = VcfFile.open(path)
    for name in ("hard", "soft"):
        theirs = VcfFile.open(tmp_path / f"{name}.vcf")
        np.testing.assert_array_equal(theirs.packed(0, 3), ours.packed(0, 3))
    np.testing.assert_allclose(theirs.dosages(0, 3), ours.dosages(0, 3), atol=1e-4)


def test_what_has_no_single_dosage_is_left_out_and_counted(tmp_path: Path) -> None:
    cells = ("0/2", "1/1", "0/0")
    file = opened(
        tmp_path,
        record(*cells, alleles="A\tG,T"),
        record("0/1", "1/1", "0/0", alleles="A\t<DEL>"),
        record("0/1", "1/1", "0/0", alleles="A\tA[2:3["),
        record("0/1", "1/1", "0/0", alleles="A\t*"),
        record("0/0", "0/0", "./.", alleles="A\t."),
    )
    assert file.left_out == {SEVERAL_ALLELES: 1, SYMBOLIC: 3}
    assert file.n_variants == 1
    assert file.variants.effect_allele.tolist() == ["."]


def test_a_file_of_which_all_is_left_out_has_no_variants(tmp_path: Path) -> None:
    file = opened(tmp_path, record("0/2", "1/1", "0/0", alleles="A\tG,T"))
    assert (file.n_variants, file.packed(0, 9).shape) == (0, (0, 1))
    assert file.dosages(0, 9).shape == (0, 3)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([record("0/1", "./1", "0/0")], "a half-missing genotype"),
        ([record("0/1", "1|.", "0/0")], "a half-missing genotype"),
        ([record("0/1", "0/0/1", "0/0")], "more than two copies"),
        ([record("0/1", "0x1", "0/0")], "a genotype of another form"),
        ([record("0/1", "0/2", "0/0")], "a genotype of another form"),
        ([record("0/1", "", "0/0")], "a genotype of another form"),
        ([record("0/1", "0/", "0/0")], "a genotype of another form"),
        ([record("0/1", "0/11", "0/0")], "a genotype of another form"),
        ([record("0/1", "0/1")], "11 columns"),
        ([record("0/1", "0/1", "0/0", "0/0")], "13 columns"),
        ([record("3", "4", "5", form="DP")], "without GT, DS and GP"),
        ([record("3:0/1", "4:0/1", "5:0/1", form="DP:GT")], "GT that is not the first field"),
        ([record("0/1:2.1", "0/0:0", "0/0:0", form="GT:DS")], "a dosage out of its range"),
        ([record("1:1.5", "0/0:0", "0/0:0", form="GT:DS")], "a dosage out of its range"),
        ([record("0/1:nan", "0/0:0", "0/0:0", form="GT:DS")], "a dosage that is no number"),
        ([record("0/1:x", "0/0:0", "0/0:0", form="GT:DS")], "a dosage that is no number"),
        ([record("0/1:.2,.2,.2", "0/0:.", "0/0:.", form="GT:GP")], "do not add up to 1"),
        ([record("0/1:-1,1,1", "0/0:.", "0/0:.", form="GT:GP")], "do not add up to 1"),
        ([record("0/1:1", "0/0:.", "0/0:.", form="GT:GP")], "do not add up to 1"),
        ([record("0/1", "0/1", "0/0", place="1\t1e3")], "a position that is no whole number"),
        ([record("0/1", "0/1", "0/0", place="1\t-5")], "a position that is no whole number"),
        ([record("0/1", "0/1", "0/0", alleles="A\tA")], "twice the same allele"),
        (["1\t5\t.\tA\tG"], "too few columns"),
        ([""], "too few columns"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_by_line(
    tmp_path: Path, records: list[str], words: str
) -> None:
    good = record("0/1", "0/0", "0/0", place="1\t3")
    message = refused(written(tmp_path / "a.vcf", good, *records))
    assert f":{FIRST + 1}: " in message
    assert words in message


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (("1\t10", "1\t9"), "a position before that of the record above"),
        (("1\t10", "2\t9", "1\t11"), "a chromosome that began further up"),
    ],
)
def test_records_out_of_order_are_refused_by_line_and_byte(
    tmp_path: Path, places: tuple[str, ...], words: str
) -> None:
    records = [record("0/1", "0/0", "0/0", place=place) for place in places]
    path = written(tmp_path / "a.vcf", *records)
    message = refused(path)
    byte = path.read_text().rindex(records[-1])
    assert f":{FIRST + len(places) - 1}: {words}" in message
    assert f"the line begins at byte {byte} of the text" in message


def test_a_variant_that_comes_twice_is_refused(tmp_path: Path) -> None:
    twice = [record("0/1", "0/0", "0/0"), record("0/1", "0/0", "0/0", alleles="G\tA")]
    message = refused(written(tmp_path / "a.vcf", *twice))
    assert f":{FIRST + 1}: a variant that an earlier line has" in message


GOOD = ("\t".join([VCF_HEAD, *PEOPLE]) + "\n" + record("0/1", "0/0", "./.") + "\n").encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"hello\n", "a first line of another form"),
        (b"x" * 10**6 + b"\n", "a first line of another form"),
        (b"x" * 10**6, "a last line without its end"),
        (VCF_HEAD.encode().rpartition(b"\n")[0] + b"\n", "no line that begins with #CHROM"),
        (GOOD.replace(b"\tFORMAT", b""), "other columns, or no genotypes"),
        (VCF_HEAD.encode() + b"\n", "nobody"),
        (GOOD.replace(b"\ta\tb", b"\ta\ta"), "1 IDs of people that come twice"),
        (GOOD.replace(b"\ta\tb", b"\ta\tb b"), "1 IDs of people that are empty, or have tabs"),
        (GOOD.replace(b"\ta\tb", b"\ta\t\tb"), "1 IDs of people that are empty"),
        (GOOD[:-1], "a last line without its end"),
        (GOOD + b"1\t11\t" + b"A" * 10**6 + b"\n", "too few columns"),
        (GOOD.replace(b"1\t10", b"\xff\t10"), "no ASCII"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.vcf").write_bytes(content)
    message = refused(tmp_path / "a.vcf")
    assert words in message
    assert len(message) < 600


def test_a_million_bases_are_read(tmp_path: Path) -> None:
    long = "A" * 10**6
    file = opened(tmp_path, record("0/1", "0/0", "./.", alleles=f"A\t{long}"))
    assert str(file.variants.effect_allele[0]) == long
    np.testing.assert_array_equal(read_hard(file), [[1, 0, NAN]])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "a.vcf")


@pytest.mark.parametrize(
    "pack", [gzip.compress, bgzf, lambda d: gzip.compress(d[:40]) + gzip.compress(d[40:])]
)
def test_gzip_of_one_or_many_members_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "a.vcf.gz").write_bytes(pack(GOOD))
    np.testing.assert_array_equal(read_hard(VcfFile.open(tmp_path / "a.vcf.gz")), [[1, 0, NAN]])


def test_an_altered_block_is_refused_by_its_byte(tmp_path: Path) -> None:
    data = bytearray(bgzf(GOOD, 200))
    second = 1 + data.index(b"\x1f\x8b\x08\x04", 1)
    begins = second - 1
    data[begins + 30] ^= 0x40
    (tmp_path / "a.vcf.gz").write_bytes(data)
    message = refused(tmp_path / "a.vcf.gz")
    assert f"byte {begins}: a compressed block that is altered" in message


@pytest.mark.parametrize("lost", [1, 27, 28, 29, 60])
def test_a_compressed_file_cut_short_is_refused_wherever_it_is_cut(
    tmp_path: Path, lost: int
) -> None:
    data = bgzf(GOOD, 200)
    (tmp_path / "a.vcf.gz").write_bytes(data[:-lost])
    message = refused(tmp_path / "a.vcf.gz")
    assert "cut short" in message or "without the empty block that ends BGZF" in message


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_either_line_end_is_read(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.vcf").write_bytes(GOOD.replace(b"\n", end.encode()))
    np.testing.assert_array_equal(read_hard(VcfFile.open(tmp_path / "a.vcf")), [[1, 0, NAN]])


def test_the_conversion_is_private_and_goes_with_the_file(tmp_path: Path) -> None:
    file = opened(tmp_path, record("0/1", "0/0", "./."))
    folder = file._held.folder
    assert folder.stat().st_mode & 0o077 == 0
    assert not file.packed(0, 1).flags.writeable
    del file
    gc.collect()
    assert not folder.exists()


def test_nothing_is_left_of_a_conversion_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(InputError):
        opened(tmp_path, record("0/1", "0/0", "1/."))
    with pytest.raises(InputError):
        opened(tmp_path, record("0/1", "0/0", "1/1"), record("0/1", "0/0", "1/1"))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_progress_rises_to_the_whole(tmp_path: Path) -> None:
    for name, content in (("a.vcf", GOOD), ("a.vcf.gz", bgzf(GOOD))):
        (tmp_path / name).write_bytes(content)
        told: list[float] = []
        VcfFile.open(tmp_path / name, told.append)
        assert told == sorted(told)
        assert told[-1] == 1


def bcf(folder: Path, *records: str) -> Path:
    cyvcf2: Any = pytest.importorskip("cyvcf2")
    file = cyvcf2.VCF(str(written(folder / "of.vcf", *records)))
    writer = cyvcf2.Writer(str(folder / "a.bcf"), file, mode="wb")
    for each in file:
        writer.write_record(each)
    writer.close()
    return folder / "a.bcf"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (record("0/1", "./1", "0/0"), "record 2: a half-missing genotype"),
        (record("0/1", "0/0/1", "0/0"), "record 2: a genotype of more than two copies"),
        (record("0/1", "0/3", "0/0"), "record 2: a genotype of another form"),
        (record("0/1", "0/1", "0/0", place="1\t2"), "record 2: a position before that"),
        (record("0/1:2.5", "0/1:1", "0/0:1", form="GT:DS"), "record 2: a dosage out of its range"),
        (record("0/1:.1,.1,.1", "0/1:.", "0/0:.", form="GT:GP"), "record 2: genotype probab"),
    ],
)
def test_a_bcf_is_refused_by_record(tmp_path: Path, one: str, words: str) -> None:
    path = bcf(tmp_path, record("0/1", "0/0", "0/0", place="1\t3"), one)
    assert words in refused(path)


def test_a_bcf_says_what_its_text_says(tmp_path: Path) -> None:
    path = bcf(
        tmp_path,
        record("0/1:1.1", "0/1:1.2", "1/1:.", form="GT:DS"),
        record("0/1:0,0,1", "1:.25,.75", "./.:.", form="GT:GP", place="1\t11"),
        record("1:.6", "1:1", "0/0", form="GT:DS", place="1\t12"),
        record("1", "0", ".", place="1\t13", name="rs1"),
        record("0/2", "0/1", "0/0", place="1\t14", alleles="A\tG,T"),
    )
    ours, text = VcfFile.open(path), VcfFile.open(tmp_path / "of.vcf")
    np.testing.assert_array_equal(ours.packed(0, 9), text.packed(0, 9))
    np.testing.assert_array_equal(ours.dosages(0, 9), text.dosages(0, 9))
    assert ours.variants.frame().equals(text.variants.frame())
    assert ours.ids.tolist() == text.ids.tolist()
    assert ours.left_out == text.left_out == {SEVERAL_ALLELES: 1}


def test_a_bcf_in_altered_blocks_never_reaches_the_package(tmp_path: Path) -> None:
    path = bcf(tmp_path, record("0/1", "0/0", "0/0"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert "byte 0: a compressed block that is altered" in refused(path)
    path.write_bytes(b"BCF\2\2" + bytes(40))
    assert "not compressed by blocks" in refused(path)
    path.write_bytes(bgzf(GOOD))
    assert "does not begin with BCF" in refused(path)


def test_an_absent_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cyvcf2", None)
    (tmp_path / "a.bcf").write_bytes(bgzf(b"BCF\2\2"))
    assert "pip install 'equipoise[vcf]'" in refused(tmp_path / "a.bcf")
