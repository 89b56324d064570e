"""A model in a folder of two files: arrays in `model.safetensors`, all else in `model.json`.

safetensors holds arrays and nothing that runs (unlike pickle): a header of JSON with each array's
type, shape and place, then the numbers, little-endian. `model.json` names the format, its version,
and the SHA-256 of the arrays' file and of what it describes itself: a file that was cut short,
altered, or saved with another is not read. They protect from accidents. A model of somebody else
is believed because it is signed, not because it fits its own digests.

A model of another kind has another `name`, by which its two files and its format are called: no
reader takes one kind for another.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from equipoise.errors import InputError, Problem

NAME: Final = "model"
"""Of the two files, unless they are of another kind of model."""

ARRAYS: Final = f"{NAME}.safetensors"
DESCRIPTION: Final = f"{NAME}.json"
VERSION: Final = 1

_AS_SAVED: Final = "take the folder as it was saved, or save the model again"
_TYPES: Final = ("float64", "int64", "int32", "uint8")
"""Of arrays; whatever else is refused when it is saved."""


def save(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    described: Mapping[str, Any],
    name: str = NAME,
) -> None:
    """Write the two files, each whole or not at all.

    described  what JSON holds exactly: text, whole numbers, finite numbers, lists, mappings

    Where that breaks off, an older model stays, or, between the two files, one that `load`
    refuses. ValueError for arrays of another type and for numbers that are not finite.
    """
    data = save_arrays({key: _checked(key, array) for key, array in arrays.items()})
    head = {
        "format": _format(name),
        "version": VERSION,
        "sha256": {"arrays": _digest(data), "model": _digest(_canonical(described))},
        "model": dict(described),
    }
    text = json.dumps(head, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    _write({folder / f"{name}.safetensors": data, folder / f"{name}.json": text.encode()})


def load(folder: Path, name: str = NAME) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays and what else was saved; InputError where they are not as saved."""
    head = _head(folder / f"{name}.json", _format(name))
    path = folder / f"{name}.safetensors"
    data = _bytes(path)
    if _digest(data) != head["sha256"]["arrays"]:
        found = f"other arrays than {name}.json names, or a file cut short"
        raise _problem(path, found, "the file saved with it", _AS_SAVED)
    try:
        return load_arrays(data), head["model"]
    except (SafetensorError, KeyError, ValueError):
        raise _problem(path, "no arrays that can be read", "safetensors", _AS_SAVED) from None


def _format(name: str) -> str:
    return f"equipoise {name}"


def _head(path: Path, form: str) -> dict[str, Any]:
    """Return what the description holds, its form and its own digest checked."""
    try:
        found: Any = json.loads(_bytes(path).decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _problem(path, "no JSON, or cut short", "a saved model's", _AS_SAVED) from None
    head = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if head.get("format") != form:
        raise _problem(path, "another format", f'"format": "{form}"', "choose a saved model")
    if head.get("version") != VERSION:
        remedy = "read it with the package that saved it, and save it again"
        raise _problem(path, "a model of another version", f"version {VERSION}", remedy)
    digests, model = head.get("sha256"), head.get("model")
    if not isinstance(digests, dict) or "arrays" not in digests or not isinstance(model, dict):
        raise _problem(path, "no digests or no model", "both", _AS_SAVED)
    own = cast("dict[str, Any]", digests).get("model")
    if own != _digest(_canonical(cast("dict[str, Any]", model))):
        raise _problem(path, "a description that was altered", "the one saved", _AS_SAVED)
    return head


def _checked(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as it is kept: its entries in order, of one of the types."""
    if str(array.dtype) not in _TYPES:
        raise ValueError(f"{name}: an array of {array.dtype}; expected one of {', '.join(_TYPES)}")
    return np.asarray(array, order="C")


def _write(contents: Mapping[Path, bytes]) -> None:
    """Write all under other names, then give each its own."""
    partial = {path: path.with_name(path.name + ".partial") for path in contents}
    try:
        for path, data in contents.items():
            with partial[path].open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path, written in partial.items():
            written.replace(path)
    finally:
        for written in partial.values():
            written.unlink(missing_ok=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        remedy = "correct the path, or save the model again"
        raise _problem(path, "no such file", "a saved model's", remedy) from None
    except OSError:
        raise _problem(path, "a file that cannot be read", "one", "allow reading it") from None


def _canonical(described: Mapping[str, Any]) -> bytes:
    return json.dumps(described, sort_keys=True, allow_nan=False).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _problem(path: Path, found: str, expected: str, remedy: str) -> InputError:
    return InputError(Problem(str(path), None, found, expected, remedy))
