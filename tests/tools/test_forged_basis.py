"""A forged total steers components of ancestry, and the check of totals is what prevents it.

The centre wants the covariances of one variant with all others, over everybody: X'X times one
unit vector, which no honest run asks for. It adds to the totals of a round of `components`; what
the sites then compute on is the column that it chose.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from equipoise.analyses.components import Components, ComponentsState
from equipoise.analyses.frequency import Frequency
from equipoise.analyses.pruning import Pruning
from equipoise.cohort import Cohort
from equipoise.errors import ProtocolError
from equipoise.packed.decode import encode
from equipoise.protections import masked_site
from equipoise.protections.masked_centre import MaskedCentre
from equipoise.protections.spool import Spool
from equipoise.tools.adding import Adding
from strategies import Memory

CHOSEN, SIZE, PEOPLE = 17, 60, 40


@cache
def cohorts() -> tuple[Cohort, ...]:
    draw = np.random.default_rng(3)
    p = draw.uniform(0.2, 0.8, SIZE)
    dosages = [draw.binomial(2, p[:, None], (SIZE, PEOPLE)).astype(np.float64) for _ in range(4)]
    rows, folds = np.arange(PEOPLE), np.zeros(PEOPLE, np.int64)
    return tuple(Cohort(Memory(encode(dosage), PEOPLE), rows, {}, folds) for dosage in dosages)


@cache
def components() -> Components:
    people, adding = 4 * PEOPLE, Adding(cohorts())
    windows = tuple(range(SIZE + 1))
    counts = adding.run(Frequency(people, SIZE, 10, 0))
    pruned = adding.run(Pruning(people, SIZE, windows, 1, counts))
    return Components(people, SIZE, 2, 1, 6, SIZE, counts, pruned, seed=1)


def columns_asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list to which the columns of each round come, as sites are asked for them."""
    asked: list[Any] = []
    summarise = Components.summarise

    def listening(self: Components, cohort: Cohort, state: ComponentsState) -> Any:
        if cohort is cohorts()[0]:
            asked.append(state.bases[-1, :, 0])
        return summarise(self, cohort, state)

    monkeypatch.setattr(Components, "summarise", listening)
    monkeypatch.setattr(Cohort, "restrict", lambda self, columns: self)
    return asked


def forging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the centre add, at the first round, a great number to what stands at one variant."""
    lift: Callable[..., Any] = MaskedCentre._lift
    done: list[int] = []

    def forged(self: MaskedCentre, answers: Any) -> Any:
        requests = lift(self, answers)
        if not done:
            done.append(1)
            (field,) = self.schema.blocks[0].values()
            whole = np.frombuffer(b"".join(self.sums), "<i8").copy()
            whole[CHOSEN] += int(0.9 * field.limit / field.quantum)
            self.sums = Spool()
            self.sums.add(whole.tobytes())
            requests = {s: type(r)(r.head, self.sums) for s, r in requests.items()}
        return requests

    monkeypatch.setattr(MaskedCentre, "_lift", forged)


def test_an_honest_run_never_asks_for_one_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = columns_asked(monkeypatch)
    Adding(cohorts(), "masked").run(components())
    assert max(abs(column[CHOSEN]) for column in asked) < 0.7


def test_a_forged_total_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = columns_asked(monkeypatch)
    forging(monkeypatch)
    with pytest.raises(ProtocolError, match="it was forged"):
        Adding(cohorts(), "masked").run(components())
    assert len(asked) == 1


def test_without_the_check_the_centre_reads_the_covariances_that_it_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same forgery, by sites that compare nothing: the shown use of the check."""
    asked = columns_asked(monkeypatch)
    forging(monkeypatch)
    monkeypatch.setattr(masked_site.Forms, "add", lambda self, *values: None)
    Adding(cohorts(), "masked").run(components())
    first = asked[0] / np.linalg.norm(asked[0])
    wanted = np.eye(SIZE)[CHOSEN]
    wanted = wanted - first * first[CHOSEN]  # each column is orthogonal to those before
    steered = abs(asked[1] @ wanted) / np.linalg.norm(wanted) / np.linalg.norm(asked[1])
    assert steered > 0.99
