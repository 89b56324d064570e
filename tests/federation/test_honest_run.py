"""An honest run ends alike under every protection, and leaves the right ledgers."""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from equipoise.federation import wire
from equipoise.ledger.reading import read
from equipoise.record import step_of
from equipoise.step import Done
from federation.building import STRONG, build
from federation.driver import Driver

STEPS = ["census", "frequency", "quality", "association", "model", "performance"]
CALIBRATED = [*STEPS[:-1], "tuning", "calibration", "performance"]


def test_masked_and_clear_give_the_same_results_to_the_bit(tmp_path: Path) -> None:
    packed: list[dict[str, bytes]] = []
    for kind in ("masked", "clear"):
        federation = build(tmp_path / kind, kind=kind)
        done, log, _ = federation.run()
        packed.append({name: wire.pack_record(done.results[name]) for name in STEPS})
        assert done.results["model"].variants.tolist() == [STRONG]
        assert done.results["performance"].auc[0] > 0.7
        log.close()
        federation.close()
    assert packed[0] == packed[1]


@pytest.mark.parametrize("n_sites", [1, 2, 3])
def test_clear_runs_with_any_number_of_sites(n_sites: int, tmp_path: Path) -> None:
    federation = build(tmp_path, kind="clear", n_sites=n_sites)
    done, log, _ = federation.run()
    assert list(done.results) == STEPS
    log.close()
    federation.close()


def test_a_sites_ledger_holds_the_run_in_its_order(tmp_path: Path) -> None:
    federation = build(tmp_path, calibrated=True)
    done, log, closed = federation.run()
    log.close()
    federation.close()
    phases = 4  # and one more in the first round, for the secrets that later rounds have sent ahead
    for name in federation.names:
        reading = read(tmp_path / "sites" / name / "ledger")
        kinds = [entry.kind for entry in reading.entries]
        hello = ["roster", "release"]
        agreed = ["plan", "release", "release"]
        start, ask = ["state", "release"], ["release"] * phases
        ended, derived = ["state", "release"], ["state", "derived", "release"]
        asked = [*ask, "state", "release"]
        counted = [*start, *ask[:1], *asked, *[*start, *asked] * 3]  # to the association
        nets, tuned = [*start, *asked, *derived], [*start, *asked, *ended]
        calibrated = [*start, *asked * done.results["calibration"].rounds, *derived]
        judged = [*start, *asked * 3]
        steps = [*counted, *nets, *tuned, *calibrated, *judged]
        assert kinds == ["opened", *hello, *agreed, *steps, "artefact", "closed"]
        # The checkpoint that the centre was given is that of the ledger as it is on disk.
        assert closed[name]["note"] == reading.note
        assert closed[name]["root"] == reading.checkpoint.root.hex()
        named = [str(e.body["step"]) for e in reading.entries if e.kind == "state"]
        assert [step for step, _ in groupby(named)] == CALIBRATED
        released = [entry.body for entry in reading.entries if entry.kind == "release"]
        places = [(body["step"], body["round"], body["phase"]) for body in released]
        assert len(set(places)) == len(places)
        assert {body["attempt"] for body in released} == {0}


def test_the_state_in_each_ledger_is_the_one_that_was_published(tmp_path: Path) -> None:
    federation = build(tmp_path, kind="clear")
    done, log, _ = federation.run()
    own = [e.body["sha256"] for e in log.entries() if e.kind == "state"]
    for name in federation.names:
        assert [e.body["sha256"] for e in federation.entries(name) if e.kind == "state"] == own
    last = hashlib.sha256(wire.pack_record(done.results["performance"])).hexdigest()
    assert own[-1] == last
    log.close()
    federation.close()


def test_the_release_in_the_ledger_is_what_went_over_the_wire(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path)).until("census", "round", 2)
    for name, message in driver.next_phase().items():
        answer = driver.send(name, driver.frames(name, "round", driver.round, message))
        entry = driver.federation.entries(name)[-1]
        header = answer.frames[0][10:-64]
        assert entry.kind == "release"
        assert entry.body == {
            "step": "census",
            "round": 1,
            "attempt": 0,
            "phase": "round 2",
            "sha256": hashlib.sha256(header).hexdigest(),
            "bytes": sum(map(len, answer.frames)),
        }


def test_nobody_but_the_site_can_tell_its_salted_digests(tmp_path: Path) -> None:
    """Two sites with the same people: what their ledgers say of them differs."""
    federation = build(tmp_path, kind="clear")
    federation.people["s1"].dataset = federation.people["s0"].dataset
    Driver(federation).to_end()
    for kind in ("roster", "derived"):
        digests = [
            next(e.body["salted_sha256"] for e in federation.entries(n) if e.kind == kind)
            for n in ("s0", "s1")
        ]
        assert digests[0] != digests[1]


def shifted(by: float) -> Callable[[Any], Any]:
    """Return what moves every real number of a record by steps of its grid."""

    def change(record: Any) -> Any:
        moved = {
            f.name: np.asarray(getattr(record, f.name)) + by * step
            for f in fields(record)
            if (step := step_of(f)) is not None
        }
        return replace(record, **moved)

    return change


@pytest.mark.parametrize("by", [-1, 1])
def test_a_centre_whose_real_numbers_are_one_step_off_is_followed_to_the_end(
    by: int, tmp_path: Path
) -> None:
    driver = Driver(build(tmp_path, kind="clear")).to_start()
    while not driver.running.finished:
        if driver.running.asks:
            driver.go()
            continue
        messages = driver.publishing(shifted(by))
        driver.ask("outcome", driver.outcome, messages)
        (message,) = {id(m): m for m in messages.values()}.values()
        published = wire.unpack_outcome(message.blocks, _records(driver.running.follows))
        driver.running.adopt(published)
    answers = driver.ask("close", driver.closing)
    assert {answer.kind for answer in answers.values()} == {"closed"}


def _records(outcome: Any) -> dict[str, type]:
    record = outcome.result if isinstance(outcome, Done) else outcome.state
    return {type(record).__name__: type(record)}


def test_a_centre_with_another_number_of_threads_is_followed_to_the_end(tmp_path: Path) -> None:
    driver = Driver(build(tmp_path, kind="clear"))
    with threadpool_limits(1):
        driver.to_start()
    while not driver.running.finished:
        course = driver.running
        if course.asks:
            messages = driver.next_phase()
            with threadpool_limits(1):  # the sites
                driver.ask_only(messages)
            with threadpool_limits(2):  # the centre
                driver.take()
            continue
        with threadpool_limits(1):
            driver.go()
    assert driver.running.results["model"].variants.tolist() == [STRONG]


def test_a_run_whose_plan_exceeds_the_budget_is_refused_by_every_site(tmp_path: Path) -> None:
    """Too few people for three folds: what the study file itself compiles to is refused."""
    driver = Driver(build(tmp_path, kind="clear", n_sites=3, people=18)).to_plan()
    assert driver.plan is not None
    for name in driver.federation.names:
        answer = driver.send(name, driver.signing(name))
        assert answer.body["error"] == "DisclosureError"
        assert driver.federation.kinds(name)[-1] == "refusal"
