"""Sets of folds that a model leaves out: none, each for testing, and a second for tuning.

Row 0 is the model of everybody, row f + 1 the one that is tested on fold f. Column 0 is
trained on all that its row may see, column g + 1 leaves out fold g as well: what a
person of fold g is scored by when the row is tuned. So a person of fold g reads column
g + 1 of every row, and a person who never trained (fold -1) column 0.
"""

import numpy as np
from numpy.typing import NDArray


def training_sets(folds: int) -> list[tuple[int, ...]]:
    """Return every set of folds that some model leaves out, the empty one first.

    >>> training_sets(3)
    [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    """
    single = [(f,) for f in range(folds)]
    pairs = [(f, g) for f in range(folds) for g in range(f + 1, folds)]
    return [(), *single, *pairs]


def places(folds: int) -> NDArray[np.int64]:
    """Return, (rows, columns), the place in `training_sets` of what each model leaves out.

    >>> places(2).tolist()
    [[0, 1, 2], [1, 1, 3], [2, 3, 2]]
    """
    place = {left: i for i, left in enumerate(training_sets(folds))}
    options: list[tuple[int, ...]] = [(), *((f,) for f in range(folds))]
    rows = [[place[tuple(sorted({*row, *column}))] for column in options] for row in options]
    return np.array(rows, np.int64)


def totals_without(by_fold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return totals over everybody but the folds of each of `training_sets`.

    The first axis of `by_fold` runs over folds; that of the result over the sets.
    """
    everybody = by_fold.sum(axis=0)
    left = [by_fold[list(out)].sum(axis=0) for out in training_sets(len(by_fold))]
    return everybody - np.stack(left)
