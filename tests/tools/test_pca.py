"""`equipoise pca`: plink2's components on real people, sites beside pooled, and its files."""

import json
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from equipoise.cli.principal import NO_BUILD, Asked, components_and_tell
from equipoise.cohort import Cohort
from equipoise.errors import DisclosureError, InputError
from equipoise.genotypes import plink
from equipoise.genotypes.source import reordered
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.solvers.spectrum import Noise
from equipoise.tools.adding import Adding
from equipoise.tools.pca import Principal, Request, principal
from equipoise.tools.products import Products
from equipoise.tools.pruning import Window
from equipoise.tools.sites import open_sites

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg2504"
KG = DATA / "kg2504_24k.bed"
REAL = pytest.mark.skipif(not KG.exists(), reason="needs kg2504")

Floats = NDArray[np.float64]


def populations(seed: int, m: int, sizes: tuple[int, ...], missing: float = 0.02) -> Floats:
    """Return dosages of so many people of populations that drifted apart, (variants, people)."""
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.1, 0.9, (m, 1))
    of = [
        draw.binomial(2, np.clip(p + draw.normal(0, 0.15 + 0.05 * i, (m, 1)), 0.05, 0.95), (m, n))
        for i, n in enumerate(sizes)
    ]
    dosage = np.concatenate(of, axis=1).astype(np.float64)
    dosage[draw.random(dosage.shape) < missing] = np.nan
    return dosage


