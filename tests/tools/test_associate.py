"""`associate`: against statsmodels and plink2, split against pooled, and what it refuses."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.special import gammaln

from equipoise.errors import DisclosureError, InputError
from equipoise.genotypes import plink
from equipoise.genotypes.plink import write
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.tools import association_files, association_rows, linear
from equipoise.tools.associate import Request, associate

N, M = 203, 40


def listed(chromosomes: list[str]) -> Variants:
    rows = [(c, 100 + 10 * i, "A", "G") for i, c in enumerate(chromosomes)]
    return Variants.of(pl.DataFrame(rows, schema=list(HEADER), orient="row"))


class Study:
    """A cohort in files, and the rows behind them."""

    def __init__(self, folder: Path, missing: float = 0.05, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.folder = folder
        self.dosage = rng.binomial(2, rng.uniform(0.05, 0.5, (M, 1)), (M, N)).astype(float)
        self.dosage[rng.random((M, N)) < missing] = np.nan
        self.ids = [f"P{i}" for i in range(N)]
        self.sex = np.array([1, 2] * (N // 2) + [1], np.int8)
        self.c = np.column_stack([rng.normal(55, 8, N), rng.integers(0, 2, N)])
        self.y = 3 + 0.4 * np.nan_to_num(self.dosage[3]) + rng.standard_normal(N)
        self.chromosomes = ["1"] * M

    def genotypes(self, name: str, people: np.ndarray) -> str:
        write(
            self.folder / name,
            encode(self.dosage[:, people]),
            listed(self.chromosomes),
            tuple(self.ids[i] for i in people),
            self.sex[people],
        )
        return str(self.folder / f"{name}.bed")

    def table(self, name: str, people: np.ndarray, y: np.ndarray | None = None) -> Path:
        trait = self.y if y is None else y
        rows = ["IID\ty\tage\tsex"]
        rows += [
            f"{self.ids[i]}\t{float(trait[i])!r}\t{float(self.c[i, 0])!r}\t{float(self.c[i, 1])!r}"
            for i in people
        ]
        path = self.folder / f"{name}.tsv"
        path.write_text("\n".join(rows).replace("nan", "NA") + "\n")
        return path

    def request(self, *parts: np.ndarray) -> Request:
        made = [(self.genotypes(f"s{i}", p), self.table(f"s{i}", p)) for i, p in enumerate(parts)]
        genotypes, tables = zip(*made, strict=True)
        out = self.folder / f"out{len(parts)}.tsv"
        return Request(genotypes, tables, ("y",), ("age", "sex"), out)


def run(request: Request) -> pl.DataFrame:
    associate(request, lambda share: None)
    return pl.read_csv(request.out, separator="\t", null_values="NA")


def t(table: pl.DataFrame) -> np.ndarray:
    return (table["beta"] / table["standard_error"]).to_numpy()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_one_site_is_complete_case_regression(study: Study) -> None:
    table = run(study.request(np.arange(N)))
    for i in range(M):
        there = ~np.isnan(study.dosage[i])
        x = np.column_stack([np.ones(N), study.c, study.dosage[i]])[there]
        fit = sm.OLS(study.y[there], x).fit()
        assert table["beta"][i] == pytest.approx(fit.params[-1], rel=1e-6)
        assert table["standard_error"][i] == pytest.approx(fit.bse[-1], rel=1e-6)
        assert table["neg_log_10_p_value"][i] == pytest.approx(-np.log10(fit.pvalues[-1]), rel=1e-5)
        assert table["n"][i] == there.sum()
        assert table["effect_allele_frequency"][i] == pytest.approx(
            np.nanmean(study.dosage[i]) / 2, rel=1e-8
        )


def test_several_sites_are_the_regression_on_imputed_dosages(study: Study) -> None:
    order = np.random.default_rng(1).permutation(N)
    table = run(study.request(order[:50], order[50:120], order[120:]))
    imputed = np.where(
        np.isnan(study.dosage), np.nanmean(study.dosage, axis=1, keepdims=True), study.dosage
    )
    for i in range(M):
        fit = sm.OLS(study.y, np.column_stack([np.ones(N), study.c, imputed[i]])).fit()
        assert t(table)[i] == pytest.approx(fit.tvalues[-1], abs=2e-5)


def test_masks_and_splits_change_no_digit(study: Study) -> None:
    order = np.random.default_rng(2).permutation(N)
    three = study.request(order[:60], order[60:100], order[100:])
    masked = run(replace(three, protection="masked"))
    clear = run(replace(three, protection="clear"))
    two = run(study.request(order[:33], order[33:]))
    assert masked.write_csv() == clear.write_csv()
    np.testing.assert_allclose(t(two), t(clear), atol=1e-6)


def test_a_site_with_other_alleles_order_and_strand_is_read_right(study: Study) -> None:
    people = np.arange(N)
    request = study.request(people[:100], people[100:])
    first = t(run(request))
    flipped = (
        listed(["1"] * M).frame().with_columns(effect_allele=pl.lit("C"), other_allele=pl.lit("T"))
    )
    backwards = Variants.of(flipped.reverse())
    swapped = 2 - study.dosage[::-1][:, 100:]
    ids = tuple(study.ids[i] for i in people[100:])
    write(study.folder / "s1", encode(swapped), backwards, ids, study.sex[100:])
    np.testing.assert_allclose(t(run(request)), first, rtol=1e-12)


def test_several_traits_in_one_pass_are_each_as_alone(study: Study) -> None:
    rng = np.random.default_rng(3)
    everybody = np.arange(N)
    genotypes = study.genotypes("all", everybody)
    y = {"a": study.y, "b": rng.standard_normal(N), "c": rng.standard_normal(N)}
    y["c"][:20] = np.nan
    frame = pl.DataFrame({"IID": study.ids, **y, "age": study.c[:, 0]})
    path = study.folder / "traits.tsv"
    path.write_text(frame.write_csv(separator="\t").replace("NaN", "NA"))
    out = study.folder / "many.tsv"
    request = Request((genotypes,), (path,), ("a", "b", "c"), ("age",), out)
    done = {one.trait: one for one in associate(request, lambda share: None)}
    for name in y:
        alone = replace(request, traits=(name,), out=study.folder / f"alone-{name}.tsv")
        assert done[name].path.name == f"many.{name}.tsv"
        np.testing.assert_allclose(
            t(pl.read_csv(done[name].path, separator="\t", null_values="NA")),
            t(run(alone)),
            rtol=1e-6,
        )


def test_far_beyond_the_least_double_p_is_right(study: Study) -> None:
    study.y = 1000 * np.nan_to_num(study.dosage[3]) + np.random.default_rng(0).standard_normal(N)
    study.dosage = np.nan_to_num(study.dosage)
    table = run(study.request(np.arange(N)))
    assert table["neg_log_10_p_value"][3] > 300
    expected = minus_log_10_p(float(t(table)[3]), N - 4)
    assert table["neg_log_10_p_value"][3] == pytest.approx(expected, rel=1e-6)


def minus_log_10_p(value: float, dof: int) -> float:
    """Integrate Student's density by itself, over the logarithm of t, in logarithms."""
    steps = np.linspace(0, 1, 400_001)
    log_density = -(dof + 1) / 2 * np.log1p((value * np.exp(steps)) ** 2 / dof) + steps
    top = log_density.max()
    area = np.trapezoid(np.exp(log_density - top), steps)
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - np.log(dof * np.pi) / 2
    return float(-(np.log(2 * abs(value) * area) + top + constant) / np.log(10))


