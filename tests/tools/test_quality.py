"""`equipoise qc`: plink2's figures on real genotypes, planted faults, and what is not said."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import equipoise.demo
from equipoise.cli.qualifying import qualify_and_tell
from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode, people
from equipoise.tools import quality, quality_files
from equipoise.tools.chromosome_kinds import OTHER, SHARED, X, Y, kinds
from equipoise.tools.quality import Groups, examine

SITES = Path(equipoise.demo.__file__).parent / "gstt1" / "sites"
plink2 = pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")

Dosage = NDArray[np.float64]


def listed(chromosomes: list[str], positions: list[int] | None = None) -> Variants:
    n = len(chromosomes)
    rows = {
        HEADER[0]: chromosomes,
        HEADER[1]: positions or [5_000_000 + 10 * i for i in range(n)],
        HEADER[2]: ["A"] * n,
        HEADER[3]: ["G"] * n,
    }
    return Variants.of(pl.DataFrame(rows))


def study(seed: int = 1, n: int = 40, autosomal: int = 600, on_x: int = 200) -> Dosage:
    """Return genotypes of autosomes, then X: the even people are men."""
    draw = np.random.default_rng(seed)
    p = draw.uniform(0.1, 0.5, (autosomal + on_x, 1))
    dosage = draw.binomial(2, p, (autosomal + on_x, n)).astype(np.float64)
    dosage[autosomal:, ::2] = 2 * draw.binomial(1, p[autosomal:], (on_x, n))[:, ::2]
    return dosage


def write(folder: Path, name: str, dosage: Dosage, variants: Variants, sex: Any = None) -> str:
    ids = tuple(f"{name}-secret{i}" for i in range(dosage.shape[1]))
    plink.write(folder / name, encode(dosage), variants, ids, sex)
    return str(folder / f"{name}.bed")


def run(genotypes: list[str], out: Path, **more: Any) -> dict[str, pl.DataFrame]:
    options = {"phenotypes": [], "trait": None, "strata": None, "compare": True, "executor": None}
    qualify_and_tell(genotypes, out, as_json=True, **(options | more))
    names = ("variants", "people", "relatives")
    return {
        name: pl.read_csv(
            out / f"{name}.tsv", separator="\t", null_values="NA", infer_schema_length=None
        )
        for name in names
    }


def real(folder: Path, missing: float) -> Path:
    """Write a site of the demo with some calls taken away, and a name for every variant."""
    file = plink.PlinkFile.open(SITES / "FIN" / "genotypes.bed")
    draw = np.random.default_rng(1)
    block = file.packed(0, file.n_variants)
    hole = draw.random((*block.shape, 4)) < missing
    mask = (hole * np.array([3, 12, 48, 192], np.uint8)).sum(axis=2, dtype=np.uint8)
    block = (block & ~mask | mask & np.uint8(0x55)) & people(file.n_samples)
    plink.write(folder / "fin", block, file.variants, file.sample_ids)
    return folder / "fin"


@plink2
@pytest.mark.parametrize("missing", [0.0, 0.02])
def test_counts_missingness_hardy_and_heterozygosity_equal_plink2(
    tmp_path: Path, missing: float
) -> None:
    prefix = real(tmp_path, missing)
    for flag in ("hardy", "hardy midp", "missing", "het"):
        command = ["plink2", "--bfile", str(prefix), *f"--{flag}".split(), "--out", flag[-4:]]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    def theirs(name: str, column: str) -> NDArray[Any]:
        return pl.read_csv(tmp_path / name, separator="\t")[column].to_numpy()

    found = run([f"{prefix}.bed"], tmp_path / "out", compare=False)
    variants, persons = found["variants"], found["people"]
    np.testing.assert_array_equal(variants["not_called"], theirs("sing.vmiss", "MISSING_CT"))
    np.testing.assert_array_equal(variants["het"], theirs("ardy.hardy", "HET_A1_CT"))
    np.testing.assert_array_equal(persons["missing"], theirs("sing.smiss", "MISSING_CT"))
    np.testing.assert_array_equal(persons["hom"], theirs("-het.het"[1:], "O(HOM)"))
    np.testing.assert_array_equal(persons["polymorphic"], theirs("-het.het"[1:], "OBS_CT"))
    # plink2 prints six digits.
    for ours, name, column in (
        ("hwe_p", "ardy.hardy", "P"),
        ("hwe_mid_p", "midp.hardy", "MIDP"),
    ):
        np.testing.assert_allclose(variants[ours], theirs(name, column), rtol=6e-6)
    np.testing.assert_allclose(persons["inbreeding"], theirs("-het.het"[1:], "F"), atol=1e-6)


def test_threads_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    file = plink.PlinkFile.open(SITES / "CEU" / "genotypes.bed")
    parts = ("c", file, file.sample_ids, file.sex, file.variants)
    plain = examine(*parts, cutoff=0.05)
    monkeypatch.setattr("equipoise.tools.relatedness._BYTES", 50_000)
    with ThreadPoolExecutor(2) as threads:
        split = examine(*parts, cutoff=0.05, executor=threads)
    np.testing.assert_array_equal(plain.variants.counts, split.variants.counts)
    np.testing.assert_array_equal(plain.variants.hardy[""].mid_p, split.variants.hardy[""].mid_p)
    # Sums of floats in another order.
    np.testing.assert_allclose(plain.people.inbreeding, split.people.inbreeding, atol=1e-12)


def test_kinds_of_chromosome() -> None:
    names = ["1", "22", "X", "23", "X", "X", "Y", "24", "XY", "MT", "0"]
    positions = [100, 100, 5_000_000, 5_000_000, 2_000_000, 155_000_000, 5, 5, 5, 5, 5]
    expected = [0, 0, X, X, SHARED, SHARED, Y, Y, SHARED, OTHER, OTHER]
    assert kinds(listed(names, positions)).tolist() == expected


def test_sexes_are_told_from_x_and_swaps_are_seen(tmp_path: Path) -> None:
    dosage = study()
    sex = np.array([1, 2] * 20, np.int8)
    sex[0], sex[1], sex[2] = 2, 1, 0
    chromosomes = ["1"] * 600 + ["X"] * 200
    found = run([write(tmp_path, "a", dosage, listed(chromosomes), sex)], tmp_path / "out")
    persons = found["people"]
    assert persons["sex_of_x"].to_list() == ["male", "female"] * 20
    assert persons["sex_check"].to_list() == ["differs", "differs", "not reported"] + ["ok"] * 37
    women = dosage[600:, sex == 2]
    on_x = found["variants"][600:]
    # Hardy-Weinberg on X in women, and men's one copy counted once.
    assert set(on_x["hwe_n"]) == {women.shape[1]}
    men = dosage[600:, sex == 1]
    hemizygous = (men == 2).sum(axis=1)
    others = dosage[600:, sex != 1].sum(axis=1)
    called = (men != 1).sum(axis=1) + 2 * (sex != 1).sum()
    np.testing.assert_allclose(
        on_x["effect_allele_frequency"], (hemizygous + others) / called, rtol=1e-8
    )


def test_without_x_no_sex_is_told_and_the_reason_is(tmp_path: Path) -> None:
    dosage = study(on_x=10)
    file = write(tmp_path, "a", dosage, listed(["1"] * 600 + ["X"] * 10))
    assert run([file], tmp_path / "out")["people"]["sex_check"].null_count() == 40
    said = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "variants on X" in said["sites"]["a"]["sex"]["reason"]


def test_y_and_mitochondria_are_counted_and_not_tested(tmp_path: Path) -> None:
    dosage = study(autosomal=602, on_x=0)
    dosage[600, 1::2] = np.nan
    dosage[600, 0] = np.nan
    sex = np.array([1, 2] * 20, np.int8)
    found = run(
        [write(tmp_path, "a", dosage, listed(["1"] * 600 + ["Y", "MT"]), sex)], tmp_path / "out"
    )
    last = found["variants"][600:]
    # On Y only men are asked.
    assert last["not_called"].to_list() == [1, 0]
    assert last["hom_effect"][0] + last["het"][0] + last["hom_other"][0] == 19
    assert last["hwe_mid_p"].null_count() == 2
    assert found["people"]["missing"].to_list()[:3] == [1, 0, 0]
    assert found["people"]["variants"].to_list()[:2] == [602, 601]


def test_planted_faults_are_marked(tmp_path: Path) -> None:
    dosage = study(seed=3, n=60)
    dosage[10] = 1  # a variant that everybody is heterozygous for
    dosage[:, 5] = dosage[:, 4]  # sampled twice
    dosage[:600, 7] = 1  # contaminated
    dosage[:300, 9] = np.nan  # badly called
    found = run([write(tmp_path, "a", dosage, listed(["1"] * 600 + ["2"] * 200))], tmp_path / "out")
    persons = found["people"]
    assert np.flatnonzero(persons["duplicate"] == "yes").tolist() == [4, 5]
    assert persons["unrelated"].to_list().count("no") >= 1
    assert persons["heterozygosity_outlier"][7] == "yes"
    assert persons["call_rate"][9] == pytest.approx(500 / 800)
    assert found["variants"]["hwe_mid_p"][10] < 1e-9
    assert found["relatives"]["DEGREE"][0] == "duplicate or twin"


def test_hardy_weinberg_is_in_controls_and_by_stratum(tmp_path: Path) -> None:
    dosage = study(n=80, on_x=0)
    # All cases are heterozygous: in everybody the variant fails, among controls it does not.
    dosage[0, :40] = 1
    file = write(tmp_path, "a", dosage, listed(["1"] * 600))
    rows = [
        f"a-secret{i}\t{int(i < 40) + 1}\t{'NA' if i == 79 else 'north' if i % 2 else 'south'}"
        for i in range(80)
    ]
    table = tmp_path / "p.tsv"
    table.write_text("\n".join(["IID\tcase\tregion", *rows]) + "\n")
    plain = run([file], tmp_path / "1")["variants"]
    controls = run([file], tmp_path / "2", phenotypes=[table], trait="case")["variants"]
    both = run([file], tmp_path / "3", phenotypes=[table], trait="case", strata="region")
    assert plain["hwe_n"][0] == 80
    assert controls["hwe_n"][0] == 40
    assert plain["hwe_mid_p"][0] < 1e-4 < controls["hwe_mid_p"][0]
    assert "hwe_n" not in both["variants"].columns
    assert both["variants"]["hwe_n:north"][0] == 19
    assert both["variants"]["hwe_n:south"][0] == 20
    assert both["people"]["stratum"][79] is None


def test_sites_are_tested_alone_and_small_numbers_hidden(tmp_path: Path) -> None:
    first, second = study(seed=5), study(seed=6)
    second[:, 3] = second[:, 2]
    variants = listed(["1"] * 600 + ["X"] * 200)
    files = [write(tmp_path, n, d, variants) for n, d in (("a", first), ("b", second))]
    found = run(files, tmp_path / "out")
    alone = run([files[1]], tmp_path / "alone")
    assert found["variants"].height == 1600
    assert found["variants"].filter(pl.col("site") == "b").equals(alone["variants"])
    said = json.loads((tmp_path / "out" / "summary.json").read_text())
    pairs = said["sites"]["b"]["kinship"]
    assert pairs["pairs"]["duplicate or twin"] is None
    assert pairs["unrelated"] is None
    assert any("rows of both" in note for note in said["notes"])
    assert (
        json.loads((tmp_path / "alone" / "summary.json").read_text())["sites"]["b"]["kinship"][
            "pairs"
        ]["duplicate or twin"]
        == 1
    )

    def numbers(content: Any) -> list[int]:
        if isinstance(content, dict):
            return [n for part in content.values() for n in numbers(part)]
        if isinstance(content, list):
            return [n for part in content for n in numbers(part)]
        return [content] if isinstance(content, int) and not isinstance(content, bool) else []

    for site in said["sites"].values():
        persons = [site["people_found"], site["kinship"].get("histogram"), site["sex"]["found"]]
        assert not {1, 2, 3, 4} & set(numbers(persons))


def test_no_hidden_count_follows_from_the_others() -> None:
    hidden = quality_files._hidden
    assert hidden([9, 0, 3, 7]) == [9, 0, None, None]
    assert hidden([2, 0, 3, 7]) == [None, 0, None, 7]
    assert hidden([1, 1, 70, 60]) == [None, None, 70, None]
    assert hidden([0, 3]) == [0, None]
    assert hidden([5, 0]) == [5, 0]


def test_the_report_names_nobody_and_needs_nothing(tmp_path: Path) -> None:
    variants = listed(["1"] * 600 + ["X"] * 200)
    files = [write(tmp_path, n, study(seed=i), variants) for i, n in enumerate("ab")]
    run(files, tmp_path / "out")
    for name in ("report.html", "summary.json"):
        assert "secret" not in (tmp_path / "out" / name).read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "https://" not in page
    assert "default-src 'none'" in unescape(page)
    assert "&lt;5" in page
    assert page.count('role="img"') >= 8


def test_a_site_with_a_hostile_name_is_escaped(tmp_path: Path) -> None:
    file = write(tmp_path, "<b>&x", study(n=12), listed(["1"] * 800))
    run([file], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>&x" not in page
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize(
    "dosage",
    [np.full((60, 12), np.nan), np.zeros((60, 12)), np.ones((60, 12)), np.ones((1, 1))],
    ids=["nobody called", "monomorphic", "all heterozygous", "one by one"],
)
def test_degenerate_genotypes_are_told_without_warnings(tmp_path: Path, dosage: Dosage) -> None:
    found = run([write(tmp_path, "a", dosage, listed(["1"] * len(dosage)))], tmp_path / "out")
    assert found["variants"].height == len(dosage)
    assert found["people"].height == dosage.shape[1]


def test_p_values_below_the_least_double_are_spelt() -> None:
    spelt = quality_files._p_value(np.array([np.nan, 0.0, 2.0, 20.0, 400.5]))
    assert spelt.to_list() == [None, "1.0", "0.01", "1e-20", "3.162278e-401"]


def test_what_is_there_already_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "a", study(), listed(["1"] * 800))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        run([file], tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["mine.txt"]

    def broken(*_: Any, **__: Any) -> str:
        raise OSError("no space")

    monkeypatch.setattr("equipoise.dossier.quality_report.render", broken)
    with pytest.raises(OSError, match="no space"):
        run([file], tmp_path / "new")
    assert sorted(f.name for f in tmp_path.glob("new*")) == []


def test_columns_without_a_table_and_odd_codes_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "a", study(), listed(["1"] * 800))
    with pytest.raises(InputError, match="--phenotypes"):
        run([file], tmp_path / "out", trait="case")
    table = tmp_path / "p.tsv"
    rows = "".join(f"a-secret{i}\t{3 + i % 2}\n" for i in range(40))
    table.write_text(f"IID\tcase\n{rows}")
    with pytest.raises(InputError, match="0 and 1"):
        run([file], tmp_path / "out", phenotypes=[table], trait="case")
    with pytest.raises(InputError, match="no column"):
        run([file], tmp_path / "out", phenotypes=[table], strata="region")
    table.write_text(f"IID\tcase\n{rows}a-secret0\t3\n")
    with pytest.raises(InputError, match="twice") as refused:
        run([file], tmp_path / "out", phenotypes=[table], strata="case")
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_trait_of_many_values_has_no_controls(tmp_path: Path) -> None:
    file = write(tmp_path, "a", study(), listed(["1"] * 800))
    table = tmp_path / "p.tsv"
    table.write_text("IID\tbmi\n" + "".join(f"a-secret{i}\t{20 + i}\n" for i in range(40)))
    run([file], tmp_path / "out", phenotypes=[table], trait="bmi")
    said = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert any("everybody" in note for note in said["notes"])


def test_groups_of_nobody_are_tested_in_nobody() -> None:
    file = plink.PlinkFile.open(SITES / "GBR" / "genotypes.bed")
    none = Groups(controls=np.zeros(file.n_samples, np.bool_))
    found = examine(
        "g", file, file.sample_ids, file.sex, file.variants, groups=none, compare=False, cutoff=0.1
    )
    assert np.isnan(found.variants.hardy[quality.EVERYBODY].mid_p).all()
    assert found.kinships is None
