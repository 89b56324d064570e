"""People placed among the components of others: the file, its faults, shrinkage, nearest groups."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from equipoise.cli.principal import Asked, components_and_tell
from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.genotypes.source import reordered
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.tools.pca import Request, principal
from equipoise.tools.pca_files import beside, write_loadings
from equipoise.tools.projection import (
    NONE_NEAR,
    distances,
    nearest,
    project,
    read_loadings,
    reference,
    shrinkage,
)
from equipoise.tools.sites import Sites, open_sites

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg2504"

Floats = NDArray[np.float64]


def listed(m: int, swapped: bool = False) -> Variants:
    frame = {
        HEADER[0]: ["1"] * m,
        HEADER[1]: np.arange(1, m + 1) * 1_000_000,
        HEADER[2]: ["G" if swapped else "A"] * m,
        HEADER[3]: ["A" if swapped else "G"] * m,
    }
    return Variants.of(pl.DataFrame(frame))


def groups(seed: int, m: int, sizes: tuple[int, ...]) -> Floats:
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.2, 0.8, (m, 1))
    each = [np.clip(p + draw.normal(0, 0.15, (m, 1)), 0.05, 0.95) for _ in sizes]
    return np.concatenate(
        [draw.binomial(2, q, (m, n)) for q, n in zip(each, sizes, strict=True)], axis=1
    ).astype(np.float64)


def opened(folder: Path, name: str, dosage: Floats, variants: Variants | None = None) -> Sites:
    ids = tuple(f"{name}{i}" for i in range(dosage.shape[1]))
    plink.write(folder / name, encode(dosage), variants or listed(len(dosage)), ids)
    return open_sites([folder / f"{name}.bed"])


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Floats, Floats, Path]:
    """Return dosages, their scores, and the file of loadings."""
    dosage = groups(1, 400, (40, 40, 40))
    found = principal(opened(tmp_path, "T", dosage), Request(2, window=None))
    path = tmp_path / "t.loadings.tsv"
    write_loadings(path, found, "GRCh38")
    return dosage, found.scores[0], path


def test_training_people_are_projected_to_where_they_were(
    tmp_path: Path, trained: tuple[Floats, Floats, Path]
) -> None:
    dosage, scores, path = trained
    loadings = read_loadings(path)
    assert loadings.names == ("PC1", "PC2")
    assert loadings.people == 120
    assert loadings.build == "GRCh38"
    # In another order of variants, counting the other allele.
    turned = listed(400, swapped=True)
    back = Variants(
        *(
            getattr(turned, n)[::-1]
            for n in ("chromosome", "position", "effect_allele", "other_allele")
        )
    )
    for sites in (
        opened(tmp_path, "same", dosage),
        opened(tmp_path, "swapped", 2 - dosage, turned),
        opened(tmp_path, "turned", 2 - dosage[::-1], back),
    ):
        found = project(sites, loadings, correct=False)
        np.testing.assert_allclose(found.scores[0], scores, atol=1e-5)
        assert (found.matched, found.of) == (400, 400)
    corrected = project(opened(tmp_path, "c", dosage), loadings, correct=True)
    np.testing.assert_allclose(corrected.scores[0] * loadings.shrinkage, scores, atol=1e-5)


def test_missing_variants_count_the_mean_and_too_many_are_refused(
    tmp_path: Path, trained: tuple[Floats, Floats, Path]
) -> None:
    dosage, _, path = trained
    loadings = read_loadings(path)
    part = listed(400)
    few = {
        n: getattr(part, n)[:360]
        for n in ("chromosome", "position", "effect_allele", "other_allele")
    }
    found = project(
        opened(tmp_path, "part", dosage[:360], Variants(**few)), loadings, correct=False
    )
    assert (found.matched, found.of) == (360, 400)
    absent = dosage.copy()
    absent[360:] = np.nan
    same = project(opened(tmp_path, "nan", absent), loadings, correct=False)
    np.testing.assert_allclose(found.scores[0], same.scores[0], atol=1e-6)
    less = {n: getattr(part, n)[:100] for n in few}
    with pytest.raises(InputError):
        project(opened(tmp_path, "less", dosage[:100], Variants(**less)), loadings, correct=False)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("#equipoise loadings 1", "#equipoise loadings 2", "another form"),
        ("#people=120", "#people=many", "another form"),
        ("#eigenvalues=", "#eigenvalues=1,", "other components"),
        ("#shrinkage=", "#nothing=", "another form"),
        ("chromosome\tbase_pair", "chr\tbase_pair", "another form"),
        ("\tA\tG\t", "\tA\tG\tnan\t", "another number of cells"),
        ("\tA\tG\t0.", "\tA\tG\t1.", "not between 0 and 1"),
        ("\tA\tG\t0.", "\tA\tG\tx.", "no number"),
    ],
)
def test_faults_in_a_file_of_loadings_are_named(
    trained: tuple[Floats, Floats, Path], old: str, new: str, match: str
) -> None:
    path = trained[2]
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=match):
        read_loadings(path)


@pytest.mark.parametrize("content", ["", "#equipoise loadings 1", "\n\n", "#" * 1_000_000])
def test_what_is_no_file_of_loadings_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "l.tsv"
    path.write_text(content)
    with pytest.raises(InputError):
        read_loadings(path)


def test_shrinkage_of_new_people_is_as_the_formula_foretells() -> None:
    # Three groups, 150 people to train by and as many new ones; 3,000 independent variants.
    dosage = groups(3, 3000, (100, 100, 100))
    old, new = dosage[:, ::2], dosage[:, 1::2]
    mean = old.mean(axis=1, keepdims=True)
    keep = (mean[:, 0] > 0.1) & (mean[:, 0] < 1.9)
    x, z = (((d - mean) / np.sqrt(mean * (1 - mean / 2)))[keep].T for d in (old, new))
    values, vectors = np.linalg.eigh(x @ x.T / x.shape[1])
    values, vectors = values[::-1][:2], vectors[:, ::-1][:, :2]
    trained = vectors * np.sqrt(150)
    loading = x.T @ vectors / (values * x.shape[1]) * np.sqrt(150)
    np.testing.assert_allclose(x @ loading, trained, atol=1e-8)
    factor = shrinkage(
        values, np.array([True, True]), float((x**2).sum() / x.shape[1]), 150, float(x.shape[1])
    )
    seen = (z @ loading).std(axis=0) / trained.std(axis=0)
    np.testing.assert_allclose(seen, factor, atol=0.06)  # 150 people: a few percent
    assert np.all(factor < 1)


def test_shrinkage_is_not_known_of_noise() -> None:
    none = shrinkage(np.array([1.2, 1.1]), np.array([False, False]), 100.0, 100, 1000.0)
    assert np.isnan(none).all()


def test_distance_is_euclidean_where_variance_is_the_eigenvalue() -> None:
    placed = np.array([[3.0, 0], [0, 4], [0, 0]])
    found = distances(placed, np.array([9.0, 4.0]), 1)
    np.testing.assert_allclose(found, [9, 8, 0])


def test_people_are_nearest_to_their_own_group_or_to_none() -> None:
    draw = np.random.default_rng(1)
    middles = np.array([[0.0, 0], [8, 0], [0, 8]])
    placed = np.concatenate([draw.normal(m, 1, (50, 2)) for m in middles])
    labels = [name for name in "ABC" for _ in range(50)]
    known = reference(placed, labels)
    found = nearest(np.concatenate([middles, [[30.0, 30]], [[4, 0]]]), known)
    assert found.label[:4].tolist() == ["A", "B", "C", NONE_NEAR]
    assert np.all(found.probability[:3] > 0.999)
    assert found.probability[4] < 0.999
    assert np.all((found.probability > 0) & (found.probability <= 1))
    # Of a group's own people about one in 1,000 is said to be far: none or one of 150.
    assert np.count_nonzero(nearest(placed, known).label == NONE_NEAR) <= 2
    for bad in ([""] * 150, ["A"] * 150, ["A"] * 149 + ["B"]):
        with pytest.raises(InputError, match="two groups"):
            reference(placed, bad)


def test_a_small_group_borrows_its_spread() -> None:
    draw = np.random.default_rng(2)
    placed = np.concatenate([draw.normal(0, 1, (200, 3)), draw.normal(9, 1, (2, 3))])
    found = nearest(
        np.array([[9.0, 9, 9], [10, 10, 8.5]]), reference(placed, ["A"] * 200 + ["B"] * 2)
    )
    assert found.label.tolist() == ["B", "B"]


@pytest.mark.skipif(not DATA.exists(), reason="needs kg2504")
def test_real_people_left_out_are_given_their_own_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = open_sites([DATA / "kg2504_24k.bed"])
    (site,) = sites.sites
    block = site.source.packed(0, sites.n_variants)
    for name, rows in (("old", np.arange(0, 2504, 2)), ("new", np.arange(1, 2504, 2))):
        ids = tuple(site.sample_ids[row] for row in rows)
        plink.write(tmp_path / name, reordered(block, rows), sites.variants, ids)
    labels = pl.read_csv(DATA / "kg2504_pops.tsv", separator="\t").rename({"superpop": "label"})
    out, new = tmp_path / "old.tsv", tmp_path / "new.tsv"
    asked = Asked((str(tmp_path / "old.bed"),), out, Request(5, build="GRCh37"))
    components_and_tell(asked, as_json=False)
    table = tmp_path / "labels.tsv"
    names = [f"PC{i + 1}" for i in range(5)]
    old = pl.read_csv(out, separator="\t")
    old.join(labels, on="IID").select("IID", "label", *names).write_csv(table, separator="\t")
    capsys.readouterr()
    placing = Asked(
        (str(tmp_path / "new.bed"),),
        new,
        Request(),
        project=beside(out, "loadings"),
        correct=True,
        labels=table,
        report=tmp_path / "new.html",
    )
    components_and_tell(placing, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert sum(said["nearest"].values()) == 1252
    found = pl.read_csv(new, separator="\t").join(labels, on="IID")
    right = (found["nearest"] == found["label"]).to_numpy()
    none = (found["nearest"] == NONE_NEAR).to_numpy()
    assert right.mean() > 0.98
    assert (~right & ~none).mean() < 0.01
    assert none.mean() < 0.02
    apart = found["distance"].to_numpy()
    african, american = ((found["label"] == name).to_numpy() for name in ("AFR", "AMR"))
    assert np.median(apart[african]) > np.median(apart[american])
