"""Clumping against an obvious twin on everybody's rows, and weights against sklearn's ridge."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from equipoise.analyses.clumping import Clumping, Weights
from laws import cases, harness
from strategies import COVARIATES, FOLDS, Rows, make_rows, rows

Floats = NDArray[np.float64]
KINDS = ["common", "linked", "linked", "common", "copy", "rare", "absent", "common", "linked"]


def residuals(values: Floats, people: Rows, chosen: NDArray[np.bool_]) -> Floats:
    """Return what least squares on the covariates leaves of each row of `values`."""
    columns = (people.columns[name][chosen] for name in COVARIATES)
    terms = np.column_stack([np.ones(int(chosen.sum())), *columns])
    fitted = np.linalg.lstsq(terms, values[..., chosen].T, rcond=None)[0]
    return values[..., chosen] - (terms @ fitted).T


def imputed(people: Rows, floor: int = 3) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    alleles = np.nansum(people.dosage, axis=1)
    mean = alleles / np.maximum(called, 1)
    used = np.minimum(alleles, 2 * called - alleles) >= floor
    dosage = np.where(np.isnan(people.dosage), mean[:, None], people.dosage)
    return np.where(used[:, None], dosage, 0.0), mean, used


class Twin:
    """The same from the rows of everybody, one training set and one variant at a time."""

    def __init__(self, people: Rows, clumping: Clumping) -> None:
        self.people, self.clumping = people, clumping
        self.dosage, self.mean, self.used = imputed(people)
        everybody = np.ones(people.n, np.bool_)
        self.sets = [everybody, *(people.fold != fold for fold in range(FOLDS))]
        self.g = [residuals(self.dosage, people, chosen) for chosen in self.sets]
        self.y = [residuals(people.columns["trait"], people, chosen) for chosen in self.sets]
        self.t = [self.strength(row) for row in range(FOLDS + 1)]

    def strength(self, row: int) -> Floats:
        t = np.zeros(len(self.g[row]))
        for v, g in enumerate(self.g[row]):
            if g @ g > 2.0**-10:
                y = self.y[row]
                beta = (g @ y) / (g @ g)
                left = y - beta * g
                dof = len(y) - len(COVARIATES) - 2
                t[v] = abs(beta) / np.sqrt(left @ left / dof / (g @ g))
        return t

    def ranked(self, row: int) -> list[int]:
        """Return variants beyond the threshold, best first; the best where there is none."""
        order = sorted(range(len(self.t[row])), key=lambda v: -self.t[row][v])
        order = [v for v in order if self.t[row][v] > 0]
        passed = [v for v in order if self.t[row][v] >= self.clumping.threshold]
        return passed or order[:1]

    def candidates(self, start: int, stop: int) -> list[int]:
        """Return a window's candidates: the best of each training set in turn."""
        room = min(
            self.clumping.columns,
            int(np.bincount(self.people.fold, minlength=FOLDS).min() * self.clumping.outside) // 5,
        )
        lists = [[v for v in self.ranked(row) if start <= v < stop] for row in range(FOLDS + 1)]
        taken: list[int] = []
        for place in range(stop - start):
            for one in lists:
                if place < len(one) and one[place] not in taken and len(taken) < room:
                    taken.append(one[place])
        return taken

    def weights(self) -> Floats:
        """Return (folds + 1, variants)."""
        found = np.zeros((FOLDS + 1, len(self.dosage)))
        for start, stop in pairwise(self.clumping.windows):
            candidates = self.candidates(start, stop)
            for row in range(FOLDS + 1):
                allowed = set(self.ranked(row))
                stay: list[int] = []
                for v in sorted(candidates, key=lambda v: -self.t[row][v]):
                    near = [self.correlation(row, v, w) ** 2 >= self.clumping.r2 for w in stay]
                    if v in allowed and self.t[row][v] > 0 and not any(near):
                        stay.append(v)
                if stay:
                    found[row, stay] = self.ridge(row, stay)
        return found

    def correlation(self, row: int, v: int, w: int) -> float:
        one, other = self.g[row][v], self.g[row][w]
        return float(one @ other / np.sqrt((one @ one) * (other @ other)))

    def ridge(self, row: int, stay: list[int]) -> Floats:
        """Return weights by sklearn's ridge.

        It minimises |y~ - X b|^2 + alpha |b|^2. With columns X = g~ / sqrt(g'g~) of length
        one, X'X = R and X'y~ = r: b = (R + alpha I)^-1 r, so alpha is the ridge of the
        module, and b / sqrt(g'g~) are weights per allele. With X at variance 1 instead,
        which multiplies X'X by the n people, alpha is n times it: checked below.
        """
        g, y = self.g[row][stay].T, self.y[row]
        length = np.sqrt((g**2).sum(axis=0))
        fit = Ridge(alpha=self.clumping.ridge, fit_intercept=False).fit(g / length, y)
        n = len(y)
        same = Ridge(alpha=n * self.clumping.ridge, fit_intercept=False)
        scaled = same.fit(g / length * np.sqrt(n), y).coef_ * np.sqrt(n)
        np.testing.assert_allclose(scaled, fit.coef_, rtol=1e-9, atol=1e-12)  # double rounding
        return np.asarray(fit.coef_ / length, np.float64)


