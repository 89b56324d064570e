"""A site's own table of scores: it stays with the site."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole


def write(
    path: Path,
    ids: Sequence[str],
    score: NDArray[np.float64],
    probability: NDArray[np.float64],
    fold: NDArray[np.int64],
) -> None:
    """Write `IID score probability fold`, one row a person, whole or not at all.

    The score is in log odds against an average person; it and the probability are out of
    fold: from a model fitted without that fold. A fold of -1 says that the person's site
    never trained.
    """
    rows = [
        f"{person}\t{value:.9g}\t{chance:.9g}\t{number}\n"
        for person, value, chance, number in zip(ids, score, probability, fold, strict=True)
    ]
    write_whole(path, ["IID\tscore\tprobability\tfold\n", *rows])