def test_covariates_that_say_nothing_new_are_dropped_and_named(study: Study) -> None:
    study.c = np.column_stack([study.c[:, 0], 2 * study.c[:, 0] + 1])
    request = study.request(np.arange(N))
    (done,) = associate(request, lambda share: None)
    assert done.summary["dropped_covariates"] == ["sex"]
    alone = run(replace(request, covariates=("age",)))
    np.testing.assert_allclose(t(pl.read_csv(request.out, separator="\t")), t(alone), rtol=1e-9)


def test_x_is_adjusted_for_sex_and_y_is_of_men(study: Study) -> None:
    study.chromosomes = ["1"] * (M - 10) + ["X"] * 8 + ["Y"] * 2
    request = replace(study.request(np.arange(N)), covariates=("age",))
    (done,) = associate(request, lambda share: None)
    table = pl.read_csv(request.out, separator="\t", null_values="NA")
    on_x = study.dosage[M - 10 : M - 2, study.sex == 1]
    assert done.summary["heterozygous_men_on_x"] == np.count_nonzero(on_x == 1)
    men = study.sex == 1
    for i in range(M - 10, M):
        g = study.dosage[i].copy()
        x = [np.ones(N), study.c[:, 0], study.sex.astype(float), g]
        if i >= M - 2:
            g[~men] = np.nan
            x.pop(2)
        there = ~np.isnan(g)
        fit = sm.OLS(study.y[there], np.column_stack(x)[there]).fit()
        assert t(table)[i] == pytest.approx(fit.tvalues[-1], rel=1e-5)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_plink2_gives_the_same(study: Study) -> None:
    study.chromosomes = ["1"] * (M - 10) + ["X"] * 10
    request = study.request(np.arange(N))
    ours = run(request)
    command = ["plink2", "--bfile", str(study.folder / "s0"), "--glm", "omit-ref", "hide-covar"]
    command += ["--pheno", str(request.phenotypes[0]), "--pheno-name", "y"]
    command += ["--covar", str(request.phenotypes[0]), "--covar-name", "age"]
    command += ["--vif", "1000", "--out", str(study.folder / "plink")]
    subprocess.run(command, check=True, capture_output=True)
    theirs = pl.read_csv(study.folder / "plink.y.glm.linear", separator="\t", null_values="NA")
    mine = run(replace(request, covariates=("age",)))
    np.testing.assert_allclose(t(mine), theirs["T_STAT"].to_numpy(), atol=1e-4)
    np.testing.assert_array_equal(mine["n"].to_numpy(), theirs["OBS_CT"].to_numpy())
    assert len(ours) == M


