"""A site's own table of scores: it stays with the site."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write(
    path: Path, ids: Sequence[str], score: NDArray[np.float64], fold: NDArray[np.int64]
) -> None:
    """Write `IID score fold`, one row a person, whole or not at all.

    The score is in trait units, out of fold: from weights fitted without that fold.
    """
    rows = [
        f"{person}\t{value:.9g}\t{number}\n"
        for person, value, number in zip(ids, score, fold, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write("IID\tscore\tfold\n")
        file.writelines(rows)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
