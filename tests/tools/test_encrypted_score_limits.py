"""Limits of encrypted scores: what a client may ask for, how it is counted, and floods."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import InputError, RefusedError
from equipoise.tools.encrypted_scoring import scorer as scorer_module
from equipoise.tools.encrypted_scoring import wire
from equipoise.tools.encrypted_scoring.client import BusyOwnerError
from equipoise.tools.encrypted_scoring.limits import LimitError, Limits
from equipoise.tools.encrypted_scoring.scorer import BusyError, open_scorer
from tools.encrypted_scores import DAY, VARIANTS, Direct, owner, reader, request
from tools.scoring import site, weights

pytest.importorskip("tenseal")
from equipoise.tools.encrypted_scoring.asking import Choices, score_encrypted


def limits(folder: Path, per_day: int = 5, in_all: int = 8, model: str = "m") -> Limits:
    return Limits.open(folder / "counts", model, per_day, in_all)


def test_scores_are_counted_by_client_day_and_model_and_kept(tmp_path: Path) -> None:
    held, tomorrow = limits(tmp_path), date(2026, 5, 18)
    held.charge("a", 4, DAY)
    with pytest.raises(LimitError, match="2 scores are asked for and 1 are left today"):
        held.charge("a", 2, DAY)
    held.charge("a", 1, DAY)
    again = limits(tmp_path)
    assert [again.left("a", DAY), again.left("b", DAY), again.left("a", tomorrow)] == [0, 5, 3]
    assert limits(tmp_path, model="n").left("a", DAY) == 5
    again.charge("a", 3, tomorrow)
    with pytest.raises(LimitError):
        again.charge("a", 1, date(2027, 1, 1))


def test_charges_at_the_same_time_do_not_pass_the_limit(tmp_path: Path) -> None:
    counted: list[int] = []

    def charge(held: Limits) -> None:
        for _ in range(5):
            try:
                held.charge("a", 1, DAY)
                counted.append(1)
            except LimitError:
                pass

    threads = [threading.Thread(target=charge, args=(limits(tmp_path, 20, 20),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counted) == 20


def test_a_file_that_counts_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text(
        "not a database, but a text that is long enough to be read" * 9
    )
    with pytest.raises(InputError, match="no file of counts"):
        limits(tmp_path)
    with pytest.raises(InputError, match="no file of counts"):
        limits(tmp_path / "nowhere")


def test_the_counts_name_clients_and_nobody_else(tmp_path: Path) -> None:
    held = site(np.ones((6, 3)))
    score_encrypted([held], VARIANTS, Direct(owner(tmp_path)), Choices(least_matched=0))
    with sqlite3.connect(tmp_path / "counts") as file:
        rows = file.execute("SELECT client, day, scores FROM asked").fetchall()
    assert rows == [("clinic", "2026-05-17", 3)]


def test_a_flood_of_queries_ends_at_the_limit(tmp_path: Path) -> None:
    """The limit bounds how many equations a client has: one a score."""
    direct = Direct(owner(tmp_path, per_day=3))
    held = site(np.ones((6, 1)))
    for _ in range(3):
        score_encrypted([held], VARIANTS, direct, Choices(least_matched=0))
    with pytest.raises(RefusedError, match="gives 0 more scores today; nothing was sent"):
        score_encrypted([held], VARIANTS, direct, Choices(least_matched=0))
    # Nor does it help a client not to look.
    again = direct.sent[-1]
    with pytest.raises(LimitError, match="come back tomorrow"):
        direct.scorer.score("clinic", len(again), reader(again))
    assert len(direct.sent) == 3


def test_where_nothing_is_said_a_tenth_of_the_weights_is_the_limit(tmp_path: Path) -> None:
    rows = [("", 1, i + 1, "A", "G", 1) for i in range(57)]
    weights(tmp_path / "w.txt", rows)
    assert open_scorer(tmp_path / "w.txt", tmp_path / "c", per_day=100).limits.in_all == 5
    weights(tmp_path / "w.txt", rows[:3])
    assert open_scorer(tmp_path / "w.txt", tmp_path / "c", per_day=100).limits.in_all == 1


def test_more_requests_than_are_held_at_a_time_are_refused(tmp_path: Path) -> None:
    made = owner(tmp_path)
    _, data = request()
    data = data[:12] + bytes.fromhex(made.description["list_sha256"]) + data[44:]
    with ExitStack() as others:
        others.enter_context(made.places.of("clinic"))
        with pytest.raises(BusyError, match="one request under way at a time"):
            made.score("clinic", len(data), reader(data))
        for number in range(scorer_module.AT_ONCE - 1):
            made.score("next", len(data), reader(data))
            others.enter_context(made.places.of(f"client {number}"))
        with pytest.raises(BusyError, match="ask again in a minute"):
            made.score("next", len(data), reader(data))
    with pytest.raises(ConnectionError):
        made.score("next", len(data), reader(data[:-1]))
    assert len(made.score("next", len(data), reader(data))) == 1  # places are given back


def test_a_busy_owner_is_asked_again_under_another_seed(tmp_path: Path) -> None:
    class Busy(Direct):
        refused = 2

        def scores(self, head: wire.Head, elements: Iterator[bytes], n_weights: int):
            if self.refused:
                self.refused -= 1
                self.sent.append(head.packed())
                raise BusyOwnerError("busy")
            return super().scores(head, elements, n_weights)

    direct, waited = Busy(owner(tmp_path)), list[float]()
    held = site(np.ones((6, 1)))
    choices = Choices(least_matched=0)
    found = score_encrypted([held], VARIANTS, direct, choices, wait=waited.append)
    assert found.requests == 3
    assert waited == [1.0, 3.0]
    assert len({data[44:76] for data in direct.sent}) == 3
    direct.refused = 100
    with pytest.raises(BusyOwnerError):
        score_encrypted([held], VARIANTS, direct, choices, wait=waited.append)
