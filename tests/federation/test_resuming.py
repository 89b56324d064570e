"""A centre or a site that is stopped, at any point, and takes up the run where it stood."""

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from equipoise.errors import FaultError, IntegrityError, ProtocolError, TransportError
from equipoise.federation import tape
from equipoise.federation.identity import CENTRE
from equipoise.federation.remembering import Remembering
from equipoise.federation.run import Centre, Run
from equipoise.ledger.audit import verify
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.retraced import Retraced
from equipoise.transport import Transport
from equipoise.transports.local import LocalTransport
from federation.building import Federation, build

KINDS = ["clear", "masked", "noise"]


class KilledError(Exception):
    """The process was killed."""


@dataclass
class Stopping:
    """A transport whose centre is killed at the n-th exchange that it is asked for.

    frames  of the answers so many frames come before the centre is killed; None: it is killed
            before it asks
    asked   whom it asked what, over all processes of the centre
    before  is called with the number of each exchange
    """

    inner: Transport
    asked: list[tuple[str, bytes]]
    number: int = 0
    frames: int | None = None
    before: Callable[[int], None] = lambda number: None
    seen: int = 0

    @property
    def sites(self) -> tuple[str, ...]:
        return self.inner.sites

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        self.seen += 1
        self.before(self.seen)
        if self.seen == self.number and self.frames is None:
            raise KilledError
        held = {site: list(frames) for site, frames in requests.items()}
        self.asked += [(site, frames[0]) for site, frames in held.items()]
        answers = self.inner.exchange(held)
        if self.seen == self.number:
            left = [self.frames or 0]
            return {site: _cut(frames, left) for site, frames in answers.items()}
        return answers

    def close(self) -> None:
        self.inner.close()


def _cut(frames: Iterator[bytes], left: list[int]) -> Iterator[bytes]:
    for frame in frames:
        if not left[0]:
            raise KilledError
        left[0] -= 1
        yield frame


@dataclass
class Ended:
    """What a run gave: its results, the centre's entries, and the root of its ledger."""

    done: Run
    entries: list[Entry]
    root: bytes


@dataclass
class Processes:
    """A study and the processes of its centre, one after the other."""

    federation: Federation
    asked: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])

    def go(self, **stopping: Any) -> Ended | None:
        """Run up to where the centre is killed, then None, or to the end."""
        own = self.federation
        key, origin = own.identities[CENTRE].signing, "equipoise/made-up/centre"
        place = own.root / "ledger"
        begun = place.exists()
        log = (Retraced.open if begun else Retraced.create)(place, origin, key)
        log.retrace(("refusal",)) if begun else None
        lost = {str(e.body["site"]) for e in log.entries() if e.kind == "lost"}
        local = LocalTransport({name: handled(own, name) for name in own.names})
        answers = Remembering(Stopping(local, self.asked, **stopping), own.root / "answers", lost)
        try:
            rows = [{"name": n, "public_key": own.peers.keys[n].hex()} for n in own.names]
            log.append(Entry("sites", {"sites": rows}))
            me = own.identities[CENTRE]
            centre = Centre(me, own.peers, answers, log, own.compiled, {}, None, "run")
            done = centre.run(own.public, own.variants)
            for site, closed in sorted(centre.close(done).items()):
                body = {name: closed[name] for name in ("note", "root", "size")}
                log.append(Entry("checkpoint", {"site": site, **body}))
            log.append(Entry("closed", {"reason": "the plan has ended"}))
            log.seal()
            return Ended(done, list(log.entries()), log.root)
        except KilledError:
            return None
        finally:
            answers.close()
            log.close()

    def exchanges(self) -> int:
        """Return how often the first site was asked."""
        return sum(site == "s0" for site, _ in self.asked)

    def checked(self, ended: Ended | None) -> Ended:
        """Return a run that ended, all of whose ledgers hold and fit one another."""
        assert ended is not None
        self.federation.close()
        out = self.federation.root / "whole"
        shutil.copytree(self.federation.root / "sites", out / "sites")
        shutil.copytree(self.federation.root / "ledger", out / "ledger")
        assert verify(out, ended.root).sites == self.federation.names
        return ended


