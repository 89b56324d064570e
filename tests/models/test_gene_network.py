"""The network's gradients against JAX's own of the plain network, and its norms in closed form."""

import importlib
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.models import gene_network as gn
from equipoise.models import gene_shape as gs

jax = pytest.importorskip("jax")

SHAPE = gs.Shape((0, 2, 5), (3, 5, 9), 2, 4, 3, 5)
FREE = gn.Steps(0.0, 2.0**-24, 2.0**-24, 2.0**40, 2.0**40)
"""Steps so fine, and bounds so far, that rounding is not seen."""


def people(seed: int, shape: gs.Shape = SHAPE) -> tuple[np.ndarray, np.ndarray, gn.Batch]:
    """Return parameters, dosages of each entry, and the batch that follows from them."""
    draw = np.random.default_rng(seed)
    vector = gs.initial(shape, seed)
    vector += 0.3 * draw.standard_normal(len(vector))
    x = draw.normal(size=(shape.batch, shape.entries))
    parts = gs.parts(shape, vector)
    sums = [x[:, a:b] @ parts.weights[a:b] for a, b in zip(*cuts(shape), strict=True)]
    values = np.stack(sums, axis=1) + parts.biases
    squares = [(x[:, a:b] ** 2).sum(axis=1) for a, b in zip(*cuts(shape), strict=True)]
    trait = (draw.random(shape.batch) < 0.4).astype(np.float32)
    if not shape.binary:
        trait += 30  # far from every prediction, so that no residual is left by cancellation
    rows = draw.normal(size=(shape.batch, shape.covariates))
    columns = draw.normal(size=shape.batch), rows, trait, draw.uniform(0.5, 2, shape.batch)
    single = (np.asarray(c, np.float32) for c in (values, np.stack(squares, axis=1), *columns))
    return vector, x, gn.Batch(*single)


def cuts(shape: gs.Shape) -> tuple[Any, Any]:
    return shape.offsets[:-1], shape.offsets[1:]


def plain(shape: gs.Shape, vector: Any, x: Any, offset: Any, row: Any, trait: Any) -> Any:
    """Return one person's loss from dosages and all parameters: the network written at length."""
    numpy, k = jax.numpy, shape.width
    first, second = shape.sizes[0], shape.sizes[0] + shape.sizes[1]
    w, biases = vector[:first].reshape(-1, k), vector[first:second].reshape(-1, k)
    h = numpy.stack([x[a:b] @ w[a:b] + c for a, b, c in zip(*cuts(shape), biases, strict=True)])
    f = gn.network(shape)(h, vector[second:], offset, row)
    return gn.penalty(f, trait, binary=shape.binary)


@cache
def gradient(shape: gs.Shape) -> Any:
    one = jax.grad(lambda v, *person: plain(shape, v, *person))
    return jax.jit(jax.vmap(one, (None, 0, 0, 0, 0)))


def by_person(shape: gs.Shape, vector: np.ndarray, x: np.ndarray, batch: gn.Batch) -> np.ndarray:
    """Return gradients of each person's loss with respect to all parameters."""
    columns = x, batch.offset, batch.covariates, batch.trait
    return np.asarray(gradient(shape)(vector, *columns), np.float64)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_norms_in_closed_form_are_those_of_whole_gradients(seed: int, binary: bool) -> None:
    shape = replace(SHAPE, binary=binary)
    vector, x, batch = people(seed, shape)
    found = gn.gradients(shape, gs.parts(shape, vector).head, batch, FREE)
    whole = np.linalg.norm(by_person(shape, vector, x, batch), axis=1)
    np.testing.assert_allclose(found.norms, batch.weight * whole, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5]))
