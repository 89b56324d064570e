"""A study over several processes: what is handed over, what each keeps, and that it is the same."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import EquipoiseError, InputError, ProtocolError, TransportError
from equipoise.federation import serving
from equipoise.ledger.audit import verify
from equipoise.ledger.reading import read as read_ledger
from equipoise.study import file
from equipoise.study.coordinate import MOST_REFUSALS, Patience, Watching, coordinate
from equipoise.study.provision import AUTHORITY_KEY, provision, public_file
from equipoise.study.serve import serve
from equipoise.transports import nvflare, nvflare_startup
from equipoise.transports import nvflare_certificates as certificates
from study.small import SITES, all_files, draw, edit, go, science, write
from transports.test_nvflare_tls import free_port

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("nvflare")]

OWN = "/srv/of/the/site/alone"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study file that is not to be changed."""
    return write(tmp_path_factory.mktemp("small"), draw())


class Parts:
    """A study, a home for each site, and the folders that the coordinator hands over."""

    def __init__(self, study: Path, folder: Path) -> None:
        self.folder, self.study = folder, study
        self.homes = {name: folder / "homes" / name for name in SITES}
        for name, home in self.homes.items():
            serving.make_home(home, name)
            kinds = {"genotypes": "bed", "phenotypes": "tsv", "consents": "tsv"}
            rows = [f'{k} = "{study.parent}/{name}/{k}.{end}"' for k, end in kinds.items()]
            (home / serving.DATA).write_text("\n".join(rows))
        self.cards = [home / f"{name}.json" for name, home in self.homes.items()]
        self.handed = folder / "handed"
        self.address = f"127.0.0.1:{free_port()}"
        provision(study, self.handed, self.cards, self.address)

    @property
    def centre(self) -> Path:
        return self.handed / "centre"

    def serve(self, name: str, out: Path, **named: Any) -> bool:
        study = self.handed / name / "study.toml"
        return serve(self.homes[name], study, out=out, signed=False, **named).ended


@pytest.fixture
def parts(small: Path, tmp_path: Path) -> Parts:
    return Parts(small, tmp_path)


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


def run_with(parts: Parts, **named: Any) -> tuple[Exception | None, dict[str, Exception | None]]:
    """Run with sites as threads of this process; return what the centre and each site raised."""
    stop, ended = threading.Event(), dict[str, Exception | None]()

    def serve(name: str) -> None:
        try:
            parts.serve(name, parts.folder / "sites" / name, stop=stop)
            ended[name] = None
        except EquipoiseError as error:
            ended[name] = error

    threads = [threading.Thread(target=serve, args=(name,)) for name in SITES]
    for thread in threads:
        thread.start()
    raised: Exception | None = None
    try:
        coordinate(parts.centre / "study.toml", parts.folder / "out", **named)
    except EquipoiseError as error:
        raised = error
    stop.set()
    for thread in threads:
        thread.join(30)
    return raised, ended


def reasons(ledger: Path) -> list[str]:
    return [str(e.body["reason"]) for e in read_ledger(ledger).entries if e.kind == "refusal"]


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


def test_what_is_handed_over_holds_no_secret_and_no_path_of_a_site(
    small: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(small.parent, tmp_path / "study")) / "study.toml"
    text = study.read_text()
    for name in SITES:
        text = text.replace(f'"{name}/', f'"{OWN}/{name}/')
    study.write_text(text)
    parts = Parts(study, tmp_path / "run")
    secrets = [p.read_bytes() for p in all_files(parts.folder) if p.suffix == ".key"]
    assert len(secrets) == 2 * len(SITES) + 3
    for name in SITES:
        handed = list(all_files(parts.handed / name))
        assert sorted(p.name for p in handed) == [
            "authority.pem", "certificate.pem", "parties.json", "study.toml", "variants.tsv",
        ]  # fmt: skip
        for path in handed:
            content = path.read_bytes()
            assert OWN.encode() not in content
            assert b"PRIVATE" not in content
            assert not any(
                secret in content or secret.hex().encode() in content for secret in secrets
            )
    for path in all_files(parts.folder):
        assert path.suffix != ".key" or path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("study", ["study.toml", "study-sites.toml"])
def test_the_study_that_is_handed_over_says_what_the_coordinators_says(
    study: str, tmp_path: Path
) -> None:
    from equipoise import demo

    own = file.read(demo.folder() / study)
    (tmp_path / "study.toml").write_text(public_file(own))
    again = file.read(tmp_path / "study.toml")
    assert again.public() == own.public()
    assert {site.genotypes.name for site in again.sites} == {nvflare_startup.ELSEWHERE}


