"""A study over several processes: that it is the same, and what each party keeps."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from equipoise.errors import ProtocolError, TransportError
from equipoise.ledger.audit import verify
from equipoise.ledger.reading import read as read_ledger
from equipoise.study.coordinate import MOST_REFUSALS, Patience, Watching, coordinate
from equipoise.study.provision import AUTHORITY_KEY
from equipoise.transports import nvflare, nvflare_startup
from equipoise.transports import nvflare_certificates as certificates
from study.small import SITES, all_files, edit, go, science
from transports.handed import Parts, reasons, run_with

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("nvflare")]


def process(parts: Parts, name: str) -> subprocess.Popen[str]:
    words = (
        "import sys; from pathlib import Path; from equipoise.cli.federating import serve_and_tell;"
        "home, study, out = map(Path, sys.argv[1:]); serve_and_tell(home, study, None, out, True, signed=False)"
    )
    study, out = parts.handed / name / "study.toml", parts.folder / "sites" / name
    command = [sys.executable, "-c", words, str(parts.homes[name]), str(study), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []

    def start(parts: Parts, name: str) -> subprocess.Popen[str]:
        made.append(process(parts, name))
        return made[-1]

    yield start
    for one in made:
        if one.poll() is None:
            one.kill()
        one.communicate()


Start = Callable[..., subprocess.Popen[str]]


def test_five_processes_give_what_one_gives(parts: Parts, started: Start) -> None:
    pytest.importorskip("nvflare", reason="it needs the extra `federation`")
    sites = {name: started(parts, name) for name in SITES}
    apart, together = parts.folder / "apart", parts.folder / "together"
    outcome = coordinate(parts.centre / "study.toml", apart, patience=Patience(connected=60))
    for name, site in sites.items():
        said, _ = site.communicate(timeout=30)
        assert site.returncode == 0
        assert json.loads(said) == {"ended": True, "out": str(parts.folder / "sites" / name)}
        shutil.copytree(parts.folder / "sites" / name, apart / "sites" / name)
    assert verify(apart, bytes.fromhex(outcome.root)).sites == tuple(sorted(SITES))
    go(parts.study, together)
    assert science(apart) == science(together)
    names = [p.relative_to(together) for p in all_files(together) if "ledger" not in p.parts]
    same = {str(n): (apart / n).read_bytes() == (together / n).read_bytes() for n in names}
    assert {name for name, well in same.items() if not well} == {"results.json", "dossier.html"}
    assert len(names) >= 8
    for name, home in parts.homes.items():  # what is the site's own: no journal is left, no copy
        assert sorted(p.name for p in home.iterdir()) == [
            f"{name}.json", "register.key", "rosters.jsonl", "signing.key", "site.toml", "tls.key",
        ]  # fmt: skip


def test_a_site_that_is_asked_to_stop_stops_with_its_ledger_sealed(
    parts: Parts, started: Start
) -> None:
    pytest.importorskip("nvflare", reason="it needs the extra `federation`")
    site = started(parts, "North")
    while "is ready" not in (site.stderr.readline() if site.stderr else ""):
        assert site.poll() is None
    while not (parts.folder / "sites/North/ledger/checkpoint").exists():
        assert site.poll() is None
    site.send_signal(signal.SIGTERM)
    said, _ = site.communicate(timeout=30)
    assert (site.returncode, json.loads(said)["ended"]) == (0, False)
    read_ledger(parts.folder / "sites/North/ledger")


def test_a_site_that_was_handed_another_study_refuses_and_both_ledgers_are_kept(
    parts: Parts,
) -> None:
    pytest.importorskip("nvflare", reason="it needs the extra `federation`")
    edit(parts.handed / "East" / "study.toml", "Is the trait told", "Is another thing told")
    raised, ended = run_with(parts, patience=Patience(connected=60))
    assert isinstance(raised, ProtocolError)
    assert "site East refuses: the centre's study is not the one" in str(raised)
    assert set(ended.values()) == {None}
    assert (
        "is not the one that this site was given" in reasons(parts.folder / "sites/East/ledger")[0]
    )
    assert (parts.folder / "out.refused-1/ledger/entries.jsonl").is_file()
    assert not (parts.folder / "out").exists()


def test_a_refused_certificate_is_in_the_ledgers_of_both_sides(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One site shows a certificate that has expired; the run does not begin without it."""
    pytest.importorskip("nvflare", reason="it needs the extra `federation`")
    monkeypatch.setattr(nvflare, "check_own", lambda *given: None)
    centre = parts.centre
    key = certificates.read_key(centre / AUTHORITY_KEY)
    from cryptography.x509 import load_pem_x509_certificate

    ca = load_pem_x509_certificate((centre / "authority.pem").read_bytes())
    card = nvflare_startup.read_card(parts.homes["East"] / "East.json")
    then = datetime.now(UTC) - timedelta(days=9)
    old = certificates.sign(ca, key, card.request, "East", now=then, days=8)
    (parts.handed / "East/certificate.pem").write_bytes(certificates.to_pem(old))
    raised, ended = run_with(parts, patience=Patience(connected=6))
    assert isinstance(raised, TransportError)
    assert "not connected: East" in str(raised)
    assert isinstance(ended["East"], TransportError)
    assert "expired" in reasons(parts.folder / "sites/East/ledger")[0]
    (entered,) = reasons(parts.folder / "out.refused-1/ledger")
    assert "certificate has expired" in entered


def test_refused_connections_are_entered_once_for_each_reason(tmp_path: Path) -> None:
    from equipoise.federation.identity import Identity
    from equipoise.ledger.log import Log

    watch = Watching(lambda text: None)
    with Log.create(tmp_path / "ledger", "example.com/log", Identity.create("x").signing) as log:
        for reason in ["one", "two", "one", *map(str, range(1000))]:
            watch.refused(reason)
        watch.enter(log)
        watch.enter(log)
    found = reasons(tmp_path / "ledger")
    assert found[:2] == ["one (2 times so far)", "two (1 times so far)"]
    assert len(found) == MOST_REFUSALS