def handled(federation: Federation, name: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    """Return what answers in a site's name, whichever process that is now."""

    def handle(stream: Iterator[bytes]) -> Iterator[bytes]:
        return federation.sites[name].handle(stream)

    return handle


def same(one: Run, other: Run) -> bool:
    """Whether two runs of one study come to the same numbers."""
    names = sorted(one.results)
    return names == sorted(other.results) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for name in names
        for a, b in zip(arrays(one.results[name]), arrays(other.results[name]), strict=True)
    )


def arrays(record: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(getattr(record, name)) for name in record.__dataclass_fields__]


@pytest.fixture(scope="module", params=["clear", "masked"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the kind, a run that nothing stopped, and how many exchanges it took."""
    made = Processes(build(tmp_path_factory.mktemp("whole"), kind=request.param, lasting=True))
    ended = made.checked(made.go())
    return request.param, ended, made.exchanges()


def test_a_centre_killed_between_any_two_exchanges_asks_nothing_twice(
    whole: Any, tmp_path: Path
) -> None:
    kind, expected, number = whole
    made, ended = Processes(build(tmp_path, kind=kind, lasting=True)), None
    for _ in range(number + 1):
        if ended := made.go(number=2):
            break
    assert same(made.checked(ended).done, expected.done)
    assert made.exchanges() == number
    assert len(set(made.asked)) == len(made.asked)


def test_a_centre_killed_in_the_midst_of_answers_has_them_again(whole: Any, tmp_path: Path) -> None:
    """One process after the other is killed, each a few frames later than the one before."""
    kind, expected, number = whole
    made, ended, frames = Processes(build(tmp_path, kind=kind, lasting=True)), None, 0
    while ended is None and frames < 9 * number:
        # What is answered whole in a process that is killed stays: so all come further.
        ended = made.go(number=1 + frames % 2, frames=frames % 9)
        frames += 1
    assert same(made.checked(ended).done, expected.done)
    assert len(set(made.asked)) < len(made.asked)  # some had to be asked again


@pytest.mark.parametrize("every", [1, 3])
def test_a_site_restarted_before_any_exchange_comes_to_where_it_stood(
    every: int, whole: Any, tmp_path: Path
) -> None:
    """All sites are, before every exchange, or one of them before every third."""
    kind, expected, number = whole
    made = Processes(build(tmp_path, kind=kind, lasting=True))

    def restart(exchange: int) -> None:
        names = made.federation.names
        for name in names if every == 1 else names[exchange % 4 : exchange % 4 + 1]:
            if exchange % every == 0:
                made.federation.restart(name)

    ended = made.go(before=restart)
    assert same(made.checked(ended).done, expected.done)
    assert made.exchanges() == number


def test_a_site_restarted_after_its_last_answer_closes_its_ledger_once(tmp_path: Path) -> None:
    made = Processes(build(tmp_path, kind="masked", calibrated=True, lasting=True))
    ended, own = made.go(), made.federation
    kinds = {name: own.kinds(name) for name in own.names}
    assert all(found[-2:] == ["artefact", "closed"] for found in kinds.values())
    for name in own.names:
        own.restart(name)
    assert {name: own.kinds(name) for name in own.names} == kinds
    made.checked(ended)


def test_centre_and_sites_may_all_be_stopped_at_once(whole: Any, tmp_path: Path) -> None:
    kind, expected, number = whole
    made, ended = Processes(build(tmp_path, kind=kind, lasting=True)), None
    for _ in range(number + 1):
        for name in made.federation.names:
            made.federation.restart(name)
        if ended := made.go(number=2):
            break
    assert same(made.checked(ended).done, expected.done)


def test_under_noise_a_run_taken_up_has_the_noise_that_it_had(tmp_path: Path) -> None:
    """Were it drawn anew, what a killed centre had seen would be a second look at the sums."""
    made = Processes(build(tmp_path / "one", kind="noise", lasting=True))
    for stop in (9, 14):
        assert made.go(number=stop) is None
        seen = {n: made.federation.sites[n]._asked for n in made.federation.names}
        for name in made.federation.names:
            made.federation.restart(name)
            assert made.federation.sites[name]._asked == seen[name]
    made.checked(made.go())


def test_a_site_whose_people_changed_cannot_take_up_its_run(tmp_path: Path) -> None:
    """In the midst of a round its masked message would be other sums under the same masks."""
    made = stopped(tmp_path, 7)  # its first masked message has gone
    data = made.federation.people["s1"].dataset
    columns = {name: column.copy() for name, column in data.columns.items()}
    columns["trait"] = 1 - columns["trait"]
    made.federation.people["s1"].dataset = replace(data, columns=columns)
    with pytest.raises(IntegrityError, match="computes something else than what it sent before"):
        made.federation.restart("s1")


def stopped(folder: Path, number: int = 14) -> Processes:
    made = Processes(build(folder, kind="masked", lasting=True))
    assert made.go(number=number) is None
    return made


def test_what_a_centre_kept_and_what_it_entered_must_agree(tmp_path: Path) -> None:
    """Answers that were altered are not those that were signed; nor may they be swapped."""
    made = stopped(tmp_path)
    path = tmp_path / "answers" / "000005" / "s2.tape"
    whole = path.read_bytes()
    for place in (40, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises((ProtocolError, TransportError, IntegrityError)):
            made.go()
    path.write_bytes((tmp_path / "answers" / "000004" / "s2.tape").read_bytes())
    with pytest.raises((IntegrityError, ProtocolError)):
        made.go()
    path.write_bytes(whole)
    made.checked(made.go())


def test_a_ledger_that_was_cut_or_altered_is_not_taken_up(tmp_path: Path) -> None:
    made = stopped(tmp_path)
    path = tmp_path / "ledger" / "entries.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for spoilt in (lines[:-1], [*lines[:3], lines[3].replace(b"a", b"b"), *lines[4:]]):
        path.write_bytes(b"".join(spoilt))
        with pytest.raises(IntegrityError):
            made.go()
    (tmp_path / "ledger" / "checkpoint").write_bytes(b"nothing")
    path.write_bytes(b"".join(lines))
    with pytest.raises(IntegrityError):
        made.go()


def test_a_site_whose_journal_lacks_something_says_so(tmp_path: Path) -> None:
    made = stopped(tmp_path)
    past = sorted((tmp_path / "journals" / "s0" / "past").iterdir())
    assert {path.suffix for path in past} == {".message", ".total"}
    for path in past:
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(IntegrityError, match="is missing, or is not what was kept"):
            made.federation.restart("s0")
        path.write_bytes(content)
    made.federation.restart("s0")
    made.checked(made.go())


def test_another_run_of_the_same_study_is_refused_while_one_has_not_ended(tmp_path: Path) -> None:
    """Two coordinators: sites stay with the first, and enter that the other came."""
    made = stopped(tmp_path)
    own = made.federation
    local = LocalTransport({name: handled(own, name) for name in own.names})
    with Log.create(
        tmp_path / "other", "equipoise/made-up/centre", own.identities[CENTRE].signing
    ) as log:
        me = own.identities[CENTRE]
        other = Centre(me, own.peers, local, log, own.compiled, {}, None, "another run")
        with pytest.raises(ProtocolError, match="takes part in a run that has not ended"):
            other.run(own.public, own.variants)
    local.close()
    assert own.kinds("s0")[-1] == "refusal"
    made.checked(made.go())


@pytest.mark.parametrize("who", ["centre", "site"])
def test_a_disk_that_is_full_costs_a_restart_and_nothing_else(
    who: str, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every 18th write fails, up to the tenth, and no number differs in the end."""
    kind, expected, _ = whole
    made, ended = Processes(build(tmp_path, kind=kind, lasting=True)), None
    settle, writes, failing = tape.settle, [0], [range(7, 18 * 10, 18)]

    def full(file: BinaryIO) -> None:
        if ("answers" in str(file.name)) == (who == "centre"):
            writes[0] += 1
            if writes[0] in failing[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
        settle(file)

    monkeypatch.setattr(tape, "settle", full)
    failed = 0
    while ended is None and failed < 30:
        try:
            ended = made.go()
        except (OSError, FaultError):
            failed += 1
            for name in made.federation.names if who == "site" else ():
                made.federation.restart(name)
    assert failed >= 2  # sites write at the same time: two may fail in one exchange, or none
    assert same(made.checked(ended).done, expected.done)
