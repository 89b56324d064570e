"""A key keeper in a process of its own: its home, its start-up folder, and the wire to it."""

import threading
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import InputError
from equipoise.federation import wire
from equipoise.federation.homes import TLS_KEY, make_home
from equipoise.federation.identity import CENTRE, Identity, Peers
from equipoise.federation.wire import Envelope
from equipoise.genotypes import variants as variant_list
from equipoise.ledger.reading import read
from equipoise.plan import KEEPER
from equipoise.study import file
from equipoise.study.compile import public_study
from equipoise.study.keep import keep
from equipoise.study.keep import make_home as make_keeper_home
from equipoise.study.provision import provision
from equipoise.transports import nvflare_startup as startup
from equipoise.transports.nvflare import NvflareTransport
from equipoise.transports.nvflare_tls import Credentials
from protections.encrypted_rounds import INSTALLED
from study.small import SITES, cli, edit
from transports.net import free_port

pytestmark = [INSTALLED, pytest.mark.timeout(120), pytest.mark.xdist_group("nvflare")]


class Handed:
    """A study with a key keeper, provisioned."""

    def __init__(self, study: Path, folder: Path) -> None:
        edit(study, 'kind = "masked"', 'kind = "encrypted"\nkeeper = "University of North"')
        self.study, self.home, self.folder = study, folder / "keeper-home", folder / "handed"
        self.sites = [make_home(folder / name, name) for name in SITES]
        self.card = make_keeper_home(self.home)
        self.address = f"127.0.0.1:{free_port()}"

    def provision(self) -> Path:
        provision(self.study, self.folder, [*self.sites, self.card], self.address)
        return self.folder / KEEPER / "study.toml"


@pytest.fixture
def handed(study: Path, tmp_path: Path) -> Handed:
    return Handed(study, tmp_path)


def test_the_keepers_card_is_needed_and_its_folder_is_handed_over(handed: Handed) -> None:
    with pytest.raises(InputError, match="and that of the key keeper"):
        provision(handed.study, handed.folder, handed.sites, handed.address)
    path = handed.provision()
    assert file.read(path).protection.keeper == "University of North"
    keys = startup.read_parties(path.parent).keys
    assert set(keys) == {*SITES, CENTRE, KEEPER}


def test_the_command_makes_keys_once(tmp_path: Path) -> None:
    told = cli("keeper", "init", tmp_path / "home", "--json")
    assert startup.read_card(Path(told.json["card"])).name == KEEPER
    again = cli("keeper", "init", tmp_path / "home")
    assert again.code == 2
    assert "has keys already" in again.err


def test_homes_and_folders_that_do_not_belong_together_are_refused(
    handed: Handed, tmp_path: Path
) -> None:
    path = handed.provision()
    with pytest.raises(InputError, match="no home of a key keeper"):
        keep(tmp_path / "nothing", path)
    make_keeper_home(tmp_path / "other")
    with pytest.raises(InputError, match="another key for keeper"):
        keep(tmp_path / "other", path)
    edit(path, 'kind = "encrypted"', 'kind = "masked"')
    edit(path, 'keeper = "University of North"\n', "")
    with pytest.raises(InputError, match="has no key keeper"):
        keep(handed.home, path)


def test_it_answers_over_tls_what_is_due_and_refuses_the_rest(handed: Handed) -> None:
    pytest.importorskip("nvflare", reason="it needs the extra `federation`")
    path, centre = handed.provision(), handed.folder / CENTRE
    stop, parts = threading.Event(), list[Any]()
    serve = threading.Thread(target=lambda: parts.append(keep(handed.home, path, stop=stop)))
    serve.start()
    own = (startup.AUTHORITY, startup.CERTIFICATE, TLS_KEY)
    credentials = Credentials(*(centre / name for name in own))
    transport = NvflareTransport(handed.address, credentials, [KEEPER])
    identity = Identity.at(centre, CENTRE)
    peers = Peers(startup.read_parties(centre).keys)

    def ask(kind: str, body: dict[str, Any], head: bytes = b"") -> Envelope:
        said = Envelope(kind, CENTRE, {**body, "to": KEEPER}, head)
        frames = transport.exchange({KEEPER: wire.frames(said, identity.sign)})
        found = wire.read(frames[KEEPER], peers.verify)
        wire.end(found.blocks)
        return found

    study = file.read(centre / "study.toml")
    variants = variant_list.read(study.variants.list).digest().hex()
    try:
        transport.wait(60)
        assert ask("hello", {"study": {}, "variants": variants}).kind == "refusal"
        hello = {"study": public_study(study), "variants": variants}
        assert ask("hello", hello).kind == "hello"
        assert ask("plan", {}, b"{}").body["error"] == "ProtocolError"
        assert ask("round", {"phase": 1}).body["reason"] == "the run has not begun"
    finally:
        stop.set()  # before the centre says that this was all
        serve.join(60)
        transport.close()
    [part] = parts
    assert not part.ended
    kinds = [entry.kind for entry in read(part.out / "ledger").entries]
    assert kinds.count("refusal") == 3
    assert kinds.count("release") == 1
    taken_up = keep(handed.home, path, stop=stop)
    assert (taken_up.out, taken_up.ended) == (part.out, False)
    assert [entry.kind for entry in read(part.out / "ledger").entries][: len(kinds)] == kinds
    anew = keep(handed.home, path, stop=stop, anew=True)
    assert anew.out != part.out
    assert len(read(anew.out / "ledger").entries) < len(kinds)
