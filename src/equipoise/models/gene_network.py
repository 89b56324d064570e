"""A network that reads variants by gene and pools genes by attention, on top of a linear score.

For one person, with x the centred dosages of a gene's variants (`gene_sums`):

    h_g = x_g W_g + c_g                      a gene's own weights, `width` of them a variant
    z_g = gelu(h_g)
    a   = softmax over genes of tanh(z_g V) v + t_g
    m   = layer norm of sqrt(genes) sum_g a_g z_g
    f   = l + gelu(m U + u) o + covariates k + b

l is a frozen linear score, so that the network is trained on what that leaves. The root of the
number of genes keeps the pooled values, and so the gradients, as large for many genes as for few.
Gates from tanh are Ilse et al. 2018's, arXiv:1802.04712, equation 8, with a bias for each gene.

Gradients of the part above h are taken person by person; of the first layer only that with
respect to h is, since a person's gradient is x times that. Hence the squared norm of a person's
whole gradient in closed form (Goodfellow 2015, arXiv:1510.01799):

    sum over genes of (|x_g|^2 + 1) |df/dh_g|^2, and the square of the rest

Everything is in float32 and the same for a person whoever is computed beside them: people come
in batches of one size. JAX is imported when it is first needed.
"""

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from math import prod, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.models.gene_shape import Shape

Array = NDArray[np.float64]
Single = NDArray[np.float32]

NORM_FLOOR: Final = 1e-5
"""What layer norm adds to a variance."""


@dataclass(frozen=True, slots=True)
class Steps:
    """How gradients of one person are bounded and rounded.

    clip          the greatest norm of a person's gradient; 0 for no bound on the norm
    gene, head    steps of which gradients with respect to h, and of the rest, are multiples
    gene_most, head_most  the most that one such entry may be, in steps: beyond it is cut
    """

    clip: float
    gene: float
    head: float
    gene_most: float
    head_most: float


@dataclass(frozen=True, slots=True)
class Batch:
    """People of one batch, each array with a row for each.

    values      (people, genes, width) h
    lengths     (people, genes) the squared length of a gene's centred dosages
    offset      (people,) the linear score
    covariates  (people, covariates)
    trait       (people,)
    weight      (people,) what a person's gradient is multiplied by before it is bounded
    """

    values: Single
    lengths: Single
    offset: Single
    covariates: Single
    trait: Single
    weight: Single


@dataclass(frozen=True, slots=True)
class Gradients:
    """What is known of each person of a batch.

    predictor  (people,) f
    genes      (people, genes, width) gradient with respect to h, in whole steps
    head       (people, head_size) gradient with respect to the rest, in whole steps
    norms      (people,) of the gradient as it was before it was bounded
    """

    predictor: Single
    genes: Single
    head: Single
    norms: Single


def predictors(shape: Shape, head: Array, batch: Batch) -> Single:
    """Return f of each person of a batch, (people,); InputError where JAX is missing."""
    compiled = _compiled(shape.genes, _key(shape))
    given = batch.values, batch.offset, batch.covariates
    with compiled.on_processor():
        return np.asarray(compiled.predict(*given, head.astype(np.float32)))


def gradients(shape: Shape, head: Array, batch: Batch, steps: Steps) -> Gradients:
    """Return each person's loss and bounded gradient; InputError where JAX is missing."""
    compiled = _compiled(shape.genes, _key(shape))
    people = batch.values, batch.lengths, batch.offset, batch.covariates, batch.trait, batch.weight
    bounds = steps.clip or np.inf, steps.gene, steps.head, steps.gene_most, steps.head_most
    with compiled.on_processor():
        singles = (np.float32(bound) for bound in bounds)
        found = compiled.gradients(*people, head.astype(np.float32), *singles)
        return Gradients(*map(np.asarray, found))


def library() -> Any:
    """Return JAX; InputError where it is not installed."""
    try:
        return importlib.import_module("jax")
    except ImportError:
        raise InputError(
            "the gene network needs a package that this installation does not have; run:"
            " pip install 'equipoise[network]'"
        ) from None


Key = tuple[int, int, int, int, bool]


def _key(shape: Shape) -> Key:
    return shape.width, shape.attention, shape.hidden, shape.covariates, shape.binary


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Functions of one form, and where they run: a graphics card would not repeat its digits."""

    predict: Callable[..., Any]
    gradients: Callable[..., Any]
    on_processor: Callable[[], AbstractContextManager[None]]


@cache
def _compiled(genes: int, key: Key) -> _Compiled:
    """Return the compiled functions of one batch, for networks of one form."""
    jax = library()
    width, attention, hidden, covariates, binary = key
    shape = Shape((0,) * genes, (1,) * genes, covariates, width, attention, hidden, binary)
    one = network(shape)

    def loss(h: Any, head: Any, offset: Any, row: Any, trait: Any) -> Any:
        f = one(h, head, offset, row)
        return penalty(f, trait, binary=binary), f

    def bounded(values: Any, lengths: Any, offset: Any, rows: Any, trait: Any, weight: Any,
                head: Any, clip: Any, gene: Any, rest: Any, gene_most: Any, rest_most: Any) -> Any:  # fmt: skip
        by_person = jax.vmap(jax.grad(loss, (0, 1), has_aux=True), (0, None, 0, 0, 0))
        (dh, dp), f = by_person(values, head, offset, rows, trait)
        squares = ((lengths + 1) * (dh**2).sum(-1)).sum(-1) + (dp**2).sum(-1)
        norms = weight * jax.numpy.sqrt(squares)
        scale = weight * jax.numpy.minimum(1.0, clip / jax.numpy.maximum(norms, 1e-30))
        cut, numpy = jax.numpy.clip, jax.numpy
        dh = cut(numpy.round(dh * (scale / gene)[:, None, None]), -gene_most, gene_most)
        dp = cut(numpy.round(dp * (scale / rest)[:, None]), -rest_most, rest_most)
        return f, dh, dp, norms

    def predict(values: Any, offset: Any, rows: Any, head: Any) -> Any:
        return jax.vmap(one, (0, None, 0, 0))(values, head, offset, rows)

    device = jax.devices("cpu")[0]
    return _Compiled(jax.jit(predict), jax.jit(bounded), lambda: jax.default_device(device))


def network(shape: Shape) -> Callable[[Any, Any, Any, Any], Any]:
    """Return the function of one person: h (genes, width), head, linear score, covariates to f."""
    jax = library()
    numpy, sizes = jax.numpy, shape.head
    cuts = np.cumsum([prod(size) for size in sizes.values()])[:-1].tolist()

    def one(h: Any, head: Any, offset: Any, row: Any) -> Any:
        split = numpy.split(head, cuts)
        p = {name: part.reshape(sizes[name]) for name, part in zip(sizes, split, strict=True)}
        z = jax.nn.gelu(h)
        attention = jax.nn.softmax(numpy.tanh(z @ p["gate"]) @ p["gate_out"] + p["gene"])
        pooled = sqrt(shape.genes) * (attention @ z)
        centred = pooled - pooled.mean()
        m = centred / numpy.sqrt((centred**2).mean() + NORM_FLOOR)
        above = jax.nn.gelu(m @ p["hidden"] + p["hidden_bias"])
        return offset + above @ p["out"] + row @ p["covariates"] + p["bias"][0]

    return one


def penalty(f: Any, trait: Any, *, binary: bool) -> Any:
    """Return the loss of a prediction, in JAX: logistic, or half the squared error."""
    numpy = library().numpy
    return numpy.logaddexp(0.0, f) - trait * f if binary else (f - trait) ** 2 / 2
