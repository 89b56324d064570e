"""VCF-Zarr: what is read, and what is refused, by the array that is wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.genotypes.zarr import ZarrFile
from genotypes.formats import Tiny, read_hard, write_zarr

zarr: Any = pytest.importorskip("zarr")
NAN = np.nan
COHORT = Tiny(
    np.array([[0, 1, 2, NAN, 0], [2, 1, 0, 2, 1], [0, 0, 0, 0, 1.0]]),
    ("1", "22", "22"),
    (7, 9, 11),
    ("A", "C", "G"),
    ("G", "CT", "T"),
)


def change(path: Path, name: str, values: Any, **more: Any) -> Path:
    root = zarr.open_group(str(path), mode="r+")
    if name in root:
        del root[name]
    array = root.create_array(
        name, shape=values.shape, dtype=values.dtype, config={"write_empty_chunks": True}, **more
    )
    array[...] = values
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_hard(ZarrFile.open(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    return message


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_both_formats_are_read(tmp_path: Path, zarr_format: int) -> None:
    file = ZarrFile.open(write_zarr(tmp_path, COHORT, zarr_format=zarr_format))
    np.testing.assert_array_equal(read_hard(file), COHORT.dosage)
    assert file.variants.frame().equals(COHORT.variants.frame())
    assert file.ids.tolist() == list(COHORT.names)


def test_haploid_calls_count_double(tmp_path: Path) -> None:
    path = write_zarr(tmp_path, COHORT)
    calls = np.zeros((3, 5, 2), np.int8)
    calls[0] = [(1, -2), (0, -2), (-1, -2), (1, 1), (-1, -1)]
    np.testing.assert_array_equal(
        read_hard(ZarrFile.open(change(path, "call_genotype", calls)))[0], [2, 0, NAN, 2, NAN]
    )
    one = np.ones((3, 5, 1), np.int8)
    assert np.all(read_hard(ZarrFile.open(change(path, "call_genotype", one))) == 2)


def test_what_has_no_single_dosage_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write_zarr(tmp_path, COHORT)
    alleles = np.array([["A", "G", "T"], ["C", "CT", ""], ["G", "<DEL>", ""]])
    change(path, "variant_allele", alleles.astype(np.dtypes.StringDType()))
    calls = np.zeros((3, 5, 2), np.int8)
    calls[0], calls[1, 0] = 2, 1
    file = ZarrFile.open(change(path, "call_genotype", calls))
    assert file.left_out == {"more than two alleles": 1, "a symbolic allele": 1}
    np.testing.assert_array_equal(read_hard(file), [[2, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("call_genotype", np.zeros((3, 5, 3), np.int8), "call_genotype: the shape (3, 5, 3)"),
        ("call_genotype", np.zeros((3, 4, 2), np.int8), "call_genotype: the shape (3, 4, 2)"),
        ("call_genotype", np.full((3, 5, 2), 2, np.int8), "a genotype of another form"),
        ("call_genotype", np.tile(np.int8([0, -1]), (3, 5, 1)), "a half-missing genotype"),
        ("call_genotype", np.tile(np.int8([-2, -2]), (3, 5, 1)), "a genotype of another form"),
        ("call_DS", np.full((3, 5), 2.5, np.float32), "a dosage out of its range"),
        ("call_GP", np.full((3, 5, 3), 0.5, np.float32), "do not add up to 1"),
        ("call_GP", np.full((3, 5), 0.5, np.float32), "call_GP: the shape"),
        ("variant_contig", np.full(3, 7, np.int8), "a number of no contig"),
        ("variant_position", np.full(3, -1, np.int32), "a position of another form"),
        ("variant_position", np.full(2, 1, np.int32), "the shape"),
        ("sample_id", np.array(["a", "b", "c\td", "e", "f"]), "1 IDs of people that are empty"),
        ("sample_id", np.array(["a"] * 5), "4 IDs of people that come twice"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, values: Any, words: str
) -> None:
    if values.dtype.kind == "U":
        values = values.astype(np.dtypes.StringDType())
    assert words in refused(change(write_zarr(tmp_path, COHORT), name, values))


@pytest.mark.parametrize("name", ["sample_id", "variant_allele", "call_genotype"])
def test_a_missing_array_is_named(tmp_path: Path, name: str) -> None:
    path = write_zarr(tmp_path, COHORT)
    shutil.rmtree(path / name)
    assert f"no array {name}" in refused(path)


def test_a_lost_chunk_is_not_read_as_reference_genotypes(tmp_path: Path) -> None:
    path = write_zarr(tmp_path, COHORT)
    (path / "call_genotype" / "0.0.0").unlink()
    assert "call_genotype: 1 chunks missing" in refused(path)


@pytest.mark.parametrize(("zarr_format", "place"), [(2, "0.0.0"), (3, "c/0/0/0")])
def test_a_chunk_cut_short_is_refused(tmp_path: Path, zarr_format: int, place: str) -> None:
    path = write_zarr(tmp_path, COHORT, zarr_format=zarr_format)
    chunk = path / "call_genotype" / place
    chunk.write_bytes(chunk.read_bytes()[:-3])
    said = refused(path)
    assert "an altered chunk" in said or "bytes of a chunk" in said


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "a.vcz")
    (tmp_path / "a.vcz").mkdir()
    assert "metadata that zarr cannot read" in refused(tmp_path / "a.vcz")
    (tmp_path / "a.vcz" / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
    assert "no array variant_contig" in refused(tmp_path / "a.vcz")


def test_an_absent_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zarr", None)
    assert "pip install 'equipoise[zarr]'" in refused(write_zarr_before(tmp_path))


def write_zarr_before(folder: Path) -> Path:
    (folder / "a.vcz").mkdir()
    return folder / "a.vcz"
