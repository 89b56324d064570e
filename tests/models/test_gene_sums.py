"""Sums over packed genotypes against a slow twin, and exactly the same however people are spread."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equipoise.models import gene_network as gn
from equipoise.models import gene_shape as gs
from equipoise.models import gene_sums
from equipoise.models.gene_sums import Coding, Columns, Reading
from strategies import SEEDS, Memory, Rows, labels, make_rows

pytest.importorskip("jax")

STEPS = gn.Steps(0.6, 2.0**-24, 2.0**-24, 2.0**24, 2.0**24)


def network(rows: Rows) -> gs.Shape:
    """Return a network of two genes that share variants, and a third alone."""
    m = rows.n_variants
    return gs.Shape((0, m // 3, m - 1), (m // 2 + 1, m, m), 2, 4, 3, 4)


def coding(rows: Rows) -> Coding:
    """Return the coding of variants by everybody's calls; those that do not vary are not used."""
    called = (~np.isnan(rows.dosage)).sum(axis=1)
    mean = np.nan_to_num(rows.dosage).sum(axis=1) / np.maximum(called, 1)
    return Coding.of(mean, (mean > 0) & (mean < 2))


def columns(rows: Rows, members: NDArray[np.int64]) -> Columns:
    of = {name: values[members] for name, values in rows.columns.items()}
    weight = 0.5 + (of["score"] > 0)
    return Columns(of["score"], np.stack([of["sex"], of["age"]], axis=1), of["trait"], weight)


def reading(rows: Rows, members: NDArray[np.int64], seed: int = 0) -> Reading:
    shape = network(rows)
    parts = gs.parts(shape, gs.initial(shape, seed))
    return Reading(rows.cohort(members), shape, coding(rows), parts)


def everybody(rows: Rows) -> NDArray[np.int64]:
    return np.arange(rows.n)


def slow(rows: Rows, steps: gn.Steps) -> tuple[gn.Gradients, NDArray[np.float64]]:
    """Return gradients of everybody from a dense matrix, and their sum for each weight."""
    shape, code, own = network(rows), coding(rows), reading(rows, everybody(rows))
    x = np.nan_to_num(rows.dosage - code.centre[:, None]).T * (code.scale > 0)
    by_allele = code.per_allele(shape.members, own.parameters.weights)
    pairs = list(zip(shape.offsets[:-1], shape.offsets[1:], strict=True))
    entries = x[:, shape.members]
    values = np.stack([entries[:, a:b] @ by_allele[a:b] for a, b in pairs], axis=1)
    lengths = np.stack([(entries[:, a:b] ** 2).sum(axis=1) for a, b in pairs], axis=1)
    c, n = columns(rows, everybody(rows)), -(-rows.n // shape.batch) * shape.batch

    def padded(a: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.concatenate([a, np.zeros((n - rows.n, *a.shape[1:]))]).astype(np.float32)

    arrays = [padded(a) for a in (values, lengths, c.offset, c.covariates, c.trait, c.weight)]
    batches = [
        gn.gradients(
            shape,
            own.parameters.head,
            gn.Batch(*(a[start : start + shape.batch] for a in arrays)),
            steps,
        )
        for start in range(0, n, shape.batch)
    ]
    joined = (
        np.concatenate([getattr(b, name) for b in batches]) for name in gn.Gradients.__slots__
    )
    found = gn.Gradients(*(a[: rows.n] for a in joined))
    sums = [entries[:, a:b].T @ found.genes[:, g] for g, (a, b) in enumerate(pairs)]
    return found, np.concatenate(sums)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.3]), st.booleans())
