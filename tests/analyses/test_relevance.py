"""What scores are made of: sums that close, and gradients taken by hand."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.modelled import BACKGROUND, COVARIATES, LOCI, TILES, imputed, modelled, run
from equipoise.analyses.contributions import columns, loci_of
from strategies import FOLDS


def parts_of(found) -> np.ndarray:
    return np.stack([found.rows.columns[name] for name in columns(LOCI)])


def test_contributions_add_up_to_the_score() -> None:
    for seed in (3, 4):
        found = modelled(seed)
        parts = parts_of(found)
        np.testing.assert_allclose(parts.sum(axis=0), found.rows.columns["score"], atol=1e-12)


def test_a_locus_is_what_its_variants_move_the_score_by() -> None:
    """Put a locus at what ancestry expects, and the score falls by its contribution."""
    found = modelled()
    parts = parts_of(found)
    locus = found.relevance.locus
    known = np.stack([np.ones(found.rows.n), *(found.rows.columns[n] for n in BACKGROUND)])
    expected = found.nets.background @ known
    full = imputed(found)
    for number in range(int(locus.max()) + 1):
        without = full.copy()
        own = locus == number
        without[found.nets.variants[own]] = expected[own]
        moved = score(found, full) - score(found, without)
        np.testing.assert_allclose(parts[number], moved, atol=1e-9)


def score(found, dosage: np.ndarray) -> np.ndarray:
    """Return scores of any dosages, person by person, from published weights alone."""
    result = np.zeros(found.rows.n)
    for person in range(found.rows.n):
        row = found.rows.fold[person] + 1
        q = found.tuned.choice[row]
        mean = 2 * found.frequencies.frequency[found.nets.variants]
        g = dosage[found.nets.variants, person] - mean
        genetic = found.nets.weights[row, row, q] @ g if q >= 0 else 0.0
        c = np.array([found.rows.columns[name][person] for name in COVARIATES])
        others = found.nets.covariates[row, row] @ (c - found.nets.means)
        total = found.tuned.weights[row] @ [genetic, others]
        result[person] = found.calibrated.coefficients[row, 1] * total / found.tuned.scale[row]
    return result


def test_swapping_which_allele_is_counted_changes_no_contribution() -> None:
    found = modelled()
    rows = replace(found.rows, dosage=2 - found.rows.dosage)
    counted = found.frequencies
    swapped = replace(
        found.calibration,
        frequencies=replace(counted, alleles=2 * counted.called - counted.alleles),
        nets=replace(
            found.nets,
            weights=-found.nets.weights,
            background=np.concatenate(
                [2 - found.nets.background[:, :1], -found.nets.background[:, 1:]], axis=1
            ),
        ),
    )
    derived = swapped.derive(rows.cohort(), found.calibrated)
    after = np.stack([derived[name] for name in columns(LOCI)])
    np.testing.assert_allclose(after, parts_of(found), atol=1e-12)


def test_totals_are_sums_over_those_predicted_with_and_without_the_trait() -> None:
    found = modelled()
    parts = np.abs(parts_of(found))
    for cell in (0, 1):
        members = found.rows.columns["predicted"] == cell
        assert found.relevance.people[cell] == members.sum()
        expected = parts[:, members].sum(axis=1)
        # Rounded to a quantum at each of the sites, then to 2^-20.
        np.testing.assert_allclose(found.relevance.total[cell], expected, atol=1e-5)


def test_fewer_than_k_predicted_are_not_told_apart() -> None:
    found = modelled()
    predicted = np.zeros(found.rows.n)
    predicted[:4] = 1.0
    rows = found.rows.with_column("predicted", predicted)
    relevance = run(found.summing, rows)
    assert relevance.apart == 0
    assert not relevance.total[1].any()
    parts = np.abs(parts_of(found)).sum(axis=1)
    np.testing.assert_allclose(relevance.total[0], parts, atol=1e-5)


def test_near_windows_are_one_locus_and_weak_loci_share_the_last() -> None:
    found = modelled()
    window = found.nets.window
    # Windows 0 and 1 lie side by side, window 2 seven tiles on.
    assert TILES == (1, 2, 9)
    np.testing.assert_array_equal(found.relevance.locus, window == 2)
    assert found.relevance.merged == 0
    assert not loci_of(found.nets, TILES, 1).any()


def test_every_person_has_each_part_in_a_column() -> None:
    found = modelled()
    derived = found.calibration.derive(found.rows.cohort(), found.calibrated)
    assert set(columns(LOCI)) < set(derived)
    total = sum(derived[name] for name in columns(LOCI))
    np.testing.assert_allclose(total, found.rows.columns["score"], atol=1e-12)


@pytest.mark.parametrize("loci", [1, 4])
def test_a_model_without_variants_has_no_loci(loci: int) -> None:
    found = modelled()
    none = np.zeros((FOLDS + 1, FOLDS + 1, 3, 0))
    nets = replace(
        found.nets,
        variants=np.zeros(0, np.int64),
        window=np.zeros(0, np.int64),
        weights=none,
        background=np.zeros((0, 2)),
    )
    tuned = replace(found.tuned, choice=np.full(FOLDS + 1, -1))
    calibration = replace(found.calibration, nets=nets, tuned=tuned, loci=loci)
    derived = calibration.derive(found.rows.cohort(), found.calibrated)
    assert len(loci_of(nets, TILES, loci)) == 0
    assert not any(derived[name].any() for name in columns(loci)[:-1])
