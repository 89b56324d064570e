"""A run in which a site vanishes: on without it where all agreed to that, else a clear end."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import TransportError
from equipoise.federation import wire
from equipoise.federation.run import Run
from equipoise.transport import Transport
from federation.building import ADMITTED, build


@dataclass
class Losing:
    """A transport on which a site vanishes at the n-th message of a kind that is for it.

    cut  vanish in the midst of the answer, after so many frames; None: before it
    """

    inner: Transport
    site: str
    kind: str
    number: int
    cut: int | None = None
    seen: int = 0
    gone: bool = False
    asked: list[str] = field(default_factory=list[str])

    @property
    def sites(self) -> tuple[str, ...]:
        return self.inner.sites

    def exchange(self, requests: Mapping[str, Iterable[bytes]]) -> Mapping[str, Iterator[bytes]]:
        held = {site: list(frames) for site, frames in requests.items()}
        self.asked += list(held)
        if self.site in held:
            header = wire.read(iter(held[self.site]), lambda *_: None)
            self.seen += header.kind == self.kind
            now = self.seen == self.number and header.kind == self.kind
            self.gone = self.gone or now
        answers = dict(self.inner.exchange(held))
        if self.gone and self.site in answers:
            answers[self.site] = _broken(answers[self.site], self.cut if now else None)
        return answers

    def close(self) -> None:
        self.inner.close()


def _broken(frames: Iterator[bytes], cut: int | None) -> Iterator[bytes]:
    for _ in range(cut or 0):
        yield next(frames)
    raise TransportError("the line is dead")


def run(folder: Path, lost_site: str, *losing: Any) -> tuple[Run, Losing, Any]:
    """Run a study whose transport loses a site; return the run, the transport, who closed."""
    federation = build(folder, kind="masked", lost_site=lost_site)
    made: list[Losing] = []

    def over(local: Transport) -> Transport:
        made.append(Losing(local, *losing))
        return made[0]

    try:
        done, log, closed = federation.run(over)
        entries = list(log.entries())
        log.close()
        assert [e.body["site"] for e in entries if e.kind == "lost"] == sorted(done.lost)
        return done, made[0], closed
    finally:
        federation.close()


# A round has a phase for secrets the first time, then messages, unmasking, check, acceptance.
SAFE = [("round", 1), ("round", 2), ("round", 5), ("outcome", 3), ("round", 6)]
LATE = [("round", 3), ("round", 4), ("round", 7), ("round", 8)]


@pytest.mark.parametrize(("kind", "number"), SAFE)
def test_the_run_goes_on_where_all_agreed_to_that(tmp_path: Path, kind: str, number: int) -> None:
    done, transport, closed = run(tmp_path, "go_on", "s1", kind, number)
    assert set(done.lost) == {"s1"}
    assert set(closed) == set(transport.sites) - {"s1"}
    assert tuple(done.results) == tuple(step.name for step in done.plan.steps)


@pytest.mark.parametrize(("kind", "number"), LATE)
def test_who_vanishes_before_it_vouched_for_its_part_ends_the_run(
    tmp_path: Path, kind: str, number: int
) -> None:
    with pytest.raises(TransportError, match="lost s1"):
        run(tmp_path, "go_on", "s1", kind, number)


@pytest.mark.parametrize(("kind", "number"), [*SAFE, *LATE])
def test_any_loss_ends_the_run_where_that_was_agreed(
    tmp_path: Path, kind: str, number: int
) -> None:
    with pytest.raises(TransportError, match="s1"):
        run(tmp_path, "end", "s1", kind, number)


def test_who_vanishes_in_mid_message_is_left_out_at_the_next_attempt(tmp_path: Path) -> None:
    done, transport, _ = run(tmp_path, "go_on", "s1", "round", 2, 1)
    assert set(done.lost) == {"s1"}
    assert transport.asked.count("s1") < transport.asked.count("s2")


def test_the_total_without_a_site_is_that_of_the_others(tmp_path: Path) -> None:
    """Lost before the first total: fewer people are in it, by that site's own."""
    done, _, _ = run(tmp_path / "lost", "go_on", "s1", "round", 1)
    whole = build(tmp_path / "whole", kind="masked")
    everybody, log, _ = whole.run()
    log.close()
    whole.close()
    counted = [int(r.results["frequency"].called.max()) for r in (done, everybody)]
    assert counted[0] <= 3 * ADMITTED < counted[1] <= 4 * ADMITTED


def test_two_losses_leave_too_few(tmp_path: Path) -> None:
    federation = build(tmp_path, kind="masked", lost_site="go_on")

    def over(local: Transport) -> Transport:
        return Losing(Losing(local, "s1", "round", 2), "s2", "round", 6)

    with pytest.raises(TransportError, match="too few sites are left"):
        federation.run(over)
    federation.close()