def test_sums_are_those_of_a_dense_matrix(seed: int, missing: float, bounded: bool) -> None:
    rows = make_rows(seed, 40, missing=missing)
    steps = STEPS if bounded else replace(STEPS, clip=0.0)
    found = reading(rows, everybody(rows)).totals(columns(rows, everybody(rows)), steps)
    one, weights = slow(rows, steps)
    np.testing.assert_allclose(found.predictor, one.predictor, rtol=1e-5, atol=1e-5)
    # Weights lie on a grid of 2^-20 in the one and not in the other, gradients are in steps.
    np.testing.assert_allclose(found.weights * 2.0**-24, weights * 2.0**-24, atol=1e-4)
    np.testing.assert_allclose(found.head * 2.0**-24, one.head.sum(axis=0) * 2.0**-24, atol=1e-4)
    genes = one.genes.sum(axis=0)
    np.testing.assert_allclose(found.biases * 2.0**-24, genes * 2.0**-24, atol=1e-4)
    assert np.abs(found.weights).max() > 2.0**14


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_sites_add_up_to_the_pooled_sums_exactly(data: st.DataObject) -> None:
    rows = make_rows(data.draw(SEEDS), 50, missing=0.1)
    of = np.array(data.draw(labels(rows.n, 3)))
    members = [np.flatnonzero(of == site) for site in range(3)]
    parts = [reading(rows, m).totals(columns(rows, m), STEPS) for m in members]
    pooled = reading(rows, everybody(rows)).totals(columns(rows, everybody(rows)), STEPS)
    for name in ("weights", "biases", "head"):
        total = np.sum([getattr(part, name) for part in parts], axis=0)
        np.testing.assert_array_equal(total, getattr(pooled, name))
    for part, m in zip(parts, members, strict=True):
        np.testing.assert_array_equal(part.predictor, pooled.predictor[m])


def test_little_memory_gives_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(5, 60, missing=0.1)
    own = columns(rows, everybody(rows))
    whole = reading(rows, everybody(rows)).totals(own, STEPS)
    monkeypatch.setattr(gene_sums, "VALUES", 1)
    monkeypatch.setattr(gene_sums, "AT_ONCE", 2)
    pieces = reading(rows, everybody(rows)).totals(own, STEPS)
    for name in gene_sums.Totals.__slots__:
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
    predicted = reading(rows, everybody(rows)).predict(own)
    np.testing.assert_allclose(predicted, whole.predictor, rtol=1e-6, atol=1e-6)


@dataclass(frozen=True)
class Fractions(Memory):
    """Genotypes with dosages between whole numbers."""

    dosage: NDArray[np.float64]

    @property
    def has_dosages(self) -> bool:
        return True

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.dosage[start:stop].astype(np.float32)


def test_dosages_that_are_whole_give_the_sums_of_calls() -> None:
    rows = make_rows(6, 40, missing=0.1)
    own, of = columns(rows, everybody(rows)), reading(rows, everybody(rows))
    calls = of.totals(own, STEPS)
    file = np.concatenate([np.full((rows.n_variants, 1), 2.0), rows.dosage[:, ::-1]], axis=1)
    memory = of.cohort.genotypes
    source = Fractions(memory.packed(0, rows.n_variants), memory.n_samples, file)
    dosed = replace(of, cohort=replace(of.cohort, genotypes=source)).totals(own, STEPS)
    for name in gene_sums.Totals.__slots__:
        np.testing.assert_array_equal(getattr(dosed, name), getattr(calls, name))


def test_a_variant_that_is_not_used_says_nothing() -> None:
    rows = make_rows(7, 40, kinds=("common", "monomorphic", "common", "common", "common"))
    shape, own = network(rows), columns(rows, everybody(rows))
    found = reading(rows, everybody(rows)).totals(own, STEPS)
    at = shape.members == 1
    assert not found.weights[at].any()
    assert found.weights[~at].all()


def test_coding_centres_on_sixteenths_of_an_allele() -> None:
    code = Coding.of(np.array([0.5, 0.51, 0.0, np.nan]), np.array([True, True, False, True]))
    np.testing.assert_array_equal(code.centre, [0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(code.scale[:1], [np.sqrt(2 * 0.25 * 0.75)])
    np.testing.assert_array_equal(code.scale[2:], 0)
    members = np.array([0, 2])
    by_allele = code.per_allele(members, np.ones((2, 1)))[:, 0]
    np.testing.assert_allclose(by_allele, [1 / code.scale[0], 0.0])