def variants(m: int, chromosome: str = "") -> Variants:
    frame = {
        HEADER[0]: [chromosome or str(1 + 2 * i // m) for i in range(m)],
        HEADER[1]: np.arange(1, m + 1) * 1_000_000,
        HEADER[2]: ["A"] * m,
        HEADER[3]: ["G"] * m,
    }
    return Variants.of(pl.DataFrame(frame))


def written(folder: Path, name: str, dosage: Floats, listed: Variants | None = None) -> str:
    ids = tuple(f"{name}{i}" for i in range(dosage.shape[1]))
    plink.write(folder / name, encode(dosage), listed or variants(len(dosage)), ids)
    return str(folder / f"{name}.bed")


def dense(dosage: Floats) -> tuple[Floats, Floats]:
    """Return eigenvalues of XX'/m and eigenvectors by numpy, greatest first."""
    mean = np.nanmean(dosage, axis=1, keepdims=True)
    x = np.nan_to_num((dosage - mean) / np.sqrt(mean * (1 - mean / 2)))
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    return values[::-1], vectors[:, ::-1]


def apart(a: Floats, b: Floats) -> Floats:
    """Return 1 - |r| of each column."""
    return np.array(
        [1 - abs(np.corrcoef(x, y)[0, 1]) for x, y in zip(a.T, b.T, strict=True)], np.float64
    )


NOT_PRUNED = Request(3, window=None)


def test_components_are_those_of_the_dense_solver(tmp_path: Path) -> None:
    dosage = populations(1, 900, (40, 50, 60, 30))
    found = principal(open_sites([written(tmp_path, "A", dosage)]), NOT_PRUNED)
    values, vectors = dense(dosage)
    # Single precision: 2^-22 of the value or so.
    np.testing.assert_allclose(found.eigenvalues, values[:3], rtol=1e-5)
    assert found.total == pytest.approx(values.sum(), rel=1e-6)
    assert found.found.all()
    assert found.separated.all()
    (own,) = found.scores
    assert np.all(apart(own, vectors[:, :3]) < 1e-9)
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=0.01)  # missing calls shift it a little
    np.testing.assert_allclose((own**2).mean(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.loadings, axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("protection", ["clear", "masked"])
def test_sites_give_the_components_of_the_pooled_people(tmp_path: Path, protection: str) -> None:
    dosage = populations(2, 700, (50, 60, 70))
    pooled = principal(open_sites([written(tmp_path, "all", dosage)]), Request(2, build="hg19"))
    parts = np.split(dosage, [30, 100], axis=1)
    files = [written(tmp_path, f"s{i}", part) for i, part in enumerate(parts)]
    request = Request(2, build="hg19", protection=protection)
    split = principal(open_sites(files), request)
    assert split.variants.n_variants == pooled.variants.n_variants
    np.testing.assert_array_equal(split.variants.position, pooled.variants.position)
    # The same search, but for single precision; the signs are the same as well.
    np.testing.assert_allclose(np.concatenate(split.scores), pooled.scores[0], atol=1e-4)
    np.testing.assert_allclose(split.eigenvalues, pooled.eigenvalues, rtol=1e-6)
    assert split.protection == protection
    assert split.budget == (180 - 80) // 5
    assert pooled.protection == "none needed"


def test_masks_need_three_sites(tmp_path: Path) -> None:
    files = [written(tmp_path, name, populations(3, 60, (20, 20))) for name in "AB"]
    with pytest.raises(DisclosureError):
        principal(open_sites(files), Request(2, protection="masked"))


def test_what_noise_and_ties_hide_is_not_given(tmp_path: Path) -> None:
    # Two pairs of populations that lie crosswise: no direction of the plane is its own.
    draw = np.random.default_rng(1)
    p = np.full((600, 1), 0.5)
    step = np.zeros((600, 2))
    step[:300, 0] = step[300:, 1] = 0.3
    signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
    rows = draw.permutation(600)
    whole = np.concatenate(
        [p + step @ np.array([[a], [b]]) + np.zeros((600, 25)) for a, b in signs], axis=1
    )
    dosage = np.rint(2 * whole + np.where(np.arange(600) % 2 == 0, 0.2, -0.2)[:, None])[rows]
    found = principal(
        open_sites([written(tmp_path, "A", dosage)]), replace(NOT_PRUNED, components=2)
    )
    assert found.eigenvalues[0] - found.eigenvalues[1] < 1e-3 * found.eigenvalues[0]
    assert not found.found.all()
    for own, told in zip(found.scores[0].T, found.found, strict=True):
        assert np.isnan(own).all() != told


def test_people_without_structure_stand_in_noise(tmp_path: Path) -> None:
    dosage = populations(5, 2000, (80,), 0.0)
    found = principal(open_sites([written(tmp_path, "A", dosage)]), Request(2, window=None))
    assert not found.separated.any()


def test_one_person_adds_no_more_than_is_declared() -> None:
    dosage = populations(6, 200, (30, 30))
    mean = np.nanmean(dosage, axis=1)
    columns = np.linalg.qr(np.random.default_rng(1).normal(size=(200, 3)))[0]
    asked = Products(60, mean, columns, float(dense(dosage)[0].sum()))
    schema = asked.schema(asked.start())

    class Held:
        n_samples, n_variants = 60, 200
        block = encode(dosage)

        def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
            return self.block[start:stop]

    for rows in (np.array([3]), np.arange(60)):
        cohort = Cohort(Held(), rows, {}, np.zeros(len(rows), np.int64))
        (sums,) = asked.summarise(cohort, asked.start())
        (block,) = schema.blocks
        most = block["product"].per_person if len(rows) == 1 else block["product"].limit
        assert np.abs(sums["product"]).max() <= most
    whole = Adding((cohort,)).run(asked).product
    x = np.nan_to_num((dosage - mean[:, None]) / np.sqrt(mean * (1 - mean / 2))[:, None])
    np.testing.assert_allclose(whole, x @ (x.T @ columns) / 200, atol=1e-5)


def test_only_common_autosomal_variants_are_used(tmp_path: Path) -> None:
    dosage = populations(7, 120, (30, 30), 0.0)
    dosage[0], dosage[1], dosage[2] = 0, np.nan, 0
    dosage[2, 0] = 1
    frame = variants(120).frame()
    names = np.array(["1"] * 100 + ["X"] * 8 + ["Y"] * 4 + ["MT"] * 4 + ["25"] * 4)
    listed = Variants.of(frame.with_columns(pl.Series(HEADER[0], names)))
    found = principal(open_sites([written(tmp_path, "A", dosage, listed)]), NOT_PRUNED)
    assert set(found.variants.chromosome.tolist()) == {"1"}
    assert found.dropped["not on an autosome"] == 20
    assert found.dropped["one allele only"] == 1
    assert found.dropped["not called in anybody"] == 1
    assert found.dropped["rarer than asked for"] == 1
    assert found.variants.n_variants == 97


def test_long_range_linkage_is_left_out_where_the_build_is_known(tmp_path: Path) -> None:
    file = written(tmp_path, "A", populations(8, 200, (30, 30)))
    known = principal(open_sites([file]), Request(2, build="GRCh37"))
    # A variant each million: 4 in the region of chromosome 1, 1 + 4 + 7 in those of 2.
    inside = known.dropped["in a region of long-range linkage"]
    assert inside == 16
    assert (
        "in a region of long-range linkage" not in principal(open_sites([file]), Request(2)).dropped
    )


@pytest.mark.parametrize("components", [0, 59, 60, 500])
def test_more_components_than_people_or_variants_allow_are_refused(
    tmp_path: Path, components: int
) -> None:
    sites = open_sites([written(tmp_path, "A", populations(9, 100, (30, 30)))])
    with pytest.raises(InputError, match="ask for fewer"):
        principal(sites, Request(components, window=None))


def test_as_many_components_as_people_allow_are_found_or_said_not_to_be(tmp_path: Path) -> None:
    sites = open_sites([written(tmp_path, "A", populations(9, 100, (6, 6), 0.0))])
    found = principal(sites, Request(10, window=None))
    assert found.eigenvalues.shape == (10,)
    # Those given are found; 11 is the rank, so none beyond it is asked for.
    assert np.all(found.residuals[found.found] < 1e-3)
    assert np.all(np.isfinite(found.scores[0]).all(axis=0) == found.found)


def test_the_files_are_whole_and_say_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = np.split(populations(10, 500, (40, 50)), [30], axis=1)
    files = tuple(written(tmp_path, name, part) for name, part in zip("AB", parts, strict=True))
    asked = Asked(files, tmp_path / "o.tsv", Request(3), report=tmp_path / "o.html")
    components_and_tell(asked, as_json=True)
    said = json.loads(capsys.readouterr().out)
    people = pl.read_csv(tmp_path / "o.tsv", separator="\t", null_values="NA")
    assert people.columns == ["IID", "PC1", "PC2", "PC3", "site"]
    assert people["site"].to_list() == ["A"] * 30 + ["B"] * 60
    assert people["IID"][30] == "B0"
    values = pl.read_csv(tmp_path / "o.eigenvalues.tsv", separator="\t", null_values="NA")
    assert values["component"].to_list() == ["PC1", "PC2", "PC3"]
    assert np.all(np.diff(values["eigenvalue"].to_numpy()) <= 0)
    assert values["found"][0] == "yes"
    assert said["columns_of_gtg"]["budget"] == 30 // 5
    assert NO_BUILD in said["notes"]
    page = (tmp_path / "o.html").read_text()
    assert "Components of ancestry" in page
    assert "B0" not in page
    components_and_tell(asked, as_json=False)
    assert "would allow 6" in capsys.readouterr().out


def real(request: Request) -> Principal:
    return principal(open_sites([KG]), request)


@REAL
@pytest.mark.skipif(not shutil.which("plink2"), reason="needs plink2")
def test_real_people_lie_where_plink2_puts_them(tmp_path: Path) -> None:
    # A third of the people: plink2's relationship matrix of all takes it half a minute.
    ids = open_sites([KG]).sites[0].sample_ids[::3]
    (tmp_path / "keep").write_text("".join(f"0 {iid}\n" for iid in ids))
    run = ["plink2", "--bfile", str(KG.with_suffix("")), "--keep", str(tmp_path / "keep")]
    run += ["--maf", "0.01", "--pca", "10", "--make-bed", "--threads", "1"]
    run += ["--out", str(tmp_path / "p")]
    subprocess.run(run, check=True, capture_output=True)
    theirs = np.loadtxt(tmp_path / "p.eigenvec", skiprows=1, usecols=range(2, 12))
    found = principal(open_sites([tmp_path / "p.bed"]), Request(10, window=None))
    assert found.found[:5].all()
    assert np.all(apart(found.scores[0][:, :5], theirs[:, :5]) < 1e-8)
    told = found.found
    assert np.all(apart(found.scores[0][:, told], theirs[:, told]) < 1e-4)
    values = np.loadtxt(tmp_path / "p.eigenval")
    # plink2 writes six digits.
    np.testing.assert_allclose(found.eigenvalues, values, rtol=2e-5)


@REAL
def test_real_people_at_four_sites_lie_as_when_pooled(tmp_path: Path) -> None:
    sites = open_sites([KG])
    (site,) = sites.sites
    block = site.source.packed(0, sites.n_variants)
    order = np.random.default_rng(1).permutation(len(site.sample_ids))
    cuts = (0, 200, 700, 1500, len(order))
    parts: list[NDArray[np.int64]] = [np.sort(order[a:b]) for a, b in pairwise(cuts)]
    for i, rows in enumerate(parts):
        ids = tuple(site.sample_ids[int(row)] for row in rows)
        plink.write(tmp_path / f"s{i}", reordered(block, rows), sites.variants, ids)
    request = Request(6, window=Window(), build="GRCh37")
    pooled = real(request)
    split = principal(open_sites([tmp_path / f"s{i}.bed" for i in range(4)]), request)
    assert split.protection == "masked"
    together = np.zeros_like(pooled.scores[0])
    for rows, own in zip(parts, split.scores, strict=True):
        together[rows] = own
    assert split.found.all()
    assert np.all(apart(together, pooled.scores[0]) < 1e-9)
    assert Noise(split.total, split.people, split.effective).people == 2504
