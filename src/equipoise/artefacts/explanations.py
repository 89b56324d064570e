"""A site's own explanations, one line a person: they stay with the site."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError

NAME: Final = "explanations.jsonl"

DIGITS: Final = 12
"""Decimals that are written: contributions add up to the score far below 1e-6."""


def write(
    path: Path,
    ids: Sequence[str],
    columns: dict[str, NDArray[np.float64]],
    parts: Sequence[str],
    contributions: NDArray[np.float64],
) -> None:
    """Write JSON lines of `IID`, then each of `columns`, then `contributions`.

    parts          what each contribution is of: loci as chromosome:start-end, and the rest
    contributions  (parts, samples); they add up to the column `score`
    """
    write_whole(path, _lines(ids, columns, parts, contributions))


def _lines(
    ids: Sequence[str],
    columns: dict[str, NDArray[np.float64]],
    parts: Sequence[str],
    contributions: NDArray[np.float64],
) -> Iterator[str]:
    for place, person in enumerate(ids):
        numbers = {name: _number(column[place]) for name, column in columns.items()}
        found = [
            {"locus": part, "value": _number(value)}
            for part, value in zip(parts, contributions[:, place], strict=True)
        ]
        content = {"IID": person, **numbers, "contributions": found}
        yield json.dumps(content, allow_nan=False) + "\n"


def find(path: Path, person: str) -> dict[str, Any] | None:
    """Return a person's explanation, None where the file has none.

    Raises InputError where the file is no such file.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                content = cast("dict[str, Any]", json.loads(line))
                if content["IID"] == person:
                    return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as explanations; take those of a run") from error
    return None


def _number(value: np.float64) -> float:
    return round(float(value), DIGITS) + 0.0
