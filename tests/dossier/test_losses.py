"""The drawing of a network's losses says what it draws, and nothing where there is nothing."""

import re
from typing import Any

from equipoise.dossier.losses import losses
from equipoise.dossier.svg import SIDE


def network(train: list[float], stop: list[float], best: int) -> dict[str, Any]:
    parts = {"train": train, "stop": stop}
    linear = {"train": [0.6] * len(stop), "stop": [0.5] * len(stop)}
    return {"by_round": {"network": parts, "linear": linear}, "best_round": best}


def test_both_lines_end_where_the_losses_do() -> None:
    found = losses(network([0.8, 0.4, 0.2], [0.7, 0.3, 0.45], 2))
    assert found is not None
    assert "from 0.7000 to 0.3000 in round 2, which was kept, of 3" in found.said
    assert "the linear model’s is 0.5000" in found.said
    train, stop = (
        [tuple(map(float, pair.split(","))) for pair in steps[1:].split("L")]
        for steps in re.findall(r' d="(M[^"]*)"', found.svg)
    )
    assert [x for x, _ in train] == [x for x, _ in stop] == [0, SIDE / 2, SIDE]
    # Lower is better, and lies lower: further from the top.
    assert train[0][1] < stop[0][1] < stop[2][1] < stop[1][1] < train[2][1]
    (level,) = re.findall(r'class="level" x1="0%" y1="([0-9.]+)%"', found.svg)
    assert stop[0][1] < 10 * float(level) < stop[2][1]


def test_losses_that_do_not_move_are_drawn_and_one_alone_is_not() -> None:
    flat = losses(network([0.5, 0.5], [0.5, 0.5], 1))
    assert flat is not None
    assert "nan" not in flat.svg.lower()
    assert losses(network([0.5], [0.5], 1)) is None
    assert losses(network([], [], 0)) is None
