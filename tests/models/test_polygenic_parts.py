"""A model in parts is checked whole before it is one again."""

from typing import Any

import numpy as np
import pytest

from equipoise.errors import InputError
from equipoise.models.polygenic_parts import from_parts, to_parts
from models.polygenic_models import make_model


def parts() -> tuple[dict[str, Any], dict[str, Any]]:
    return to_parts(make_model(1))


@pytest.mark.parametrize("name", sorted(parts()[0]))
def test_an_array_that_is_absent_or_of_another_form_is_named(name: str) -> None:
    arrays, described = parts()
    array = arrays[name]
    wrong: list[Any] = [array.astype(np.float32), array[:-1], array[None]]
    if array.dtype == np.float64:
        wrong.append(np.where(np.arange(array.size).reshape(array.shape) == 0, np.nan, array))
    for changed in wrong:
        with pytest.raises(InputError, match=r"the model: .*expected"):
            from_parts({**arrays, name: changed}, described)
    del arrays[name]
    with pytest.raises(InputError, match=f"the model: {name}: an array that is not there"):
        from_parts(arrays, described)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("name", 3),
        ("trait", None),
        ("kind", "survival"),
        ("build", []),
        ("groups", ["AFR", "AFR", "EUR"]),
        ("groups", ["AFR", "EUR"]),
        ("groups", []),
        ("covariates", ["age", "sex"]),
        ("covariates", "age"),
        ("candidates", ["one"]),
        ("not_estimable", [""]),
        ("not_estimable", [1, 2, 3]),
        ("components", ["PC1"]),
        ("sites", []),
        ("sites", {"Turku": 1}),
        ("sites", {"Turku": {"intercept": "a", "slope": 1.0, "reason": ""}}),
        ("sites", {"Turku": {"slope": 1.0, "reason": ""}}),
        ("sites", {"Turku": {"intercept": float("nan"), "slope": 1.0, "reason": ""}}),
    ],
)
def test_an_entry_of_another_form_is_refused(name: str, wrong: Any) -> None:
    arrays, described = parts()
    from_parts(arrays, described)
    with pytest.raises(InputError, match="take the model's files as they were saved"):
        from_parts(arrays, {**described, name: wrong})
    del described[name]
    with pytest.raises(InputError, match=f"{name}: an entry that is not there"):
        from_parts(arrays, described)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("candidate_places", 0, 4),
        ("candidate_places", 0, -1),
        ("candidate_starts", 1, 10**6),
        ("candidate_starts", 0, 1),
        ("candidate_starts", -1, 0),
        ("position", 0, 0),
        ("deviation", 0, 0.0),
        ("deviation", 1, -1.0),
        ("shares", 0, 0.5),
        ("shares", 1, -0.5),
        ("chromosome", 0, 255),
        ("effect_allele", 0, 10),
    ],
)
def test_an_entry_out_of_its_range_is_refused(name: str, place: int, value: float) -> None:
    arrays, described = parts()
    changed = arrays[name].copy()
    changed[place] = value
    with pytest.raises(InputError, match="the model: "):
        from_parts({**arrays, name: changed}, described)


def test_a_name_of_two_lines_is_not_kept() -> None:
    model = make_model(2, n=1)
    object.__setattr__(model.variants, "identifier", ("rs1\nrs2",))
    with pytest.raises(ValueError, match="more than one line"):
        to_parts(model)


def test_candidates_that_do_not_rise_within_a_variant_are_refused() -> None:
    arrays, described = parts()
    assert (np.diff(arrays["candidate_starts"]) > 1).any()
    with pytest.raises(InputError, match="rising places"):
        from_parts({**arrays, "candidate_places": 0 * arrays["candidate_places"]}, described)
