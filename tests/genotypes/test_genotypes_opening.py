"""Opening by what a path is; several files of one site as one."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.genotypes.chromosomes import JoinedFile
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.source import codes_of, pack, reordered
from genotypes.formats import Tiny, read_hard, write_bed, write_bgen, write_vcf

NAN = np.nan
ONE = Tiny(
    np.array([[0, 1, 2, NAN, 0], [2, 1, 0, 2, 1.0]]), ("1",) * 2, (7, 9), ("A",) * 2, ("G",) * 2
)
TWO = Tiny(np.array([[1, 1, 2, NAN, 2.0]]), ("2",), (7,), ("C",), ("T",))
OVER = np.array([4, 2, 0, 1, 3])


def in_order(cohort: Tiny, folder: Path) -> Path:
    """Write a VCF whose people come in another order."""
    folder.mkdir()
    path = write_vcf(folder, cohort)
    lines = path.read_text().splitlines()
    moved = [
        "\t".join([*cells[:9], *(cells[9 + i] for i in OVER)]) if len(cells) > 1 else line
        for line in lines
        for cells in (line.split("\t"),)
    ]
    path.write_text("\n".join(moved) + "\n")
    return path


def joined(folder: Path) -> tuple[Path, Path]:
    return write_bed(folder, ONE), in_order(TWO, folder / "two")


def test_files_of_one_site_are_one_in_the_order_of_the_first(tmp_path: Path) -> None:
    file = open_genotypes(joined(tmp_path))
    everything = np.concatenate([ONE.dosage, TWO.dosage])
    assert isinstance(file, JoinedFile)
    assert file.sample_ids == ONE.ids
    assert (file.n_samples, file.n_variants, file.has_dosages) == (5, 3, False)
    for start in range(4):
        for stop in range(start, 4):
            part = file.packed(start, stop)
            assert part.shape == (stop - start, 2)
            np.testing.assert_array_equal(file.dosages(start, stop), everything[start:stop])
    np.testing.assert_array_equal(read_hard(file), everything)
    assert file.variants.chromosome.tolist() == ["1", "1", "2"]
    assert file.ids.tolist() == ["rs0", "rs1", "rs0"]
    np.testing.assert_array_equal(read_hard(pickle.loads(pickle.dumps(file))), everything)


def test_a_dosage_in_one_part_is_a_dosage_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    file = open_genotypes([write_bed(tmp_path, ONE), write_bgen(tmp_path / "b", TWO)])
    assert file.has_dosages


def test_other_people_are_refused_by_counts_and_no_identifier(tmp_path: Path) -> None:
    bed, vcf = joined(tmp_path)
    vcf.write_text(vcf.read_text().replace("P4", "SECRET"))
    with pytest.raises(
        InputError, match="4 of the 5 people of the first file are among its 5"
    ) as e:
        open_genotypes([bed, vcf])
    assert "SECRET" not in str(e.value)
    assert "P4" not in str(e.value)
    assert str(vcf) in str(e.value)


def test_a_variant_in_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a variant that an earlier line has") as caught:
        open_genotypes([write_bed(tmp_path, ONE), write_vcf(tmp_path, ONE)])
    assert "a.vcf:1" in str(caught.value)


def test_another_sex_is_refused_and_an_unknown_one_is_filled_in(tmp_path: Path) -> None:
    for name, codes in (("a", (1, 2, 0, 0, 1)), ("b", (1, 0, 2, 0, 1))):
        (tmp_path / name).mkdir()
        cohort = ONE if name == "a" else TWO
        fam = write_bed(tmp_path / name, cohort).with_suffix(".fam")
        rows = zip(cohort.ids, codes, strict=True)
        fam.write_text("".join(f"0\t{iid}\t0\t0\t{sex}\t-9\n" for iid, sex in rows))
    paths = [tmp_path / "a" / "a.bed", tmp_path / "b" / "a.bed"]
    assert open_genotypes(paths).sex.tolist() == [1, 2, 2, 0, 1]
    fam = tmp_path / "b" / "a.fam"
    fam.write_text(fam.read_text().replace("P0\t0\t0\t1", "P0\t0\t0\t2"))
    with pytest.raises(InputError, match="1 people have another sex"):
        open_genotypes(paths)


def test_a_prefix_is_enough_for_plink(tmp_path: Path) -> None:
    write_bed(tmp_path, ONE)
    assert isinstance(open_genotypes([tmp_path / "a"]), PlinkFile)


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.txt", "a path of no known format"), ("b", "no such file"), ("b.vcf", "no such file")],
)
def test_a_path_of_no_format_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match=words):
        open_genotypes([tmp_path / name])


def test_no_path_is_refused() -> None:
    with pytest.raises(InputError, match="no genotypes"):
        open_genotypes([])


def test_codes_go_to_a_block_and_back() -> None:
    draw = np.random.default_rng(1)
    for n in range(1, 12):
        codes = draw.integers(0, 4, (3, n)).astype(np.uint8)
        block = pack(codes)
        np.testing.assert_array_equal(codes_of(block, n), codes)
        order = draw.permutation(n)
        np.testing.assert_array_equal(codes_of(reordered(block, order), n), codes[:, order])
