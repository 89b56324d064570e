"""`equipoise relatedness`: families at two sites, its files, and plink2's set beside ours."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from equipoise.cli.relating import relate_and_tell
from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.packed.kinship import SECOND
from equipoise.tools.relatedness import AUTOSOMES, autosomal, related

KG = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg2504" / "kg2504_24k.bed"
TOLD = {"executor": None, "as_json": True}


def listed(n: int, chromosome: str = "1") -> Variants:
    rows = {
        HEADER[0]: [chromosome] * n,
        HEADER[1]: np.arange(1, n + 1) * 1000,
        HEADER[2]: ["A"] * n,
        HEADER[3]: ["G"] * n,
    }
    return Variants.of(pl.DataFrame(rows))


def family(seed: int, n: int = 3000) -> NDArray[np.float64]:
    """Return two parents, a child of theirs, and a stranger."""
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.1, 0.5, (n, 1))
    mother, father, stranger = (draw.binomial(2, p, (n, 1)) for _ in range(3))
    child = draw.binomial(1, mother / 2) + draw.binomial(1, father / 2)
    return np.hstack([mother, father, child, stranger]).astype(np.float64)


def written(folder: Path, name: str, dosage: NDArray[np.float64], variants: Variants) -> str:
    ids = tuple(f"{name}{i}" for i in range(dosage.shape[1]))
    plink.write(folder / name, encode(dosage), variants, ids)
    return str(folder / f"{name}.bed")


def test_pairs_are_within_a_site_and_the_output_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The same family at both sites: across them everybody has a duplicate, whom nobody sees.
    files = [written(tmp_path, name, family(1), listed(3000)) for name in ("A", "B")]
    out, apart = tmp_path / "pairs.tsv", tmp_path / "apart.txt"
    relate_and_tell(files, out, cutoff=SECOND, apart=apart, **TOLD)
    found = pl.read_csv(out, separator="\t")
    assert found.columns == ["SITE", "IID1", "IID2", "NSNP", "HETHET", "IBS0", "KINSHIP", "DEGREE"]
    assert found["SITE"].to_list() == ["A", "A", "B", "B"]
    assert found["IID1"].to_list() == ["A0", "A1", "B0", "B1"]
    assert set(found["IID2"]) == {"A2", "B2"}
    assert set(found["DEGREE"]) == {"1st degree"}
    assert found["IBS0"].to_list() == [0.0] * 4
    # Without the child everybody stays.
    kept = pl.read_csv(apart, separator="\t")
    assert kept["#IID"].to_list() == ["A0", "A1", "A3", "B0", "B1", "B3"]
    said = json.loads(capsys.readouterr().out)
    assert said["pairs_across_sites"] == "not compared"
    assert said["sites"]["A"]["unrelated"] == 3
    relate_and_tell(files, out, cutoff=SECOND, apart=None, executor=None, as_json=False)
    assert "rows of both" in capsys.readouterr().out


def test_only_autosomes_are_compared(tmp_path: Path) -> None:
    names = (*AUTOSOMES, "X", "23", "0", "MT", "01", "")
    variants = listed(len(names))
    frame = variants.frame().with_columns(pl.Series(HEADER[0], names))
    assert autosomal(Variants.of(frame)).tolist() == [True] * 22 + [False] * 6
    file = written(tmp_path, "A", family(1, 50), listed(50, "X"))
    with pytest.raises(InputError, match="autosomal"):
        relate_and_tell([file], tmp_path / "p.tsv", cutoff=0.1, apart=None, **TOLD)
    assert not (tmp_path / "p.tsv").exists()


def test_a_cutoff_beyond_a_copy_is_refused(tmp_path: Path) -> None:
    for cutoff in (0.6, float("nan")):
        with pytest.raises(InputError, match="cutoff"):
            relate_and_tell([], tmp_path / "p.tsv", cutoff=cutoff, apart=None, **TOLD)


def test_cases_stay_then_the_better_called(tmp_path: Path) -> None:
    dosage = np.hstack([family(2)[:, :1]] * 3)
    dosage[:30, 0] = np.nan
    written(tmp_path, "A", dosage, listed(3000))
    file = plink.PlinkFile.open(tmp_path / "A.bed")
    for cases, kept in ((None, 1), ([True, False, False], 0), ([False, False, True], 2)):
        mask = None if cases is None else np.array(cases)
        found = related("A", file, file.sample_ids, file.variants, cutoff=SECOND, cases=mask)
        assert found.apart is not None
        assert np.flatnonzero(found.apart.kept).tolist() == [kept]


def test_too_many_pairs_are_listed_and_no_set_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equipoise.tools.relatedness.MOST_PAIRS", 5)
    file = written(tmp_path, "A", family(1), listed(3000))
    out = tmp_path / "p.tsv"
    with pytest.raises(InputError, match="higher --cutoff"):
        relate_and_tell([file], out, cutoff=-1, apart=tmp_path / "u.txt", **TOLD)
    assert not out.exists()
    relate_and_tell([file], out, cutoff=-1, apart=None, executor=None, as_json=False)
    assert pl.read_csv(out, separator="\t").height == 6


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
@pytest.mark.skipif(not KG.is_file(), reason="no kg2504 beside the repository")
def test_the_unrelated_set_is_no_smaller_than_that_of_plink2(tmp_path: Path) -> None:
    file = plink.PlinkFile.open(KG)
    for cutoff in ("0.0442", "0.01"):
        command = ["plink2", "--bfile", str(KG.with_suffix("")), "--king-cutoff", cutoff]
        subprocess.run([*command, "--out", "a"], cwd=tmp_path, check=True, capture_output=True)
        theirs = len((tmp_path / "a.king.cutoff.in.id").read_text().splitlines()) - 1
        found = related("kg", file, file.sample_ids, file.variants, cutoff=float(cutoff))
        assert found.apart is not None
        assert found.apart.n >= theirs
        assert found.apart.exact
