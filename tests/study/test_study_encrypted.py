"""A study file that asks for encrypted sums: the same science, a keeper's ledger, and its checks."""

import json
import shutil
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import InputError, IntegrityError
from equipoise.federation.identity import CENTRE, Identity
from equipoise.ledger.audit import verify
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import Log
from equipoise.ledger.reading import read
from equipoise.plan import KEEPER
from equipoise.study import file
from study.small import cli, edit, go, science

pytestmark = [
    pytest.mark.xdist_group("encrypted"),  # one run serves all
    pytest.mark.skipif(
        not all(map(find_spec, ("tenseal", "zstandard"))),
        reason="the extra 'encrypted' is not installed",
    ),
]

NAME = "University of North"
ASKED = f'kind = "encrypted"\nkeeper = "{NAME}"'


@pytest.fixture(scope="module")
def ran(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the study, its run in `out` and all parties' homes in `homes`."""
    folder = tmp_path_factory.mktemp("encrypted")
    shutil.copytree(small.parent, folder / "study")
    study = folder / "study" / "study.toml"
    edit(study, 'kind = "masked"', ASKED)
    go(study, folder / "out", folder / "homes")
    return folder


@pytest.fixture
def copy(ran: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, to be damaged."""
    return Path(shutil.copytree(ran / "out", tmp_path / "out"))


def problem(out: Path) -> str:
    with pytest.raises(IntegrityError) as caught:
        verify(out)
    return str(caught.value)


def test_the_science_is_that_of_masked_sums_byte_for_byte(ran: Path, done: Path) -> None:
    assert science(ran / "out") == science(done)
    for name in ("association.tsv", "model.txt"):
        assert (ran / "out" / name).read_bytes() == (done / name).read_bytes()


def test_the_run_is_verified_with_the_keepers_ledger(ran: Path) -> None:
    assert verify(ran / "out").keeper
    told = cli("verify", ran / "out")
    assert "4 sites, and the key keeper" in told.out
    kinds = {entry.kind for entry in read(ran / "out" / "keeper" / "ledger").entries}
    assert {"plan", "decryption", "release", "state", "closed"} <= kinds


def test_check_names_the_keeper_and_what_it_sees(ran: Path) -> None:
    told = cli("check", ran / "study" / "study.toml")
    assert told.code == 0
    assert f"{NAME} keeps the keys, and sees the total of each round" in told.out
    content = cli("check", ran / "study" / "study.toml", "--json").json
    assert content["protection"]["keeper"] == NAME


def test_the_dossier_names_the_protection(ran: Path) -> None:
    assert "a key keeper apart from the centre" in (ran / "out" / "dossier.html").read_text()


def test_a_flipped_byte_of_the_keepers_ledger_is_found(copy: Path) -> None:
    for name in ("entries.jsonl", "checkpoint"):
        path = copy / "keeper" / "ledger" / name
        data = path.read_bytes()
        for place in (0, len(data) // 2, len(data) - 2):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            assert "keeper/ledger" in problem(copy)
        path.write_bytes(data)
    verify(copy)


def test_a_keepers_ledger_that_is_missing_is_named(copy: Path) -> None:
    shutil.rmtree(copy / "keeper")
    assert "keeper/ledger" in problem(copy)


def rewritten(folder: Path, identity: Identity, change: Callable[[Entry], Iterable[Entry]]) -> str:
    """Write a ledger anew, signed with its own key; return its last checkpoint."""
    earlier = read(folder).entries
    shutil.rmtree(folder)
    with Log.create(folder, str(earlier[0].body["origin"]), identity.signing) as log:
        for entry in earlier[1:]:
            for other in change(entry):
                log.append(other)
        return log.seal()


def forged(ran: Path, out: Path, change: Callable[[Entry], Iterable[Entry]]) -> str:
    """Rewrite the keeper's ledger, have the centre sign its new head, and verify the folder."""
    homes = ran / "homes"
    keeper, centre = (Identity.at(homes / name, name) for name in (KEEPER, CENTRE))
    note = rewritten(out / "keeper" / "ledger", keeper, change)
    head = read(out / "keeper" / "ledger").checkpoint

    def with_head(entry: Entry) -> Iterable[Entry]:
        if entry.kind == "checkpoint" and entry.body["site"] == KEEPER:
            said = {"note": note, "root": head.root.hex(), "size": head.size}
            return [Entry("checkpoint", {**entry.body, **said})]
        return [entry]

    rewritten(out / "ledger", centre, with_head)
    return problem(out)


def test_a_decryption_of_fewer_sites_is_found_though_every_head_is_signed_anew(
    ran: Path, copy: Path
) -> None:
    def fewer(entry: Entry) -> Iterable[Entry]:
        if entry.kind != "decryption":
            return [entry]
        rows = json.loads(entry.to_bytes())["body"]["contributions"]
        return [Entry("decryption", {**entry.body, "contributions": rows[:3]})]

    assert "decrypted of others than all sites" in forged(ran, copy, fewer)


def changed(entry: Entry, change: Callable[[dict[str, Any]], object]) -> list[Entry]:
    """Return a decryption with its body changed, any other entry as it is."""
    if entry.kind != "decryption":
        return [entry]
    body = json.loads(entry.to_bytes())["body"]
    change(body)
    return [Entry("decryption", body)]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["contributions"][0].update(sha256="0" * 64),
        lambda body: body["contributions"][1].update(signature="no signature"),
        lambda body: body["contributions"][2].update(
            signature=body["contributions"][1]["signature"]
        ),
        lambda body: body.update(key="0" * 64),
        lambda body: body.update(context="0" * 64),
    ],
    ids=["message", "words", "another's", "key", "round"],
)
def test_a_decryption_of_what_a_site_did_not_sign_is_found(
    ran: Path, copy: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    found = forged(ran, copy, lambda entry: changed(entry, change))
    assert "decrypted without a signature of" in found


def test_two_decryptions_for_one_round_and_key_are_found(ran: Path, copy: Path) -> None:
    first = next(e for e in read(ran / "out" / "keeper" / "ledger").entries if "least" in e.body)
    same = {name: first.body[name] for name in ("context", "key")}
    found = forged(ran, copy, lambda entry: changed(entry, lambda body: body.update(same)))
    assert "two totals were decrypted for one context" in found
    assert "two totals were decrypted for one key" in found


def test_a_decryption_more_or_less_or_of_another_total_is_found(ran: Path, tmp_path: Path) -> None:
    def none(entry: Entry) -> Iterable[Entry]:
        return [] if entry.kind == "decryption" else [entry]

    def twice(entry: Entry) -> Iterable[Entry]:
        return [entry, entry] if entry.kind == "decryption" else [entry]

    def other(entry: Entry) -> Iterable[Entry]:
        if entry.kind != "decryption":
            return [entry]
        return [Entry("decryption", {**entry.body, "sha256": "0" * 64})]

    for number, change in enumerate((none, twice, other)):
        out = Path(shutil.copytree(ran / "out", tmp_path / str(number)))
        assert "not the totals that the centre's log says" in forged(ran, out, change)


def test_a_ledger_rewritten_as_it_was_holds(ran: Path, copy: Path) -> None:
    """So that what the tests above find is what they changed."""
    with pytest.raises(pytest.fail.Exception):
        forged(ran, copy, lambda entry: [entry])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('kind = "encrypted"', "no key `keeper` in [protection]"),
        ('kind = "encrypted"\nkeeper = ""', "the name of who keeps the keys"),
        (f'{ASKED}\nlost_site = "go_on"', "these sums need every site"),
        (f'kind = "masked"\nkeeper = "{NAME}"', "an unknown key `keeper`"),
    ],
)
def test_a_study_file_that_says_too_little_or_too_much_is_refused(
    study: Path, asked: str, said: str
) -> None:
    edit(study, 'kind = "masked"', asked)
    with pytest.raises(InputError) as caught:
        file.read(study)
    assert said in str(caught.value)


def test_no_site_bears_the_keepers_name(study: Path) -> None:
    edit(study, 'name = "West"', 'name = "Keeper"')
    with pytest.raises(InputError, match="the keeper signs with this"):
        file.read(study)


@pytest.mark.skipif(find_spec("openfhe") is not None, reason="OpenFHE is here")
def test_threshold_says_what_it_needs_and_where_it_would_work(study: Path) -> None:
    edit(study, 'kind = "masked"', 'kind = "threshold"')
    told = cli("check", study)
    assert told.code == 2
    assert "need OpenFHE, which is not installed" in told.err
    assert "Python 3.12 with glibc 2.38" in told.err
