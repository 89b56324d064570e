"""What parties hand one another before a study over several processes: no secret, and all told."""

import json
import shutil
from pathlib import Path

import pytest

from equipoise.errors import InputError
from equipoise.federation.homes import SITE_FILE, make_home, read_data
from equipoise.study import file
from equipoise.study.provision import provision, public_file
from equipoise.transports import nvflare_startup
from study.small import SITES, all_files
from transports.handed import Parts

OWN = "/srv/of/the/site/alone"


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
    make_home(again, "North")
    shutil.copy(parts.homes["North"] / SITE_FILE, again)
    parts.homes["North"] = again
    with pytest.raises(InputError, match="another key for North than this home"):
        parts.serve("North", parts.folder / "out")
    assert not (parts.folder / "out").exists()


def test_keys_are_never_written_over(parts: Parts) -> None:
    before = (parts.homes["North"] / "signing.key").read_bytes()
    with pytest.raises(InputError, match="has keys already"):
        make_home(parts.homes["North"], "North")
    assert (parts.homes["North"] / "signing.key").read_bytes() == before


@pytest.mark.parametrize("name", ["", "centre", "Centre", "../up", "a b", "x" * 65, "-a"])
def test_a_name_that_no_site_may_bear_is_refused_and_nothing_is_made(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no name of a site"):
        make_home(tmp_path / "home", name)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "text", ["", "genotypes = 1", "x", 'genotypes = "g"\nphenotypes = "p"', 'a = "b"']
)
def test_a_sites_own_file_says_exactly_where_three_files_are(text: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(InputError, match=r"site\.toml"):
        read_data(tmp_path / "site.toml")
