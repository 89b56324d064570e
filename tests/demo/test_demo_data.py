"""The bundled study: its people and variants are as published, its consents are drawn blindly."""

import importlib.util
import io
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from equipoise import demo
from equipoise.errors import InputError
from equipoise.genotypes import variants
from equipoise.genotypes.align import AlignmentReport, align
from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.counts import genotype_counts
from equipoise.packed.decode import decode

ROOT = Path(__file__).resolve().parents[2]
SITES = {"FIN": (92, 10), "CEU": (89, 15), "TSI": (91, 18), "GBR": (86, 19)}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_gstt1", ROOT / "scripts" / "make_gstt1.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def opened(site: str) -> PlinkFile:
    return PlinkFile.open(demo.folder() / "sites" / site / "genotypes.bed")


def phenotypes(site: str) -> list[list[str]]:
    text = (demo.folder() / "sites" / site / "phenotypes.tsv").read_text("utf-8")
    header, *rows = [line.split("\t") for line in text.splitlines()]
    assert header == ["IID", "GSTT1_RPKM", "GSTT1_null", "sex"]
    return rows


@pytest.mark.parametrize("site", SITES)
def test_a_site_has_its_people_and_its_share_of_null(site: str) -> None:
    people, null = SITES[site]
    file, rows = opened(site), phenotypes(site)
    assert file.n_samples == people
    assert file.sample_ids == tuple(row[0] for row in rows)
    assert file.sex.tolist() == [2 if row[3] == "female" else 1 for row in rows]
    assert [row[2] == "yes" for row in rows] == [float(row[1]) < 0.5 for row in rows]
    assert sum(row[2] == "yes" for row in rows) == null


def test_nobody_is_in_two_sites() -> None:
    people = [iid for site in SITES for iid in opened(site).sample_ids]
    assert len(people) == len(set(people)) == 358


def test_every_site_has_every_variant_of_the_list_and_every_call() -> None:
    listed = variants.read(demo.folder() / "variants.tsv")
    assert listed.n_variants == 85_485
    total = np.zeros((85_485, 4), np.int64)
    for site in SITES:
        file = opened(site)
        aligned, report = align(file, file.variants, listed)
        assert report == AlignmentReport(85_485, 0, 0)
        total += genotype_counts(aligned.packed(0, listed.n_variants), file.n_samples)
    assert total[:, 3].sum() == 0
    frequency = (2 * total[:, 0] + total[:, 1]) / (2 * 358)
    assert np.minimum(frequency, 1 - frequency).min() >= 0.05
    # From the VCF itself: AC=67 and AC=90 in its first two lines.
    assert (2 * total[:2, 0] + total[:2, 1]).tolist() == [67, 90]


def test_the_strongest_variant_lies_beside_the_gene_and_nothing_else_is_strong() -> None:
    listed = variants.read(demo.folder() / "variants.tsv")
    blocks = [
        decode(f.packed(0, f.n_variants), f.n_samples, np.float32) for f in map(opened, SITES)
    ]
    dosage = np.concatenate(blocks, axis=1)
    null = np.array([row[2] == "yes" for site in SITES for row in phenotypes(site)], np.float32)
    dosage -= dosage.mean(axis=1, keepdims=True)
    null -= null.mean()
    r = dosage @ null / np.sqrt((dosage**2).sum(axis=1) * (null @ null))
    strongest = np.argsort(-np.abs(r))[:3]
    assert listed.position[strongest].tolist() == [24_367_099, 24_367_028, 24_366_987]
    # ORIGIN.md of the data: outside 2 Mb no variant correlates above .23.
    assert np.abs(r[np.abs(listed.position - 24_367_099) > 2_000_000]).max() < 0.23


def test_the_study_takes_little_of_a_wheel() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in demo.folder().rglob("*"):
            wheel.write(path)
    assert packed.tell() < 5_000_000  # a wheel may have 12 MB; 3.7 MB when written


@pytest.mark.parametrize("site", SITES)
def test_the_consents_are_those_of_the_seed_and_say_what_they_are(
    script: ModuleType, site: str, tmp_path: Path
) -> None:
    bundled = demo.folder() / "sites" / site / "consents.tsv"
    script.write_consents(tmp_path / "consents.tsv", opened(site).sample_ids, 20261101)
    assert (tmp_path / "consents.tsv").read_bytes() == bundled.read_bytes()
    assert bundled.read_text("utf-8").startswith("# ILLUSTRATIVE: no real consents are published")


def test_a_consent_depends_on_the_person_and_the_seed_alone(script: ModuleType) -> None:
    people = [iid for site in SITES for iid in opened(site).sample_ids]
    drawn = {iid: script.consent(iid, 7) for iid in people}
    assert drawn == {iid: script.consent(iid, 7) for iid in reversed(people)}
    assert drawn != {iid: script.consent(iid, 8) for iid in people}


def test_the_shares_are_those_announced(script: ModuleType) -> None:
    n = 20_000
    drawn = [script.consent(f"N{i}", 1) for i in range(n)]
    first = Counter(terms[0][0] for terms in drawn)
    more = Counter(term[0] for terms in drawn for term in terms[1:])
    shares = {"HMB": 0.64, "GRU": 0.30, "DS": 0.04, "XYZ:0000001": 0.02}
    added = {"NPOA": 0.94 * 0.04, "EQP:WITHDRAWN": 0.94 * 0.04}
    # Four standard errors of a share in 20,000.
    for found, expected in ((first, shares), (more, added)):
        assert set(found) == set(expected)
        for code, share in expected.items():
            assert abs(found[code] / n - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_consents_are_redrawn_in_a_copy_only(script: ModuleType, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    demo.copy(copy)
    before = (copy / "sites" / "FIN" / "consents.tsv").read_bytes()
    script.redraw(copy, 7)
    assert (copy / "sites" / "FIN" / "consents.tsv").read_bytes() != before
    script.redraw(copy, 20261101)
    assert (copy / "sites" / "FIN" / "consents.tsv").read_bytes() == before


def test_a_copy_is_the_same_study_and_can_be_edited(tmp_path: Path) -> None:
    demo.copy(tmp_path)  # empty: allowed
    for path in demo.folder().rglob("*"):
        if path.is_file():
            same = tmp_path / path.relative_to(demo.folder())
            assert same.read_bytes() == path.read_bytes()
            assert same.stat().st_mode & 0o200


def test_a_copy_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="a folder that holds files"):
        demo.copy(tmp_path)
    with pytest.raises(InputError, match=r"mine\.txt: no folder"):
        demo.copy(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_script_makes_the_bundled_bytes_again(script: ModuleType, tmp_path: Path) -> None:
    shared = ROOT.parent / "shared" / "data"
    if not (shared / "gstt1").is_dir():
        pytest.skip(f"no source data at {shared}")
    script.write_study(
        tmp_path, shared / "gstt1", shared / "kg2504" / "kg2504_pops.tsv", script.SEED
    )
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (demo.folder() / path.relative_to(tmp_path)).read_bytes()