@pytest.mark.parametrize("words", ['a "quoted" \\ one', "é ü 漢 🧬", "# no comment", "'"])
def test_any_question_survives_being_handed_over(words: str, small: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    own = replace(file.read(small), question=words)
    (tmp_path / "study.toml").write_text(public_file(own))
    assert file.read(tmp_path / "study.toml").question == words


def test_cards_must_be_those_of_the_studys_sites(small: Path, parts: Parts, tmp_path: Path) -> None:
    for cards in (parts.cards[:3], [*parts.cards, parts.cards[0]]):
        with pytest.raises(InputError, match="give the card of each site once"):
            provision(small, tmp_path / "again", cards, parts.address)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("address", ["", "host", "host:", "host:0", "host:65536", "::1:80", ":80"])
def test_an_address_is_a_host_and_a_port(address: str, small: Path, parts: Parts) -> None:
    with pytest.raises(InputError, match="is no address"):
        provision(small, parts.folder / "again", parts.cards, address)


def test_a_card_changed_on_the_way_is_refused(small: Path, parts: Parts, tmp_path: Path) -> None:
    said = json.loads(parts.cards[0].read_text())
    other = json.loads(parts.cards[1].read_text())
    spoilt: dict[str, object] = {
        "another's request": {**said, "request": other["request"]},
        "no request": {**said, "request": "none"},
        "a short key": {**said, "signing_key": "00"},
        "a path for a name": {**said, "name": "../../etc"},
        "another version": {**said, "version": 2},
        "a list": [said],
    }
    for what, content in spoilt.items():
        path = tmp_path / "card.json"
        path.write_text(json.dumps(content))
        with pytest.raises(InputError):
            provision(small, tmp_path / "again", [path, *parts.cards[1:]], parts.address)
        assert not (tmp_path / "again").exists(), what


def test_a_changed_key_changes_the_fingerprint(parts: Parts) -> None:
    own = nvflare_startup.read_parties(parts.handed / "North")
    assert own.fingerprint == nvflare_startup.read_parties(parts.centre).fingerprint
    keys = {**own.keys, "East": bytes(32)}
    changed = nvflare_startup.Parties(own.study, own.address, keys)
    assert changed.fingerprint != own.fingerprint


def test_a_home_and_a_start_up_folder_that_do_not_belong_together_are_told(parts: Parts) -> None:
    again = parts.folder / "again"
    serving.make_home(again, "North")
    shutil.copy(parts.homes["North"] / serving.DATA, again)
    parts.homes["North"] = again
    with pytest.raises(InputError, match="another key for North than this home"):
        parts.serve("North", parts.folder / "out")
    assert not (parts.folder / "out").exists()


def test_keys_are_never_written_over(parts: Parts) -> None:
    before = (parts.homes["North"] / "signing.key").read_bytes()
    with pytest.raises(InputError, match="has keys already"):
        serving.make_home(parts.homes["North"], "North")
    assert (parts.homes["North"] / "signing.key").read_bytes() == before


@pytest.mark.parametrize("name", ["", "centre", "Centre", "../up", "a b", "x" * 65, "-a"])
def test_a_name_that_no_site_may_bear_is_refused_and_nothing_is_made(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no name of a site"):
        serving.make_home(tmp_path / "home", name)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "text", ["", "genotypes = 1", "x", 'genotypes = "g"\nphenotypes = "p"', 'a = "b"']
)
def test_a_sites_own_file_says_exactly_where_three_files_are(text: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(InputError, match=r"site\.toml"):
        serving.read_data(tmp_path / "site.toml")


def told() -> dict[str, Any]:
    return {
        "alignment": {"matched": 8, "swapped": 1, "absent": 1},
        "without_genotypes": 0,
        "duplicates_sought": True,
        "notes": ["a note"],
    }


def test_what_a_site_says_of_its_files_is_heard_as_it_was_said() -> None:
    heard = serving.files_heard("North", told())
    assert (heard.alignment.matched, heard.notes, heard.unknown_phenotypes) == (8, ("a note",), 0)
    assert serving.files_said(heard, 5)["notes"] == ["a note"]


@pytest.mark.parametrize("unknown", range(8))
def test_a_count_of_one_to_four_people_is_never_said(unknown: int) -> None:
    from dataclasses import replace

    own = replace(serving.files_heard("North", told()), unknown_phenotypes=unknown)
    said = serving.files_said(own, 5)["without_genotypes"]
    assert said == (None if 0 < unknown < 5 else unknown)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alignment", {"matched": -1, "swapped": 0, "absent": 0}),
        ("alignment", {"matched": "8", "swapped": 0, "absent": 0}),
        ("alignment", {"matched": 8, "swapped": 1, "absent": 1, "other": 1}),
        ("alignment", None),
        ("without_genotypes", 1.5),
        ("without_genotypes", True),
        ("duplicates_sought", 1),
        ("notes", "words"),
        ("notes", [1]),
    ],
)
def test_what_a_site_says_of_its_files_in_another_form_is_refused(key: str, value: object) -> None:
    with pytest.raises(ProtocolError, match="North announced its files in another form"):
        serving.files_heard("North", {**told(), key: value})
    for other in (None, [], "x", {}):
        with pytest.raises(ProtocolError):
            serving.files_heard("North", other)
