"""A key keeper that is stopped, at any point, and takes up the run where it stood."""

import json
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from equipoise.errors import IntegrityError, ProtocolError
from equipoise.federation import agreement, tape
from equipoise.federation.run import Run
from equipoise.federation.wire import Envelope
from equipoise.ledger.reading import read
from equipoise.plan import KEEPER
from equipoise.protections.encrypted_scheme import DEGREE
from federation.keeping import Kept, build_kept
from protections.encrypted_rounds import INSTALLED

pytestmark = INSTALLED

STEPS = ("census", "frequency", "association", "model", "performance")


class KilledError(BaseException):
    """The process was killed: nothing of it catches this."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """Return a run that nothing stopped, and the kinds of entries of its keeper's ledger."""
    kept = build_kept(tmp_path_factory.mktemp("whole"), lasting=True)
    done = kept.run()
    return done, kinds(kept)


def kinds(kept: Kept) -> list[str]:
    return [entry.kind for entry in entries(kept)]


def entries(kept: Kept) -> Any:
    return read(kept.federation.root / KEEPER / "ledger").entries


def checked(kept: Kept, done: Run, whole: tuple[Run, list[str]]) -> None:
    """Check that results are those of the run that nothing stopped, and so are the entries."""
    for step in STEPS:
        one, other = done.results[step], whole[0].results[step]
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert kinds(kept) == whole[1]
    totals = [
        entry.body["sha256"]
        for entry in read(kept.federation.root / "ledger").entries
        if entry.kind == "release" and entry.body["phase"] == "total"
    ]
    assert [e.body["sha256"] for e in entries(kept) if e.kind == "decryption"] == totals
    assert not (kept.federation.root / "journals" / "key").exists()


