"""Firth's and the plain fit against plink2, a slow twin, and statsmodels."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from equipoise.genotypes.plink import write
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.solvers.firth import Fits, Status, firth, logistic

DATA = Path(__file__).resolve().parent.parent / "data"
COVARIATES = ("sex", "age", "exposure")


def golden():
    """Return plink2's table, the people, dosages of plink2's allele, and covariates."""
    read = {"separator": "\t", "comment_prefix": "#", "null_values": "NA"}
    table = pl.read_csv(DATA / "binary_plink2.tsv", **read)
    people = pl.read_csv(DATA / "binary_people.tsv", **read)
    text = {".": np.nan, "0": 0.0, "1": 1.0, "2": 2.0}
    dosage = np.array([[text[c] for c in row] for row in table["genotypes"]])
    other = (table["A1"] == "C").to_numpy()
    dosage[other] = 2 - dosage[other]
    columns = [people[name].to_numpy().astype(float) for name in COVARIATES]
    return table, people, dosage, np.column_stack([np.ones(len(people)), *columns])


def compared(fits: Fits, beta, error, p) -> None:
    """Check against plink2, which stops at a step of 1e-4 and computes in single precision."""
    assert (np.abs(fits.beta - beta) / error).max() < 1e-3
    np.testing.assert_allclose(fits.standard_error, error, rtol=1e-3)
    np.testing.assert_allclose(fits.log_p, np.log(p), atol=5e-3)


def test_firth_is_plink2s() -> None:
    table, people, dosage, terms = golden()
    fits = firth(dosage, terms, people["trait"].to_numpy().astype(float))
    assert (fits.status == Status.OK).all()
    np.testing.assert_array_equal(fits.n, table["n"])
    compared(fits, *(table[f"firth_{name}"].to_numpy() for name in ("beta", "se", "p")))


def test_plain_logistic_is_plink2s_and_separated_where_plink2_says_so() -> None:
    table, people, dosage, terms = golden()
    fits = logistic(dosage, terms, people["trait"].to_numpy().astype(float))
    separated = table["no-firth_error"].str.starts_with("SEPARATION").to_numpy()
    assert separated.sum() >= 20
    np.testing.assert_array_equal(fits.status, np.where(separated, Status.SEPARATED, Status.OK))
    assert np.isnan(fits.beta[separated]).all()
    ok = ~separated
    theirs = (table[f"no-firth_{name}"].to_numpy()[ok] for name in ("beta", "se", "p"))
    kept = Fits(*(getattr(fits, name)[ok] for name in Fits.__slots__))
    compared(kept, *theirs)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_firth_is_that_of_the_plink2_at_hand(tmp_path) -> None:
    _, people, dosage, _ = golden()
    draw = np.random.default_rng(4)
    trait = (draw.random(len(people)) < 0.08).astype(int)
    people = people.with_columns(trait=pl.Series(trait))
    people.write_csv(tmp_path / "people", separator="\t")
    n = len(dosage)
    names = [["1"] * n, list(range(1, n + 1)), ["A"] * n, ["C"] * n]
    listed = Variants.of(pl.DataFrame(names, schema=list(HEADER)))
    write(tmp_path / "g", encode(dosage), listed, tuple(people["IID"]))
    table = tmp_path / "people"
    command = ["plink2", "--bfile", "g", "--pheno", str(table), "--pheno-name", "trait", "--1"]
    command += ["--covar", str(table), "--covar-name", "age", "exposure", "--threads", "1"]
    columns = "cols=chrom,pos,ref,alt,a1count,nobs,beta,se,p,err"
    command += ["--out", "out", "--glm", "hide-covar", "firth", columns]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (path,) = tmp_path.glob("out.trait.glm.*")
    theirs = pl.read_csv(path, separator="\t", null_values="NA", infer_schema_length=None)
    flipped = (theirs["A1"] == "C").to_numpy()
    dosage[flipped] = 2 - dosage[flipped]
    ages = [people[name].to_numpy().astype(float) for name in ("age", "exposure")]
    fits = firth(dosage, np.column_stack([np.ones(len(people)), *ages]), trait.astype(float))
    error = "LOG(OR)_SE" if "LOG(OR)_SE" in theirs.columns else "SE"
    compared(fits, *(theirs[name].to_numpy() for name in ("BETA", error, "P")))


def small(seed, n=60, variants=3):
    draw = np.random.default_rng(seed)
    terms = np.column_stack([np.ones(n), draw.normal(size=n)])
    dosage = draw.binomial(2, 0.3, (variants, n)).astype(float)
    dosage[draw.random(dosage.shape) < 0.05] = np.nan
    y = (draw.random(n) < 0.3).astype(float)
    y[:2] = 0, 1
    return dosage, terms, y


def penalised(beta, x, y):
    eta = x @ beta
    p = 1 / (1 + np.exp(-eta))
    information = x.T @ ((p * (1 - p))[:, None] * x)
    return y @ eta - np.logaddexp(0, eta).sum() + np.linalg.slogdet(information)[1] / 2


def maximised(x, y, fixed):
    """Return where the penalised likelihood is greatest, the last `fixed` terms left at 0."""

    def less(b):
        return -penalised(np.concatenate([b, np.zeros(fixed)]), x, y)

    start = np.zeros(x.shape[1] - fixed)
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 4000}
    return optimize.minimize(less, start, method="Nelder-Mead", options=options)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_firth_maximises_the_penalised_likelihood(seed) -> None:
    dosage, terms, y = small(seed)
    fits = firth(dosage, terms, y, ratio=True)
    for v in np.flatnonzero(fits.status == Status.OK):
        kept = ~np.isnan(dosage[v])
        x = np.column_stack([terms, dosage[v]])[kept]
        found, without = maximised(x, y[kept], 0), maximised(x, y[kept], 1)
        # As near as the simplex comes to a flat top.
        assert fits.beta[v] == pytest.approx(found.x[2], abs=2e-5)
        statistic = 2 * max(without.fun - found.fun, 0.0)
        assert fits.ratio[v] == pytest.approx(stats.chi2.logsf(statistic, 1), abs=1e-4)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_plain_logistic_is_statsmodels(seed) -> None:
    dosage, terms, y = small(seed, n=200)
    fits = logistic(dosage, terms, y, ratio=True)
    for v in np.flatnonzero(fits.status == Status.OK):
        kept = ~np.isnan(dosage[v])
        x = np.column_stack([terms, dosage[v]])[kept]
        theirs = sm.Logit(y[kept], x).fit(disp=0, tol=1e-12)
        assert fits.beta[v] == pytest.approx(theirs.params[2], abs=1e-7)
        assert fits.standard_error[v] == pytest.approx(theirs.bse[2], rel=1e-6)
        assert fits.log_p[v] == pytest.approx(np.log(theirs.pvalues[2]), abs=1e-6)
        less = sm.Logit(y[kept], terms[kept]).fit(disp=0, tol=1e-12)
        expected = stats.chi2.logsf(2 * (theirs.llf - less.llf), 1)
        assert fits.ratio[v] == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_fitted_says_why() -> None:
    _, terms, y = small(1)
    n = len(y)
    dosage = np.stack(
        [
            np.zeros(n),
            np.full(n, np.nan),
            2 * y,
            np.where(y > 0, 0.0, terms[:, 1] > 0),
            np.arange(n) % 2,
        ]
    )
    plain = logistic(dosage, np.column_stack([terms, np.arange(n) % 2]), y)
    expected = [Status.MONOMORPHIC, Status.MONOMORPHIC, Status.SEPARATED, Status.SEPARATED]
    assert plain.status.tolist() == [*expected, Status.COLLINEAR]
    assert np.isnan(plain.beta).all()
    assert np.isnan(plain.log_p).all()
    finite = firth(dosage, terms, y)
    assert finite.status[2:4].tolist() == [Status.OK, Status.OK]
    assert np.isfinite(finite.beta[2:4]).all()


def test_the_other_allele_has_the_opposite_effect() -> None:
    dosage, terms, y = small(6)
    one, other = firth(dosage, terms, y), firth(2 - dosage, terms, y)
    np.testing.assert_allclose(one.beta, -other.beta, atol=1e-7)
    np.testing.assert_allclose(one.standard_error, other.standard_error, rtol=1e-7)


def test_a_fit_does_not_depend_on_what_is_fitted_beside_it() -> None:
    dosage, terms, y = small(7, variants=6)
    together = firth(dosage, terms, y)
    alone = [firth(dosage[v : v + 1], terms, y).beta[0] for v in range(6)]
    np.testing.assert_array_equal(together.beta, alone)


def test_a_tiny_p_is_not_zero() -> None:
    draw = np.random.default_rng(2)
    n = 40_000
    g = draw.binomial(2, 0.5, n).astype(float)
    y = (draw.random(n) < 1 / (1 + np.exp(4 - 4 * g))).astype(float)
    fits = logistic(g[None], np.ones((n, 1)), y)
    assert fits.log_p[0] < -800
    z = fits.beta[0] / fits.standard_error[0]
    assert fits.log_p[0] == pytest.approx(stats.norm.logsf(z) + np.log(2), rel=1e-9)