def run(clumping: Clumping, people: Rows) -> Weights:
    sites = people.split(np.arange(people.n) % 3, 3)
    return harness.run(clumping, sites, "masked").result


def spread(weights: Weights, n_variants: int) -> Floats:
    whole = np.zeros((len(weights.weights), n_variants))
    whole[:, weights.variants] = weights.weights
    return whole


@pytest.mark.parametrize("threshold", [0.0, 1.0, 2.0, 50.0])
@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_weights_equal_the_slow_twin(threshold: float, ridge: float) -> None:
    people = make_rows(31, n=60, kinds=KINDS, missing=0.1)
    sound = cases.analysis("clumping", people)
    assert isinstance(sound, Clumping)
    clumping = replace(sound, threshold=threshold, ridge=ridge)
    twin = Twin(people, clumping).weights()
    # The twin's sums are exact, the published ones in steps of 2^-20; g'g~ is above .01.
    np.testing.assert_allclose(
        spread(run(clumping, people), people.n_variants), twin, rtol=0, atol=2.0**-13
    )
    assert np.all(np.any(twin != 0, axis=1))


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(rows(least=45))
def test_selection_equals_the_slow_twin_on_any_rows(people: Rows) -> None:
    clumping = cases.analysis("clumping", people)
    assert isinstance(clumping, Clumping)
    twin = Twin(people, clumping)
    ordered = [np.diff(np.sort(t[t > 0])) for t in twin.t]
    tie = any(len(gaps) and gaps.min() < 1e-4 for gaps in ordered)
    assume(not tie)  # which of two equal ones comes first depends on the twin's last digit
    found = spread(run(clumping, people), people.n_variants)
    np.testing.assert_allclose(found, twin.weights(), rtol=0, atol=2.0**-13)  # as above


def test_candidates_stay_within_columns_windows_and_what_is_used() -> None:
    people = make_rows(32, n=60, kinds=["common"] * 12)
    sound = cases.analysis("clumping", people)
    assert isinstance(sound, Clumping)
    smallest = sound.census.smallest
    for columns, outside in [(1, 1.0), (3, 1.0), (12, 1.0), (12, 0.5), (12, 0.0)]:
        clumping = replace(sound, threshold=0.0, columns=columns, outside=outside)
        room = min(columns, int(smallest * outside) // 5)
        for (start, stop), chosen in zip([(0, 6), (6, 12)], clumping.candidates(), strict=True):
            assert len(chosen) == min(room, 6)
            assert len(set(chosen.tolist())) == len(chosen)
            assert all(start <= v < stop for v in chosen)


@pytest.mark.parametrize("kinds", [["absent", "monomorphic"], ["rare", "monomorphic", "fixed"]])
def test_a_withheld_variant_is_never_a_candidate(kinds: list[str]) -> None:
    people = make_rows(33, kinds=kinds)
    sound = cases.analysis("clumping", people)
    assert isinstance(sound, Clumping)
    used = sound.frequencies.used
    for threshold in (0.0, 1.0, 50.0):
        clumping = replace(sound, threshold=threshold)
        assert all(used[v] for chosen in clumping.candidates() for v in chosen)
        weights = run(clumping, people)
        assert all(used[v] for v in weights.variants)
        assert np.all(np.isfinite(clumping.derive(people.cohort(), weights)["score"]))


def test_a_score_is_the_weighted_sum_fitted_without_the_persons_fold() -> None:
    people = make_rows(34, n=60, kinds=KINDS, missing=0.1)
    clumping = cases.analysis("clumping", people)
    weights = run(clumping, people)
    dosage, mean, _ = imputed(people)
    derived = clumping.derive(people.cohort(), weights)["score"]
    whole = spread(weights, people.n_variants)
    for i in range(people.n):
        by_hand = 0.0
        for v in range(people.n_variants):
            by_hand += whole[people.fold[i] + 1, v] * (dosage[v, i] - mean[v])
        assert derived[i] == pytest.approx(by_hand, abs=1e-12)  # double rounding


def test_a_persons_own_trait_does_not_enter_their_score() -> None:
    people = make_rows(35, n=60, kinds=KINDS)
    inside = people.fold == people.fold[3]
    trait = np.where(inside, 1 - people.columns["trait"], people.columns["trait"])
    scores: list[Floats] = []
    for rows_ in (people, people.with_column("trait", trait)):
        sound = cases.analysis("clumping", rows_)
        assert isinstance(sound, Clumping)
        # Room for every variant, so that other training sets take nobody's place.
        roomy = replace(sound.census, people=sound.census.people + 1000)
        clumping = replace(sound, threshold=0.0, columns=len(KINDS), census=roomy)
        scores.append(clumping.derive(rows_.cohort(), run(clumping, rows_))["score"])
    # The same sums; candidates in another order change the last digits of a solution.
    np.testing.assert_allclose(scores[0][inside], scores[1][inside], rtol=0, atol=2.0**-25)
    assert np.abs(scores[0] - scores[1])[~inside].max() > 0.01
