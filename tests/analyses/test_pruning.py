"""Pruning against an obvious twin on everybody's rows, and what it must never choose."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from numpy.typing import NDArray

from equipoise.analyses.pruning import Pruned, Pruning
from laws import cases, harness
from strategies import Rows, make_rows, rows

KINDS = ["common", "linked", "copy", "common", "absent", "linked", "rare", "common", "fixed"] * 3
Floats = NDArray[np.float64]


def analysis(people: Rows, **changes: object) -> Pruning:
    built = cases.analysis("pruning", people)
    assert isinstance(built, Pruning)
    return replace(built, **changes)


def run(pruning: Pruning, people: Rows) -> Pruned:
    sites = people.split(np.arange(people.n) % 3, 3)
    rounds = 1 if pruning.columns > 1 else 0
    return harness.run(pruning, sites, "masked", rounds=rounds).result


def imputed(people: Rows) -> tuple[Floats, Floats]:
    """Return dosages with missing calls as the mean of those called, and that mean."""
    called = np.count_nonzero(~np.isnan(people.dosage), axis=1)
    mean = np.nansum(people.dosage, axis=1) / np.maximum(called, 1)
    return np.where(np.isnan(people.dosage), mean[:, None], people.dosage), mean


def twin(pruning: Pruning, people: Rows) -> tuple[list[int], float, float]:
    """Return the variants, M_eff and the trace, from rows and one pair at a time."""
    dosage, mean = imputed(people)
    used, p = pruning.frequencies.used, mean / 2
    chosen: list[int] = []
    squares = trace = 0.0
    for start, stop in pairwise(pruning.windows):
        common = [
            v
            for v in range(start, stop)
            if used[v] and min(p[v], 1 - p[v]) >= pruning.least_frequency
        ]
        n = min(pruning.columns, len(common))
        stay: list[int] = []
        for candidate in [common[(2 * i + 1) * len(common) // (2 * n)] for i in range(n)]:
            r2 = [float(np.corrcoef(dosage[[candidate, v]])[0, 1]) ** 2 for v in stay]
            if all(r < pruning.r2 for r in r2):
                squares += 2 * sum(r - 1 / (people.n - 1) for r in r2)
                trace += dosage[candidate].var() / (2 * p[candidate] * (1 - p[candidate]))
                stay.append(candidate)
        chosen += stay
    m = len(chosen)
    effective = m * m / (m + squares) if m + squares > 0 else m
    return chosen, max(1.0, min(effective, m)), trace


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(rows(least=40))
def test_the_choice_equals_the_slow_twin_on_any_rows(people: Rows) -> None:
    pruning = analysis(people)
    dosage, _ = imputed(people)
    assume(dosage[pruning.frequencies.used].var(axis=1).min(initial=1.0) > 0.01)
    variants, effective, trace = twin(pruning, people)
    found = run(pruning, people)
    assert found.variants.tolist() == variants
    assert found.by_distance == 0
    assert found.effective[0] == pytest.approx(effective, abs=2.0**-9)  # two steps of its grid
    assert found.trace[0] == pytest.approx(trace, abs=2.0**-18)  # steps of 2^-24 over .09


@pytest.mark.parametrize("columns", [2, 3, 9])
@pytest.mark.parametrize("r2", [0.05, 0.2, 0.9])
def test_the_choice_equals_the_slow_twin(columns: int, r2: float) -> None:
    people = make_rows(41, n=60, kinds=KINDS, missing=0.1)
    pruning = analysis(people, columns=columns, r2=r2, windows=(0, 4, 15, 15, 27))
    variants, effective, trace = twin(pruning, people)
    found = run(pruning, people)
    assert found.variants.tolist() == variants
    assert found.effective[0] == pytest.approx(effective, abs=2.0**-9)  # as above
    assert found.trace[0] == pytest.approx(trace, abs=2.0**-18)


def test_with_one_column_nothing_is_asked_and_distance_decides() -> None:
    people = make_rows(42, n=60, kinds=["common"] * 12)
    pruning = analysis(people, columns=1, windows=(0, 5, 9, 12))
    assert pruning.schema(pruning.start()).size == 0
    sites = people.split(np.arange(people.n) % 3, 3)
    done = harness.run(pruning, sites, "masked", rounds=0)
    assert done.asked == ()
    assert done.result.variants.tolist() == [2, 7, 10]
    assert (done.result.by_distance, float(done.result.effective[0])) == (1, 3.0)


def test_excluded_and_uncommon_and_withheld_variants_are_never_chosen() -> None:
    people = make_rows(43, n=60, kinds=KINDS, missing=0.1)
    for columns in (1, 5):
        pruning = analysis(people, columns=columns, r2=0.99, excluded=(0, 2, 20, 27))
        found = run(pruning, people).variants
        assert len(found)
        assert np.all((found >= 2) & (found < 20))
        assert pruning.frequencies.used[found].all()
    # Everything is excluded: nothing is left, and that is no error.
    none = run(analysis(people, excluded=(0, 27)), people)
    assert none.variants.tolist() == []
    assert (float(none.effective[0]), float(none.trace[0])) == (1.0, 0.0)


def test_a_variant_that_everybody_is_heterozygous_for_is_not_chosen() -> None:
    sound = make_rows(44, n=60, kinds=["common"] * 4, missing=0)
    dosage = sound.dosage.copy()
    dosage[0] = 1.0
    people = replace(sound, dosage=dosage)
    assert 0 not in run(analysis(people, columns=4, windows=(0, 4), r2=0.99), people).variants
