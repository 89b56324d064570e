"""Models in files come back to the last bit, or not at all."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from equipoise.artefacts import model_files
from equipoise.artefacts.model_files import ARRAYS, DESCRIPTION, load, save
from equipoise.errors import InputError
from equipoise.models.polygenic_parts import from_parts, to_parts
from models.polygenic_models import make_model, models

TYPES = st.sampled_from([np.dtype(t) for t in ("float64", "int64", "int32", "uint8")])
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAY = TYPES.flatmap(lambda kind: arrays_of.arrays(kind, SHAPES))
NAME = st.text("abc_", min_size=1, max_size=6)
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.dictionaries(TEXT, LEAF | TEXT | st.lists(LEAF | TEXT, max_size=3), max_size=4)


def parts() -> tuple[dict[str, Any], dict[str, Any]]:
    return to_parts(make_model(1))


@settings(max_examples=60)
@given(st.dictionaries(NAME, ARRAY, max_size=4), JSON)
def test_what_is_saved_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, Any], described: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    save(folder, arrays, described)
    held, said = load(folder)
    assert said == described
    assert set(held) == set(arrays)
    for name, array in arrays.items():
        assert (held[name].dtype, held[name].shape) == (array.dtype, array.shape)
        assert held[name].tobytes() == array.tobytes()


@settings(max_examples=40)
@given(models())
def test_a_model_comes_back_the_same(tmp_path_factory: pytest.TempPathFactory, model: Any) -> None:
    folder = tmp_path_factory.mktemp("model")
    save(folder, *to_parts(model))
    again = from_parts(*load(folder))
    one, other = to_parts(model), to_parts(again)
    assert one[1] == other[1]
    assert {n: a.tobytes() for n, a in one[0].items()} == {
        n: a.tobytes() for n, a in other[0].items()
    }
    assert again.variants.identifier == model.variants.identifier
    assert again.sites == model.sites


def test_the_same_model_is_saved_as_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save(tmp_path / name, *parts())
    for name in (ARRAYS, DESCRIPTION):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_arrays_that_do_not_lie_in_order_are_kept_by_their_values(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    save(tmp_path, {"turned": array.T, "stepped": array[:, ::2]}, {})
    held, _ = load(tmp_path)
    np.testing.assert_array_equal(held["turned"], array.T)
    np.testing.assert_array_equal(held["stepped"], array[:, ::2])


@pytest.mark.parametrize("name", [ARRAYS, DESCRIPTION])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str, share: float) -> None:
    save(tmp_path, *parts())
    path = tmp_path / name
    data = path.read_bytes()
    path.write_bytes(data[: int(share * (len(data) - 2))])
    with pytest.raises(InputError, match=f"{name}: .*expected.*"):
        load(tmp_path)


@settings(max_examples=40)
@given(st.data())
def test_an_altered_byte_is_seen_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("model")
    arrays, described = parts()
    save(folder, arrays, described)
    path = folder / data.draw(st.sampled_from([ARRAYS, DESCRIPTION]))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        held, said = load(folder)
    except InputError:
        return
    # White space of JSON, and nothing else, may be altered without a trace.
    assert path.name == DESCRIPTION
    assert said == described
    assert {n: a.tobytes() for n, a in held.items()} == {n: a.tobytes() for n, a in arrays.items()}


def test_arrays_of_another_model_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "one", *parts())
    save(tmp_path / "other", *to_parts(make_model(2)))
    (tmp_path / "one" / ARRAYS).write_bytes((tmp_path / "other" / ARRAYS).read_bytes())
    with pytest.raises(InputError, match=r"other arrays than model\.json names"):
        load(tmp_path / "one")


def test_arrays_that_are_none_are_refused_even_with_their_digest(tmp_path: Path) -> None:
    save(tmp_path, *parts())
    (tmp_path / ARRAYS).write_bytes(b"no arrays")
    head = json.loads((tmp_path / DESCRIPTION).read_text())
    head["sha256"]["arrays"] = hashlib.sha256(b"no arrays").hexdigest()
    (tmp_path / DESCRIPTION).write_text(json.dumps(head))
    with pytest.raises(InputError, match="no arrays that can be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "another version"),
        ({"version": "1"}, "another version"),
        ({"format": "other model"}, "another format"),
        ({"sha256": None}, "no digests"),
        ({"sha256": {}}, "no digests"),
        ({"model": []}, "no digests or no model"),
        ({"model": {"name": "other"}}, "altered"),
    ],
)
def test_a_head_of_another_form_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    save(tmp_path, *parts())
    path = tmp_path / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=said):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 10**5, '{"format": NaN}', "\x00"])
def test_what_is_no_json_of_a_model_is_refused(tmp_path: Path, text: str) -> None:
    save(tmp_path, *parts())
    (tmp_path / DESCRIPTION).write_text(text)
    with pytest.raises(InputError, match=r"model\.json"):
        load(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "absent")
    save(tmp_path, *parts())
    (tmp_path / ARRAYS).unlink()
    with pytest.raises(InputError, match=f"{ARRAYS}: no such file"):
        load(tmp_path)


def test_what_breaks_off_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, *parts())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(model_files.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save(tmp_path, *to_parts(make_model(2)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_the_format_does_not_hold_exactly_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32"):
        save(tmp_path, {"a": np.zeros(2, np.float32)}, {})
    with pytest.raises(ValueError, match=r"[Oo]ut of range"):
        save(tmp_path, {}, {"a": float("inf")})
    assert list(tmp_path.iterdir()) == []
