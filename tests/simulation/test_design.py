from dataclasses import replace
from typing import Any

import pytest

from equipoise.errors import InputError
from equipoise.simulation.design import Design, Trait
from simulation.made import SMALL

WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--people", {"people": ()}),
    ("--people", {"people": (("EUR", 1), ("AFR", 50))}),
    ("--people", {"people": (("EUR", 50), ("EUR", 50))}),
    ("--people", {"people": (("MARS", 200),)}),
    ("--people", {"people": (("../x", 200),), "model": "random"}),
    ("--variants", {"variants": 1}),
    ("--variants", {"variants": -5}),
    ("--model", {"model": "neural"}),
    ("--seed", {"seed": -1}),
    ("--chromosomes", {"chromosomes": 0}),
    ("--chromosomes", {"chromosomes": 23}),
    ("--length", {"length": 10}),
    ("--length", {"length": 10**10}),
    ("--length", {"model": "random", "variants": 400_000}),
    ("--maf", {"maf": 0.0}),
    ("--maf", {"maf": 0.5}),
    ("--maf", {"maf": float("nan")}),
    ("--fst", {"fst": 1.0}),
    ("--amr", {"amr": (("AFR", 0.5), ("EUR", 0.4))}),
    ("--amr", {"amr": (("AFR", 0.5), ("SAS", 0.5))}),
    ("--sites", {"sites": 0}),
    ("--sites", {"sites": 200}),
    ("--relatives", {"relatives": -1}),
    ("--relatives", {"relatives": 61}),
    ("--relatives", {"relatives": 1, "model": "random"}),
    ("--untyped", {"untyped": True, "model": "random"}),
    ("--missing", {"missing": 1.0}),
    ("--batch-missing", {"batch_missing": -0.1}),
    ("--swapped", {"swapped": float("nan")}),
    ("--flipped", {"flipped": 2.0}),
    ("--site-effect", {"site_effect": -1.0}),
    ("--age-effect", {"age_effect": float("inf")}),
    ("--trait", {"traits": (Trait("IID"),)}),
    ("--trait", {"traits": (Trait("a\tb"),)}),
    ("--trait", {"traits": (Trait("a"), Trait("a"))}),
    ("--trait a", {"traits": (Trait("a", "ordinal"),)}),  # pyright: ignore[reportArgumentType]
    ("--trait a", {"traits": (Trait("a", h2=1.0),)}),
    ("--trait a", {"traits": (Trait("a", h2=float("nan")),)}),
    ("--trait a", {"traits": (Trait("a", causal=0),)}),
    ("--trait a", {"traits": (Trait("a", causal=401),)}),
    ("--trait a", {"traits": (Trait("a", correlation=1.1),)}),
    ("--trait a", {"traits": (Trait("a", alpha=-9),)}),
    ("--trait a", {"traits": (Trait("a", "binary", prevalence=0.001),)}),
    ("--trait a", {"traits": (Trait("a", "binary", prevalence=1.0),)}),
)


@pytest.mark.parametrize(("option", "changed"), WRONG, ids=[f"{o} {c}" for o, c in WRONG])
def test_what_cannot_be_simulated_is_refused_with_its_option_and_a_remedy(
    option: str, changed: dict[str, Any]
) -> None:
    with pytest.raises(InputError) as refused:
        replace(SMALL, **changed).check()
    assert any(problem.file == option for problem in refused.value.problems)
    assert all(problem.remedy and problem.expected for problem in refused.value.problems)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as refused:
        replace(SMALL, maf=0.0, missing=2.0, seed=-1).check()
    assert len(refused.value.problems) == 3


def test_a_sound_design_is_not_refused() -> None:
    SMALL.check()
    replace(SMALL, relatives=60).check()
    replace(SMALL, people=(("Narnia", 300),), model="random", length=None).check()


def test_without_a_length_there_is_room_for_all_variants() -> None:
    design = Design(people=(("EUR", 10),), variants=100_000, seed=1)
    assert design.bases * design.chromosomes >= 1500 * design.variants