def test_people_are_matched_by_iid_and_counted(study: Study) -> None:
    people = np.arange(N)
    genotypes = study.genotypes("all", people)
    study.y[:7] = np.nan
    study.y[7] = -9
    study.c[8, 0] = np.nan
    path = study.table("some", people[:-10][::-1])
    path.write_text(path.read_text() + "nobody\t1\t50\t0\n")
    request = Request((genotypes,), (path,), ("y",), ("age",), study.folder / "o.tsv")
    (done,) = associate(request, lambda share: None)
    assert done.summary["people"]["all"] == {
        "in_genotypes": N,
        "not_in_phenotypes": 10,
        "without_trait": 8,
        "without_covariate": 1,
        "taken": N - 19,
        "phenotypes_not_in_genotypes": 1,
    }
    assert done.summary["trait_cells_of_minus_9_taken_as_missing"] == 1


def test_a_table_parted_by_blanks_is_read(study: Study) -> None:
    request = study.request(np.arange(N))
    first = run(request).write_csv()
    text = request.phenotypes[0].read_text().replace("\t", "  ").replace("IID", " #IID")
    request.phenotypes[0].write_text(text)
    assert run(request).write_csv() == first


def test_two_levels_may_be_words(study: Study) -> None:
    request = study.request(np.arange(N))
    first = run(request).write_csv()
    path = request.phenotypes[0]
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    words = {"0.0": "Male", "1.0": "F"}
    path.write_text("\n".join("\t".join([*r[:-1], words.get(r[-1], r[-1])]) for r in rows))
    assert run(request).write_csv() == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: replace(r, traits=("z",)), "no column 'z'"),
        (lambda r: replace(r, traits=("y", "y")), "named twice"),
        (lambda r: replace(r, genotypes=("nowhere.bed",)), "no such file"),
        (lambda r: replace(r, phenotypes=r.phenotypes * 3), "3 tables of phenotypes for 1 sites"),
        (lambda r: replace(r, scheduler="tcp://x"), "expected dask://HOST:PORT"),
    ],
)
def test_wrong_requests_are_refused(study: Study, change, said: str) -> None:
    request = change(study.request(np.arange(N)))
    with pytest.raises(InputError, match=said):
        associate(request, lambda share: None)
    assert not request.out.exists()


