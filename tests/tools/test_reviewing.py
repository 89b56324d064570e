"""What a steward reads says what the plan is, and what left is what the ledgers say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from equipoise.cli import agreeing
from equipoise.errors import InputError, IntegrityError
from equipoise.federation.approval import Approvals, digest
from equipoise.federation.identity import Identity
from equipoise.federation.registry import ANALYSES
from equipoise.tools.reviewing import WORDS, outbox, review
from federation.building import PRIVACY, build
from federation.driver import Driver
from study.small import cli, draw, write


def test_every_analysis_has_words() -> None:
    assert set(WORDS) == set(ANALYSES)


def test_a_review_says_who_what_and_how_much(tmp_path: Path) -> None:
    plan = Driver(build(tmp_path)).to_plan().plan
    assert plan is not None
    told = review(plan)
    assert told["accountable"] == [
        {"name": "N. N.", "role": "principal investigator", "contact": "n@example.org"}
    ]
    assert [s["step"] for s in told["steps"]] == [step.name for step in plan.steps]
    assert told["approval"]["plan"] == digest(plan)
    assert told["protection"]["shares_that_lift_a_mask"] == 3
    assert told["privacy"] is None
    assert told["bytes_at_most"] == sum(step["bytes_at_most"] for step in told["steps"])
    assert all(c["used"] <= c["allowed"] for c in told["columns"])
    json.dumps(told)


def test_a_review_says_the_cost_in_privacy(tmp_path: Path) -> None:
    pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")
    plan = Driver(build(tmp_path, kind="noise")).to_plan().plan
    assert plan is not None
    told = review(plan)["privacy"]
    assert told["epsilon"] == PRIVACY["epsilon"]
    spent = [step["epsilon_so_far"] for step in told["steps"].values()]
    assert spent == sorted(spent)
    assert spent[-1] <= told["epsilon"]
    noise = told["steps"]["frequency"]["standard_deviation_of_noise"]
    assert noise["alleles"] >= noise["called"] > 0


def test_what_left_is_what_the_centre_received(tmp_path: Path) -> None:
    federation = build(tmp_path)
    _, log, _ = federation.run()
    log.close()
    federation.close()
    for name in federation.names:
        told = outbox(tmp_path / "sites" / name, tmp_path)
        assert told["messages"]
        assert told["not_at_the_centre"] == told["unknown_to_the_site"] == 0
        assert told["bytes"] == sum(row["bytes"] for row in told["messages"])
    alone = outbox(tmp_path / "sites" / "s0")
    assert "at_the_centre" not in alone["messages"][0]


def test_a_message_that_the_centre_hides_is_found(tmp_path: Path) -> None:
    """A centre whose ledger leaves a message out, or has one that no site sent."""
    federation = build(tmp_path)
    _, log, _ = federation.run()
    log.close()
    federation.close()
    path = tmp_path / "ledger" / "entries.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    mine = [i for i, line in enumerate(lines) if b'"site":"s0"' in line and b'"received"' in line]
    kept = [line for i, line in enumerate(lines) if i != mine[0]]
    path.write_bytes(b"".join(kept))
    assert outbox(tmp_path / "sites" / "s0", tmp_path)["not_at_the_centre"] == 1
    sent = json.loads(lines[mine[0]])["body"]["sha256"].encode()
    path.write_bytes(b"".join(lines).replace(sent, b"0" * 64))
    told = outbox(tmp_path / "sites" / "s0", tmp_path)
    assert (told["not_at_the_centre"], told["unknown_to_the_site"]) == (1, 1)


def test_a_folder_without_a_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such ledger"):
        outbox(tmp_path)
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "entries.jsonl").write_bytes(b"nothing\n")
    with pytest.raises(IntegrityError):
        outbox(tmp_path)


@pytest.fixture
def proposed(tmp_path: Path) -> tuple[Path, Path, str]:
    """A study file, a home to which a plan of it has come, and the plan's digest."""
    study = write(tmp_path / "study", draw())
    home = tmp_path / "home"
    approvals = Approvals(home, Identity.at(home, "s0"))
    plan = Driver(build(tmp_path / "federation")).to_plan().plan
    assert plan is not None
    identity = json.loads(cli("check", study, "--json").out)["study"]
    renamed: Any = {**plan.study, "id": identity}
    plan = replace(plan, study=renamed)
    approvals.propose(plan)
    return study, home, digest(plan)


def test_a_steward_reviews_approves_and_takes_back(
    proposed: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    study, home, plan = proposed
    agreeing.review_and_tell(study, home, as_json=False)
    said = capsys.readouterr().out
    assert "Who is accountable:" in said
    assert f"plan {plan[:16]}" in said
    assert "Not approved." in said
    agreeing.approve_and_tell(study, home, plan[:16], revoke=False, as_json=True)
    assert json.loads(capsys.readouterr().out)["approved"]
    agreeing.review_and_tell(study, home, as_json=True)
    assert json.loads(capsys.readouterr().out)["approved"]
    agreeing.approve_and_tell(study, home, plan, revoke=True, as_json=True)
    assert not json.loads(capsys.readouterr().out)["approved"]
    agreeing.review_and_tell(study, home, as_json=True)
    assert not json.loads(capsys.readouterr().out)["approved"]


@pytest.mark.parametrize("wanted", [None, "0" * 16, ""])
def test_an_approval_names_the_plan_that_was_looked_at(
    proposed: tuple[Path, Path, str], wanted: str | None
) -> None:
    study, home, _ = proposed
    with pytest.raises(InputError, match=r"say which plan|proposed last"):
        agreeing.approve_and_tell(study, home, wanted, revoke=False, as_json=True)
    assert not (home / "approvals").exists()


def test_a_folder_that_is_no_home_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no site's home"):
        agreeing.review_and_tell(tmp_path / "study.toml", tmp_path, as_json=True)
    assert not (tmp_path / "signing.key").exists()
