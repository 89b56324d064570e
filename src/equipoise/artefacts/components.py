"""A site's own table of components of ancestry: it stays with the site."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole


def write(path: Path, ids: Sequence[str], columns: Mapping[str, NDArray[np.float64]]) -> None:
    """Write `IID` and the columns, one row a person, whole or not at all.

    Components have standard deviation 1 over the people of all sites.
    """
    values = np.column_stack(list(columns.values()))
    rows = (
        "\t".join([person, *(f"{value:.9g}" for value in row)]) + "\n"
        for person, row in zip(ids, values.tolist(), strict=True)
    )
    write_whole(path, ["\t".join(["IID", *columns]) + "\n", *rows])