def test_wrong_cells_constant_traits_and_strangers_are_refused(study: Study) -> None:
    request = study.request(np.arange(N))
    path = request.phenotypes[0]
    good = path.read_text()
    for text, said in (
        (good.replace("P5\t", "P5\tx", 1), "1 cells of 'y' that are no numbers"),
        (good.replace("\nP", "\nQ"), "none of the 203 people"),
        (good + good.split("\n", 1)[1], "come twice"),
        (good.replace("IID", "who"), "no column IID"),
        (good + "P1\n", "rows of other lengths|twice"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            associate(request, lambda share: None)
    study.table("s0", np.arange(N), np.full(N, 3.0))
    with pytest.raises(InputError, match="the same in everybody"):
        associate(request, lambda share: None)
    assert not request.out.exists()


def test_masks_for_two_sites_are_refused(study: Study) -> None:
    request = study.request(np.arange(100), np.arange(100, N))
    with pytest.raises(DisclosureError):
        associate(replace(request, protection="masked"), lambda share: None)


def content(request: Request) -> bytes:
    associate(request, lambda share: None)
    return request.out.read_bytes()


@pytest.mark.parametrize("n_sites", [1, 3])
def test_blocks_files_and_threads_change_no_byte(
    study: Study, n_sites: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.chromosomes = ["1"] * 20 + ["X"] * 8 + ["2"] * 7 + ["X"] * 2 + ["MT"] * 3
    request = study.request(*np.array_split(np.arange(N), n_sites))
    whole = content(request)
    monkeypatch.setattr(association_rows, "MOST", 0)
    monkeypatch.setattr(association_files, "ROWS", 7)
    monkeypatch.setattr(linear, "BYTES", 1)
    monkeypatch.setattr(plink, "PIECE", 64)
    plink._LAST.clear()
    assert content(request) == whole
    assert content(replace(request, threads=2)) == whole


def test_a_scan_that_breaks_off_leaves_the_old_table(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = study.request(np.arange(N))
    request.out.write_text("old")
    monkeypatch.setattr(association_files, "ROWS", 16)
    monkeypatch.setattr(linear, "BYTES", 1)
    found, blocks = linear._complete, []

    def breaking(*args: Any) -> Any:
        blocks.append(args)
        if len(blocks) == 2:
            raise InputError("a broken block")
        return found(*args)

    monkeypatch.setattr(linear, "_complete", breaking)
    with pytest.raises(InputError, match="broken"):
        associate(request, lambda share: None)
    assert len(blocks) == 2
    assert request.out.read_text() == "old"
    assert not list(request.out.parent.glob("*.part"))


def test_the_table_is_written_while_the_scan_goes_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association_files, "ROWS", 16)
    monkeypatch.setattr(linear, "BYTES", 1)
    order: list[str] = []
    block, scan = association_files._block, linear._complete

    def writing(*args: Any) -> Any:
        order.append("written")
        return block(*args)

    def scanning(*args: Any) -> Any:
        order.append("scanned")
        return scan(*args)

    monkeypatch.setattr(association_files, "_block", writing)
    monkeypatch.setattr(linear, "_complete", scanning)
    associate(study.request(np.arange(N)), lambda share: None)
    assert order == ["scanned", "written"] * 3
