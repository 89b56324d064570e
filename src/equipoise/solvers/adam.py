"""One step of Adam from a mean gradient, with one second moment a block of parameters."""

from math import pow as power

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST, SECOND, SMALL = 0.9, 0.999, 1e-8
"""Adam's beta1, beta2 and epsilon."""


def adam_step(
    parameters: Array,
    gradient: Array,
    moments: tuple[Array, Array],
    step: int,
    *,
    sizes: tuple[int, ...],
    rate: float,
    decay: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Return parameters, (parameters,), and both moments after one step downhill.

    moments  the mean gradient so far, (parameters,), and its mean square by block, (blocks,)
    step     from 1
    sizes    how many parameters each block has, in order; a block without any is left out
    decay    what a parameter loses of itself in a step of `rate` 1

    Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1, with the mean square of a block in place of
    each parameter's own (Zhang et al. 2024, arXiv:2406.16793), and the decay apart from the
    gradient (Loshchilov and Hutter 2019, arXiv:1711.05101). Of very many weights few matter:
    with its own second moment each of the others would move as far as they do.

    >>> start = np.zeros(2), np.zeros(1)
    >>> adam_step(np.ones(2), np.array([4.0, 0.0]), start, 1, sizes=(2,), rate=0.5)[0].round(3)
    array([0.293, 1.   ])
    """
    lengths = np.array([size for size in sizes if size])
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    squares = np.add.reduceat(gradient**2, begins) / lengths
    first = FIRST * moments[0] + (1 - FIRST) * gradient
    second = SECOND * moments[1] + (1 - SECOND) * squares
    mean = first / (1 - power(FIRST, step))
    size = np.sqrt(second / (1 - power(SECOND, step))) + SMALL
    moved = mean / np.repeat(size, lengths) + decay * parameters
    return parameters - rate * moved, first, second