@dataclass
class Stopping:
    """Answers for a keeper that is stopped at its messages, by their number from 1."""

    kept: Kept
    at: Callable[[int, list[bytes]], Iterable[bytes]]
    number: int = 0

    def __call__(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        self.number += 1
        yield from self.at(self.number, list(stream))

    def answer(self, frames: list[bytes]) -> list[bytes]:
        return list(self.kept.handle(iter(frames)))


def test_a_keeper_restarted_before_every_message_comes_to_where_it_stood(
    whole: tuple[Run, list[str]], tmp_path: Path
) -> None:
    kept = build_kept(tmp_path, lasting=True)

    def at(number: int, frames: list[bytes]) -> Iterable[bytes]:
        kept.restart()
        return stopping.answer(frames)

    stopping = Stopping(kept, at)
    checked(kept, kept.run(handle=stopping), whole)


def test_a_keeper_killed_in_the_midst_of_an_answer_gives_the_same_one_again(
    whole: tuple[Run, list[str]], tmp_path: Path
) -> None:
    """After no frame, one, two or three; what went is what comes again, the challenge with it."""
    kept = build_kept(tmp_path, lasting=True)

    def at(number: int, frames: list[bytes]) -> Iterable[bytes]:
        answer, went = kept.handle(iter(frames)), list[bytes]()
        for _ in range(number % 4):
            went += [frame for frame in [next(answer, None)] if frame is not None]
        answer.close()
        kept.restart()
        again = stopping.answer(frames)
        assert again[: len(went)] == went
        return again

    stopping = Stopping(kept, at)
    checked(kept, kept.run(handle=stopping), whole)


@pytest.mark.parametrize("first", range(5))
def test_a_keeper_killed_at_any_write_goes_on(
    first: int, whole: tuple[Run, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every fifth write of its own, whether that is of a key, an answer or a total."""
    kept = build_kept(tmp_path, lasting=True)
    settle, writes, killed = tape.settle, [first], [0]

    def dies(file: BinaryIO) -> None:
        if any(f"/journals/{part}/" in str(file.name) for part in (KEEPER, "key")):
            writes[0] += 1
            if writes[0] % 5 == 0:
                killed[0] += 1
                raise KilledError
        settle(file)

    def at(number: int, frames: list[bytes]) -> Iterable[bytes]:
        while (answer := lives(lambda: stopping.answer(frames))) is None:
            while lives(lambda: kept.restart() or [b""]) is None:
                pass
        return answer

    def lives(act: Callable[[], list[bytes]]) -> list[bytes] | None:
        try:
            return act()
        except KilledError:
            return None

    stopping = Stopping(kept, at)
    monkeypatch.setattr(tape, "settle", dies)
    checked(kept, kept.run(handle=stopping), whole)
    assert killed[0] > 5


def test_after_a_restart_no_other_message_is_decrypted_with_the_same_key(tmp_path: Path) -> None:
    """Who chooses what a key decrypts twice learns it: a refused message was its one."""
    kept = build_kept(tmp_path, lasting=True)

    def change(meant: Envelope) -> Iterable[Envelope]:
        if meant.kind == "round" and meant.body["phase"] == 1:
            first, *rest = meant.blocks
            turned = np.roll(np.frombuffer(first, "<u8").reshape(-1, DEGREE), 1, axis=1)
            yield replace(meant, blocks=[turned.tobytes(), *rest])
            kept.restart()
        yield meant

    with pytest.raises(ProtocolError, match="has been asked for before, otherwise"):
        kept.run(change)
    assert kinds(kept).count("decryption") == 0
    assert kinds(kept).count("refusal") == 2


def test_a_message_that_breaks_off_is_not_begun_to_be_decrypted(
    whole: tuple[Run, list[str]], tmp_path: Path
) -> None:
    """Nothing is written of it but a refusal: whole, it is answered."""
    kept, cut = build_kept(tmp_path, lasting=True), [0]

    def at(number: int, frames: list[bytes]) -> Iterable[bytes]:
        if len(frames) > 1 and b'"round"' in frames[0]:
            refused = list(kept.handle(iter(frames[:-1])))
            assert b"refusal" in refused[0]
            cut[0] += 1
        return stopping.answer(frames)

    stopping = Stopping(kept, at)
    done = kept.run(handle=stopping)
    assert cut[0] == kinds(kept).count("decryption") == kinds(kept).count("refusal")
    assert done.results["association"] is not None


@pytest.fixture
def midway(tmp_path: Path) -> tuple[Kept, Stopping, list[Callable[[], None]]]:
    """Return a keeper that does something once, when it has made a key and not decrypted."""
    kept, due = build_kept(tmp_path, lasting=True), list[Callable[[], None]]()

    def at(number: int, frames: list[bytes]) -> Iterable[bytes]:
        if due and number > 10 and (tmp_path / "journals" / "key" / "key").exists():
            due.pop()()
        return stopping.answer(frames)

    stopping = Stopping(kept, at)
    return kept, stopping, due


def test_what_the_keeper_kept_must_be_whole(
    midway: tuple[Kept, Stopping, list[Any]], whole: tuple[Run, list[str]]
) -> None:
    kept, stopping, due = midway
    root = kept.federation.root

    def spoil() -> None:
        past = sorted((root / "journals" / KEEPER / "past").iterdir())
        assert {path.suffix for path in past} == {".message", ".total"}
        key = root / "journals" / "key" / "key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        for path in (past[0], past[-1], key):
            content = path.read_bytes()
            for spoilt in (content[:-1], b""):
                path.write_bytes(spoilt)
                with pytest.raises(IntegrityError, match="is missing, or is not what was kept"):
                    kept.restart()
            path.write_bytes(content)
        kept.restart()

    due.append(spoil)
    checked(kept, kept.run(handle=stopping), whole)
    assert not due


def test_journal_and_ledger_must_fit_one_another(
    midway: tuple[Kept, Stopping, list[Any]], whole: tuple[Run, list[str]]
) -> None:
    """A total that was altered, whatever its form, is not the one that was decrypted."""
    kept, stopping, due = midway
    root = kept.federation.root

    def spoil() -> None:
        past = root / "journals" / KEEPER / "past"
        for path in past.glob("*.total"):
            content = path.read_bytes()
            path.write_bytes(content[:8] + bytes([content[8] ^ 1]) + content[9:])
            with pytest.raises(IntegrityError, match="one of them was altered"):
                kept.restart()
            path.write_bytes(content)
        ledger = root / KEEPER / "ledger" / "entries.jsonl"
        lines = ledger.read_bytes().splitlines(keepends=True)
        place = next(i for i, line in enumerate(lines) if b'"decryption"' in line)
        entry = json.loads(lines[place])
        assert entry["kind"] == "decryption"
        other = lines[place].replace(b'"least":3', b'"least":4')
        for spoilt in (lines[:-1], [*lines[:place], other, *lines[place + 1 :]]):
            assert spoilt != lines
            ledger.write_bytes(b"".join(spoilt))
            with pytest.raises(IntegrityError):
                kept.restart()
        ledger.write_bytes(b"".join(lines))
        kept.restart()

    due.append(spoil)
    checked(kept, kept.run(handle=stopping), whole)
    assert not due


def test_a_keeper_restarted_after_its_last_answer_closes_its_ledger_once(
    whole: tuple[Run, list[str]], tmp_path: Path
) -> None:
    kept = build_kept(tmp_path, lasting=True)
    done = kept.run()
    size = kept.desk.ledger.size
    kept.start()
    assert kept.desk.ledger.size == size
    kept.desk.ledger.close()
    checked(kept, done, whole)


def test_who_asks_a_keeper_to_begin_another_run_is_told_that_it_is_the_keeper(
    tmp_path: Path,
) -> None:
    """And which command leaves the run that has not ended: a site's is another."""
    kept = build_kept(tmp_path, lasting=True)
    kept.run()
    said = "the key keeper takes part in a run .* stop `equipoise keeper serve`"
    with pytest.raises(ProtocolError, match=said):
        kept.desk.open(agreement.place("hello", None, 0))


def test_a_keeper_that_computes_something_else_is_named(tmp_path: Path) -> None:
    kept = build_kept(tmp_path, lasting=True)
    kept.run()
    first, other = kept.desk.journal.lines[0], kept.desk.envelope("hello", {})
    kept.desk.check_same(first, other)
    with pytest.raises(IntegrityError, match="the key keeper now computes something else"):
        kept.desk.check_same(replace(first, blocks="00" * 32), other)
