"""After a run: no byte of its folder can be changed without `verify` naming the file."""

import random
import re
import shutil
from pathlib import Path

import pytest

from equipoise.errors import IntegrityError
from equipoise.ledger.audit import verify
from study.small import all_files, cli

FLIPS = 8
"""Places in each file, besides its ends and its line ends."""


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, to be damaged."""
    return Path(shutil.copytree(done, tmp_path / "out"))


def names(out: Path) -> list[str]:
    return [path.relative_to(out).as_posix() for path in all_files(out)]


def problem(out: Path, root: bytes | None = None) -> str:
    with pytest.raises(IntegrityError) as caught:
        verify(out, root)
    return str(caught.value)


def places(data: bytes, generator: random.Random) -> list[int]:
    ends = [i for i, byte in enumerate(data) if byte == ord("\n")]
    drawn = generator.sample(range(len(data)), min(FLIPS, len(data)))
    return sorted({0, len(data) - 1, *generator.sample(ends, min(4, len(ends))), *drawn})


def test_an_untouched_run_is_verified_and_its_root_printed(done: Path) -> None:
    found = verify(done)
    assert found.sites == ("East", "North", "South", "West")
    assert found.files == 12  # scores and explanations of four sites; results, dossier, scan, model
    assert verify(done, found.root) == found
    told = cli("verify", done)
    assert told.code == 0
    assert f"Final root: {found.root.hex()}" in told.out
    assert cli("verify", done, "--root", found.root.hex()).code == 0
    assert cli("verify", done, "--json").json["root"] == found.root.hex()


def test_a_flipped_byte_anywhere_fails_and_names_its_file(copy: Path) -> None:
    generator = random.Random(20261101)
    tried = 0
    for name in names(copy):
        path = copy / name
        data = path.read_bytes()
        for place in places(data, generator):
            flipped = bytearray(data)
            flipped[place] ^= 1 << generator.randrange(8)
            path.write_bytes(flipped)
            assert name in problem(copy), f"byte {place} of {name}"
            tried += 1
        path.write_bytes(data)
    verify(copy)
    assert tried > 14 * FLIPS


def test_a_byte_more_or_less_fails_and_names_its_file(copy: Path) -> None:
    for name in names(copy):
        path = copy / name
        data = path.read_bytes()
        for other in (data + b"\n", data + b"\0", data[:-1], b""):
            path.write_bytes(other)
            assert name in problem(copy)
        path.write_bytes(data)
    verify(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    for name in names(copy):
        away = copy.with_name("away")
        (copy / name).rename(away)
        assert re.search(rf"{re.escape(name)}: .*missing", problem(copy))
        away.rename(copy / name)
    verify(copy)


@pytest.mark.parametrize("where", ["", "sites/", "sites/East/", "ledger/", "sites/East/ledger/"])
def test_a_file_that_no_ledger_lists_is_named(copy: Path, where: str) -> None:
    (copy / f"{where}.more").write_text("")
    assert f"{where}.more: not in the ledger" in problem(copy)


@pytest.mark.parametrize("where", ["more", "sites/More", "sites/East/more", "ledger/more"])
def test_an_empty_folder_is_named(copy: Path, where: str) -> None:
    (copy / where).mkdir()
    assert f"{where}: a folder that holds nothing listed" in problem(copy)


def test_a_file_that_is_a_link_to_its_own_content_is_named(copy: Path) -> None:
    (copy / "results.json").rename(copy.with_name("elsewhere"))
    (copy / "results.json").symlink_to(copy.with_name("elsewhere"))
    assert "results.json: a link" in problem(copy)


def test_two_sites_exchanged_are_seen(copy: Path) -> None:
    (copy / "sites" / "East").rename(copy / "away")
    (copy / "sites" / "West").rename(copy / "sites" / "East")
    (copy / "away").rename(copy / "sites" / "West")
    assert "sites/East" in problem(copy)
    assert "sites/West" in problem(copy)


def test_another_root_than_the_one_written_down_fails(done: Path) -> None:
    assert "a rewrite of the whole folder is suspected" in problem(done, bytes(32))
    told = cli("verify", done, "--root", "00" * 32)
    assert (told.code, told.out) == (4, "")


@pytest.mark.parametrize("root", ["", "zz", "00", "0" * 63, "0x" + "0" * 62])
def test_a_root_of_another_form_is_wrong_input_and_no_sign_of_a_rewrite(
    done: Path, root: str
) -> None:
    told = cli("verify", done, "--root", root)
    assert told.code == 2
    assert "64 hexadecimal digits" in told.err


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    assert cli("verify", tmp_path / "nowhere").code == 2
    told = cli("verify", tmp_path)
    assert told.code == 4
    assert "ledger/entries.jsonl: missing" in told.err


def test_the_damage_is_told_as_json_too(copy: Path) -> None:
    (copy / "results.json").write_text("{}")
    told = cli("verify", copy, "--json")
    assert told.code == 4
    assert told.json["error"] == "IntegrityError"
    assert "results.json: altered" in told.json["message"]