def test_summed_gradients_are_those_of_bounded_whole_gradients(seed: int, clip: float) -> None:
    vector, x, batch = people(seed)
    found = gn.gradients(SHAPE, gs.parts(SHAPE, vector).head, batch, replace(FREE, clip=clip))
    own = by_person(SHAPE, vector, x, batch) * batch.weight[:, None]
    norms = np.linalg.norm(own, axis=1, keepdims=True)
    bounded = own * np.minimum(1, clip / norms) if clip else own
    genes = np.concatenate(
        [x[:, a:b].T @ found.genes[:, g] for g, (a, b) in enumerate(zip(*cuts(SHAPE), strict=True))]
    )
    sums = gs.Parts(genes, found.genes.sum(axis=0), found.head.sum(axis=0)).vector() * 2.0**-24
    # Sums of 256 people's float32 gradients of at most about 4.
    np.testing.assert_allclose(sums, bounded.sum(axis=0), rtol=1e-4, atol=2e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    vector, x, batch = people(3)
    direction = np.random.default_rng(1).standard_normal(len(vector))
    person = x[0], batch.offset[0], batch.covariates[0], batch.trait[0]
    with jax.enable_x64(True):
        loss = jax.jit(lambda v: plain(SHAPE, v, *person))
        far = [float(loss(vector + t * direction)) for t in (1e-5, -1e-5)]
    own = by_person(SHAPE, vector, x, batch)[0] @ direction
    assert own == pytest.approx((far[0] - far[1]) / 2e-5, rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_person_has_the_same_gradient_whoever_is_in_the_batch(seed: int) -> None:
    vector, _, batch = people(seed)
    draw = np.random.default_rng(seed)
    order, kept = draw.permutation(SHAPE.batch), draw.random(SHAPE.batch) < 0.5
    arrays = (getattr(batch, name) for name in gn.Batch.__slots__)
    other = gn.Batch(
        *(np.where(kept.reshape(-1, *[1] * (a.ndim - 1)), a[order], 0) for a in arrays)
    )
    head, steps = gs.parts(SHAPE, vector).head, gn.Steps(0.7, 2.0**-20, 2.0**-20, 2.0**20, 2.0**20)
    one, two = (gn.gradients(SHAPE, head, b, steps) for b in (batch, other))
    for name in gn.Gradients.__slots__:
        np.testing.assert_array_equal(getattr(one, name)[order][kept], getattr(two, name)[kept])
    f = gn.predictors(SHAPE, head, batch)
    np.testing.assert_allclose(f, one.predictor, rtol=1e-6, atol=1e-6)


def test_bounded_gradients_are_within_the_bound_and_whole() -> None:
    vector, _, batch = people(4)
    steps = gn.Steps(0.25, 2.0**-12, 2.0**-12, 2.0**9, 2.0**9)
    found = gn.gradients(SHAPE, gs.parts(SHAPE, vector).head, batch, steps)
    for values in (found.genes, found.head):
        np.testing.assert_array_equal(values, np.rint(values))
        assert np.abs(values).max() <= 2.0**9
    squares = (batch.lengths + 1) * (found.genes.astype(np.float64) ** 2).sum(-1)
    norms = np.sqrt(squares.sum(-1) + (found.head**2).sum(-1)) * 2.0**-12
    assert norms.max() <= 0.25 * 1.01  # rounding adds a little
    assert norms.max() > 0.2


def test_parts_and_vector_are_inverse() -> None:
    vector = np.arange(float(sum(SHAPE.sizes)))
    np.testing.assert_array_equal(gs.parts(SHAPE, vector).vector(), vector)
    assert sum(SHAPE.blocks) == len(vector) == len(gs.initial(SHAPE, 1))
    np.testing.assert_array_equal(SHAPE.members, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(gs.initial(SHAPE, 1), gs.initial(SHAPE, 1))


@pytest.mark.parametrize(("genes", "people"), [(1, 256), (300, 64), (2000, 16), (40_000, 16)])
def test_a_batch_is_as_many_people_as_stay_in_cache(genes: int, people: int) -> None:
    assert gs.Shape((0,) * genes, (1,) * genes, 0).batch == people


@pytest.mark.parametrize(
    ("starts", "stops", "said"),
    [
        ((), (), "at least one gene"),
        ((0, 3), (3,), "at least one gene"),
        ((0, 3), (3, 3), "no variants"),
        ((3, 0), (5, 3), "order of their first variants"),
    ],
)
def test_genes_that_cannot_be_read_are_refused(starts, stops, said: str) -> None:
    with pytest.raises(InputError, match=said):
        gs.Shape(starts, stops, 0)


def test_without_jax_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'equipoise\[network\]'"):
        gn.library()
