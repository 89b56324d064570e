"""Whole simulations: the files, and that the truth beside them is true."""

import json
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes import variants as listed
from equipoise.phenotypes.table import read
from equipoise.simulation.design import Design, Trait
from equipoise.simulation.run import simulate
from simulation.made import RANDOM, SMALL, Folder

Make = Callable[[Design], Folder]
BOTH = pytest.mark.parametrize("design", [SMALL, RANDOM], ids=["coalescent", "random"])
FAMILIES = replace(
    SMALL, relatives=30, chromosomes=6, variants=3000, length=6_000_000, maf=0.1, seed=3
)


@BOTH
def test_the_same_design_gives_the_same_bytes_in_any_executor(
    make: Make, design: Design, tmp_path: Path
) -> None:
    first = make(design).digest()
    with ThreadPoolExecutor(2) as executor:
        simulate(design, tmp_path / "again", executor)
    assert Folder(tmp_path / "again").digest() == first
    simulate(replace(design, seed=8), tmp_path / "other")
    other = Folder(tmp_path / "other").digest()
    assert other["sites/site-1/genotypes.bed"] != first["sites/site-1/genotypes.bed"]


@BOTH
def test_blocks_of_another_size_hold_the_same(
    make: Make, design: Design, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lossy = replace(design, missing=0.1, batch_missing=0.3, swapped=0.2)
    whole = make(lossy).digest()
    monkeypatch.setattr("equipoise.simulation.genomes.BYTES", 2000)
    monkeypatch.setattr("equipoise.simulation.run._VALUES", 2000)
    simulate(lossy, tmp_path / "blocks")
    blocks = Folder(tmp_path / "blocks").digest()
    # Sums of floats may be added in another order: the traits' last digits are not compared.
    genotypes = [name for name in whole if "genotypes" in name or name == "variants.tsv"]
    assert [blocks[name] for name in genotypes] == [whole[name] for name in genotypes]


@BOTH
def test_the_files_have_the_people_and_variants_asked(make: Make, design: Design) -> None:
    made = make(design)
    assert made.sites == list(design.site_names)
    files = [made.site(name) for name in made.sites]
    assert sum(file.n_samples for file in files) == design.n_people
    for name, file in zip(made.sites, files, strict=True):
        assert file.n_variants == design.variants
        kinds = {"height": "quantitative", "disease": "binary", "age": "quantitative", "sex": "categorical"}  # fmt: skip
        table = read(made.path / "sites" / name / "phenotypes.tsv", kinds, {})
        assert set(table.iids) == set(file.sample_ids)
        assert table.iids != file.sample_ids
    populations = made.column("truth-people.tsv", "population").tolist()
    assert {p: populations.count(p) for p in set(populations)} == dict(design.people)


@BOTH
def test_frequencies_of_the_list_are_those_of_the_files(make: Make, design: Design) -> None:
    made = make(design)
    table = listed.read(made.path / "variants.tsv")
    np.testing.assert_allclose(made.everybody().mean(axis=1) / 2, table.frequency, atol=1e-12)
    assert np.all(np.diff(table.position)[table.chromosome[1:] == table.chromosome[:-1]] > 0)


def test_variants_have_the_minor_allele_frequency_asked(make: Make) -> None:
    for design, least in (
        (SMALL, np.max),
        (
            replace(SMALL, maf=0.05, maf_everywhere=True, length=None, variants=200, chromosomes=1),
            np.min,
        ),
    ):
        made = make(design)
        population = made.column("truth-people.tsv", "population")
        dosage = made.everybody()
        share = np.stack([dosage[:, population == p].mean(axis=1) / 2 for p in design.populations])
        assert least(np.minimum(share, 1 - share), axis=0).min() >= design.maf


@BOTH
def test_truth_adds_up_to_the_genetic_values(make: Make, design: Design) -> None:
    made = make(design)
    dosage, population = made.everybody(), made.column("truth-people.tsv", "population")
    place = {
        (row["chromosome"], row["base_pair_location"]): i
        for i, row in enumerate(made.table("variants.tsv"))
    }
    for trait in design.traits:
        genetic = made.column("truth-people.tsv", f"genetic_{trait.name}").astype(float)
        causal = [row for row in made.table("truth.tsv") if row["trait"] == trait.name]
        assert len(causal) == trait.n_causal
        rows = [place[row["chromosome"], row["base_pair_location"]] for row in causal]
        for p in design.populations:
            mine = population == p
            effect = np.array([float(row[f"effect_{p}"]) for row in causal])
            share = np.array([float(row[f"frequency_{p}"]) for row in causal])
            score = dosage[np.ix_(rows, mine)].T @ effect
            np.testing.assert_allclose(score - score.mean(), genetic[mine], atol=1e-7)
            np.testing.assert_allclose(dosage[np.ix_(rows, mine)].mean(axis=1) / 2, share)
            if causal:
                assert genetic[mine].var() == pytest.approx(trait.h2)


def test_a_trait_has_the_heritability_asked_within_its_sampling_error(make: Make) -> None:
    traits = (Trait("a", h2=0.8), Trait("b", h2=0.3), Trait("none", "null"))
    design = replace(RANDOM, people=(("X", 4000), ("Y", 2000)), traits=traits, age_effect=0.5)
    made = make(design)
    reached = json.loads((made.path / "truth.json").read_text())["traits"]
    tables = [made.table(f"sites/{name}/phenotypes.tsv") for name in made.sites]
    rows = {row["IID"]: row for table in tables for row in table}
    people = made.table("truth-people.tsv")
    for trait in traits:
        for p, n in design.people:
            h2 = trait.h2 if trait.n_causal else 0.0
            assert abs(reached[trait.name]["heritability"][p] - h2) < 5 / np.sqrt(n)
            # From the files alone: regress on genetic value, covariates and sites.
            mine = [person for person in people if person["population"] == p]
            y = np.array([float(rows[m["IID"]][trait.name]) for m in mine])
            genetic = np.array([float(m[f"genetic_{trait.name}"]) for m in mine])
            columns = [
                [1.0, float(rows[m["IID"]]["age"]), float(rows[m["IID"]]["sex"])] for m in mine
            ]
            sites = [[float(m["site"] == s) for s in made.sites[1:]] for m in mine]
            design_matrix = np.column_stack([columns, sites, genetic])
            fit = np.linalg.lstsq(design_matrix, y, rcond=None)[0]
            residual = y - design_matrix @ fit
            assert abs(residual.var() - (1 - h2)) < 5 * (1 - h2) * np.sqrt(2 / n)
            assert abs(fit[1] - 0.05) < 5 * 0.1 / np.sqrt(n)
            if h2:
                assert abs(fit[-1] - 1) < 5 * np.sqrt((1 - h2) / h2 / n)


def test_a_binary_trait_has_its_prevalence_and_goes_with_its_liability(make: Make) -> None:
    trait = Trait("cad", "binary", h2=0.8, prevalence=0.2)
    made = make(replace(RANDOM, people=(("X", 4000),), traits=(trait,), site_effect=0.0))
    reached = json.loads((made.path / "truth.json").read_text())["traits"]["cad"]["prevalence"]
    assert abs(reached["all"] - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 4000)
    genetic = {r["IID"]: float(r["genetic_cad"]) for r in made.table("truth-people.tsv")}
    cases: dict[str, list[float]] = {"0": [], "1": []}
    for name in made.sites:
        for row in made.table(f"sites/{name}/phenotypes.tsv"):
            cases[row["cad"]].append(genetic[row["IID"]])
    assert len(cases["1"]) == round(4000 * reached["all"])
    # Mean liability of cases at 20 % is 1.4 SD; its genetic part h2 of that.
    assert np.mean(cases["1"]) > np.mean(cases["0"]) + 1


def test_people_of_several_populations_may_be_a_site_each(make: Make) -> None:
    made = make(replace(SMALL, sites=None))
    assert made.sites == ["AFR", "EUR"]
    people = made.table("truth-people.tsv")
    assert all(person["site"] == person["population"] for person in people)


def correlations(made: Folder, near: int) -> tuple[float, float]:
    """Return the mean r² of variants at most `near` bases apart, and on other chromosomes."""
    dosage = made.everybody()
    table = listed.read(made.path / "variants.tsv")
    population = made.column("truth-people.tsv", "population")
    mine = dosage[:, population == population[0]]
    common = mine.std(axis=1) > 0.4
    r2 = np.corrcoef(mine[common]) ** 2
    chromosome, position = table.chromosome[common], table.position[common]
    same = chromosome[:, None] == chromosome[None]
    close = np.abs(position[:, None] - position[None]) <= near
    upper = np.triu(np.ones_like(same), 1)
    return float(r2[same & close & upper].mean()), float(r2[~same & upper].mean())


def test_linkage_disequilibrium_is_there_and_decays(make: Make) -> None:
    design = replace(SMALL, chromosomes=2, variants=1000, length=1_000_000)
    near, apart = correlations(make(design), 2_000)
    farther, _ = correlations(make(design), 200_000)
    assert near > 2 * farther > 4 * apart


def test_independent_variants_have_none(make: Make) -> None:
    near, apart = correlations(make(RANDOM), 10_000)
    assert near < apart + 0.005


def shared(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return shared heterozygotes, opposing homozygotes and all heterozygotes of two people."""
    het_a, het_b = a == 1, b == 1
    return np.array([(het_a & het_b).sum(), (np.abs(a - b) == 2).sum(), het_a.sum() + het_b.sum()])


def kinship(counts: list[NDArray[np.int64]]) -> float:
    """Return the kinship of pairs taken together (KING, Manichaikul et al. 2010)."""
    both, opposing, all_ = np.sum(counts, axis=0)
    return float((both - 2 * opposing) / all_)


def test_relatives_have_their_kinship_and_strangers_none(make: Make) -> None:
    made = make(FAMILIES)
    dosage = made.everybody()
    people = made.table("truth-people.tsv")
    place = {row["IID"]: i for i, row in enumerate(people)}
    found: dict[str, list[NDArray[np.int64]]] = {"parent and child": [], "full sibs": []}
    pairs = made.table("truth-relatives.tsv")
    for pair in pairs:
        counts = shared(dosage[:, place[pair["IID1"]]], dosage[:, place[pair["IID2"]]])
        found[pair["kind"]].append(counts)
        assert pair["kind"] != "parent and child" or counts[1] == 0
    assert [len(each) for each in found.values()] == [15, 15]
    related = {iid for pair in pairs for iid in (pair["IID1"], pair["IID2"])}
    mine = [place[p["IID"]] for p in people if p["population"] == "EUR" and p["IID"] not in related]
    strangers = [shared(dosage[:, a], dosage[:, b]) for a, b in pairwise(mine)]
    # A sib pair shares one of some 8 Morgans' draws of 12 parental chromosomes: an SD of .07,
    # .02 for the mean of 15.
    assert abs(kinship(found["parent and child"]) - 0.25) < 0.03
    assert abs(kinship(found["full sibs"]) - 0.25) < 0.08
    assert abs(kinship(strangers)) < 0.02


def test_untyped_causal_variants_are_in_no_file(make: Make) -> None:
    design = replace(SMALL, untyped=True)
    made = make(design)
    written = {(r["chromosome"], r["base_pair_location"]) for r in made.table("variants.tsv")}
    causal = made.table("truth.tsv")
    assert len(written) == design.variants
    assert len(causal) == 100
    assert not written & {(r["chromosome"], r["base_pair_location"]) for r in causal}
    assert {r["typed"] for r in causal} == {"no"}
    values = made.column("truth-people.tsv", "genetic_height").astype(float)
    assert values.std() > 0.5


@BOTH
def test_calls_are_missing_at_the_rate_asked(make: Make, design: Design) -> None:
    lossy = make(replace(design, missing=0.03))
    lost = np.isnan(lossy.everybody())
    assert abs(lost.mean() - 0.03) < 5 * np.sqrt(0.03 / lost.size)
    # Nothing else has changed by it.
    whole = make(design).everybody()
    np.testing.assert_array_equal(lossy.everybody()[~lost], whole[~lost])


def test_a_bad_batch_is_a_quarter_of_a_site_at_few_variants(make: Make) -> None:
    made = make(replace(RANDOM, variants=2000, batch_missing=0.5))
    for name in made.sites:
        lost = np.isnan(made.dosage(name))
        assert 0 < lost.any(axis=0).mean() <= 0.25
        variants = lost.any(axis=1).mean()
        assert abs(variants - 0.05) < 5 * np.sqrt(0.05 / 2000)


def test_swaps_and_flips_are_as_planted_and_change_no_genotype(make: Make) -> None:
    made, plain = make(replace(SMALL, swapped=0.2, flipped=0.2)), make(SMALL)
    variants = made.table("variants.tsv")
    planted = {(r["chromosome"], r["base_pair_location"]): r for r in made.table("truth-planted.tsv")}  # fmt: skip
    assert 100 < len(planted) < 200
    np.testing.assert_array_equal(made.dosage("site-1"), plain.dosage("site-1"))
    dosage, before = made.dosage("site-2"), plain.dosage("site-2")
    file = made.site("site-2").variants
    other_strand = dict(zip("ACGT", "TGCA", strict=True))
    for v, row in enumerate(variants):
        done = planted.get((row["chromosome"], row["base_pair_location"]), {})
        alleles = row["effect_allele"], row["other_allele"]
        expected = before[v]
        if done.get("flipped") == "true":
            alleles = other_strand[alleles[0]], other_strand[alleles[1]]
        if done.get("swapped") == "true":
            alleles, expected = alleles[::-1], 2 - before[v]
        assert (file.effect_allele[v], file.other_allele[v]) == alleles
        np.testing.assert_array_equal(dosage[v], expected)


@BOTH
def test_it_says_everywhere_that_nothing_is_real(make: Make, design: Design) -> None:
    made = make(design)
    assert json.loads((made.path / "truth.json").read_text())["simulated"] is True
    notes = [made.path / "README.txt", *(made.path / "sites").glob("*/README.txt")]
    assert len(notes) == 1 + len(made.sites)
    assert all("Simulated" in note.read_text() for note in notes)
    assert all(iid.startswith("SIM") for iid in made.column("truth-people.tsv", "IID"))


def test_too_few_variants_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    pytest.importorskip("msprime", reason="the extra `simulate` is not installed")
    with pytest.raises(InputError, match="--length"):
        simulate(replace(SMALL, variants=5000), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_old_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(InputError, match="exists already"):
        simulate(RANDOM, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_msprime_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "msprime", None)
    with pytest.raises(InputError, match=r"equipoise\[simulate\]"):
        simulate(SMALL, tmp_path / "out")
    simulate(RANDOM, tmp_path / "random")


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_plink2_reads_the_files_and_finds_the_same(make: Make, tmp_path: Path) -> None:
    made = make(FAMILIES)
    pairs = {frozenset((r["IID1"], r["IID2"])) for r in made.table("truth-relatives.tsv") if r["kind"] == "parent and child"}  # fmt: skip
    found: set[frozenset[str]] = set()
    carried, alleles = np.zeros(FAMILIES.variants), 0
    for name in made.sites:
        command = ["plink2", "--bfile", str(made.path / "sites" / name / "genotypes"), "--freq", "cols=alt1,altfreq,nobs", "--make-king-table", "--out", str(tmp_path / name), "--threads", "1"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        rows = [line.split() for line in (tmp_path / f"{name}.afreq").read_text().splitlines()[1:]]
        carried += [float(row[-2]) * float(row[-1]) for row in rows]
        alleles += int(rows[0][-1])
        king = [line.split() for line in (tmp_path / f"{name}.kin0").read_text().splitlines()]
        header = [cell.lstrip("#") for cell in king[0]]
        one, other, value = (header.index(c) for c in ("IID1", "IID2", "KINSHIP"))
        found |= {
            frozenset((row[one], row[other])) for row in king[1:] if float(row[value]) > 0.177
        }
    assert pairs <= found
    frequency = [float(r["effect_allele_frequency"]) for r in made.table("variants.tsv")]
    # plink2 prints six significant digits.
    np.testing.assert_allclose(carried / alleles, frequency, atol=2e-6)
