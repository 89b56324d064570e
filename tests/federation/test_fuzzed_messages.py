"""Mutated and random messages: none is taken, none breaks a site, and it goes on afterwards.

`python scripts/show_fuzz.py` does the same with 100,000.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from federation.driver import Driver
from federation.fuzzing import SITE, a_federation, fuzz, genuine


def test_no_mutated_message_is_taken_and_none_breaks_a_site(tmp_path: Path) -> None:
    federation = a_federation(tmp_path)
    found = fuzz(federation, 1_500)
    assert (found.accepted, found.crashed) == (0, 0)
    assert found.refusals.total() > 1_400
    assert len(found.refusals) > 5
    federation.close()


def test_the_messages_themselves_are_genuine(tmp_path: Path) -> None:
    """So what is refused is refused for what was changed: the last of them is due, and taken."""
    federation = a_federation(tmp_path)
    real = genuine(Driver(federation))
    answer = list(federation.sites[SITE].handle(iter(real[-1])))
    assert b"refusal" not in answer[0]
    federation.close()


def test_a_message_that_comes_again_and_again_has_no_ledger_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a site's work would grow with the square of what is sent to it."""
    federation = a_federation(tmp_path)
    real = genuine(Driver(federation))
    site, read, entries = federation.sites[SITE], list[int](), Log.entries
    first = list(site.handle(iter(real[-1])))

    def counted(log: Log) -> Iterator[Entry]:
        read.append(log.size)
        return entries(log)

    monkeypatch.setattr(Log, "entries", counted)
    for _ in range(20):
        assert list(site.handle(iter(real[-1]))) == first
    assert len(read) <= 1
    federation.close()
