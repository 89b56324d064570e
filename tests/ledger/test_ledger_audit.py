"""The audit of an output folder: whatever differs from the ledgers is found and named."""

import hashlib
import os
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from equipoise.errors import InputError, IntegrityError
from equipoise.ledger.audit import verify
from equipoise.ledger.checkpoint import Checkpoint, sign
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import CHECKPOINT, ENTRIES, Log, read
from equipoise.ledger.tree import EMPTY_ROOT

KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    for number, name in enumerate(("centre", "FIN", "TSI", "CEU"), start=1)
}
FILES = {
    "report.html": b"<p>all</p>",
    "model/weights.json": b"[1]",
    "sites/FIN/scores.txt": b"0.5",
    "sites/TSI/deep/er/scores.txt": b"",
}


def origin(name):
    return f"example.com/{name}"


def artefact(path, data):
    digest = hashlib.sha256(data).hexdigest()
    return Entry("artefact", {"path": path, "sha256": digest, "bytes": len(data)})


def closed():
    return Entry("closed", {"reason": "done"})


def head_of(site, log):
    """Give the centre's entry about a site's checkpoint."""
    body = {"site": site, "note": log.seal(), "root": log.root.hex(), "size": log.size}
    return Entry("checkpoint", body)


def sites_entry(*names):
    keys = {name: KEYS[name].public_key().public_bytes_raw().hex() for name in names}
    return Entry("sites", {"sites": [{"name": n, "public_key": k} for n, k in keys.items()]})


def write_log(out, name, entries):
    """Write a log with these entries and give the entry about its head."""
    folder = out / "ledger" if name == "centre" else out / "sites" / name / "ledger"
    with Log.create(folder, origin(name), KEYS[name]) as log:
        for entry in entries:
            log.append(entry)
        return head_of(name, log)


def build(out, files=None, end=None, start=None):
    """Make a folder that holds; `end` and `start` replace parts of the centre's log."""
    for path, data in (FILES if files is None else files).items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)
    heads = []
    for site in ("FIN", "TSI"):
        prefix = f"sites/{site}/"
        own = [
            artefact(p.removeprefix(prefix), d) for p, d in FILES.items() if p.startswith(prefix)
        ]
        heads.append(write_log(out, site, own))
    central = [artefact(p, d) for p, d in FILES.items() if not p.startswith("sites/")]
    first = [sites_entry("FIN", "TSI")] if start is None else start
    write_log(out, "centre", [*first, *central, *heads, *([closed()] if end is None else end)])
    return out


def each_flipped(file, *masks):
    """Flip each byte with each mask, in place since that is fast, and put it right again."""
    data = file.read_bytes()
    with file.open("r+b", buffering=0) as handle:
        for place, byte in enumerate(data):
            for mask in masks or (1 << place % 8,):
                os.pwrite(handle.fileno(), bytes([byte ^ mask]), place)
                yield
            os.pwrite(handle.fileno(), bytes([byte]), place)


@pytest.fixture
def out(tmp_path):
    return build(tmp_path / "OUT")


def problems(out, **arguments):
    """Give the lines of the message, each `path: problem`."""
    with pytest.raises(IntegrityError) as caught:
        verify(out, **arguments)
    first, *lines = str(caught.value).split("\n")
    assert first == f"{out}: problems found: {len(lines)}"
    return lines


def only(out, start, **arguments):
    (line,) = problems(out, **arguments)
    assert line.startswith(start), line


def test_a_folder_as_the_ledgers_say_is_verified(out):
    result = verify(out)
    assert result.root == read(out / "ledger").checkpoint.root
    assert (result.files, result.sites) == (4, ("FIN", "TSI"))
    assert result.entries == 7 + 2 + 2
    assert verify(out, root=result.root) == result


def test_any_flipped_byte_of_any_file_is_noticed_and_the_file_named(out):
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        name = file.relative_to(out).as_posix()
        folder = name.removesuffix(ENTRIES).removesuffix(CHECKPOINT)
        for _ in each_flipped(file):
            lines = problems(out)
            assert lines[0].startswith(name), lines
            assert all(line.startswith(folder) for line in lines), lines
    verify(out)


@pytest.mark.parametrize("path", FILES)
def test_a_missing_file_is_named(out, path):
    (out / path).unlink()
    assert f"{path}: missing" in problems(out)


def test_a_longer_and_a_shorter_file_are_named(out):
    for data in (FILES["report.html"] + b"\n", b""):
        (out / "report.html").write_bytes(data)
        only(out, "report.html: altered")


def test_all_problems_are_listed_at_once(out):
    (out / "report.html").unlink()
    (out / "extra.txt").write_text("x")
    (out / "model/weights.json").write_text("[2]")
    found = {line.split(":")[0] for line in problems(out)}
    assert found == {"report.html", "extra.txt", "model/weights.json"}


@pytest.mark.parametrize(
    "path", ["x.txt", "ledger/x", "model/x", "sites/x", "sites/FIN/x", "sites/FIN/ledger/.lock"]
)
def test_an_unlisted_file_is_named(out, path):
    (out / path).write_text("x")
    only(out, f"{path}: not in the ledger")


@pytest.mark.parametrize("path", ["empty", "sites/CEU", "sites/FIN/ledger/old", "model/empty"])
def test_an_unlisted_folder_is_named(out, path):
    (out / path).mkdir()
    only(out, f"{path}: a folder")


def test_a_site_that_is_not_in_the_sites_entry_is_named(out):
    shutil.copytree(out / "sites/FIN", out / "sites/CEU")
    assert {line.split(":")[0] for line in problems(out)} == {
        "sites/CEU",
        "sites/CEU/ledger",
        f"sites/CEU/ledger/{CHECKPOINT}",
        f"sites/CEU/ledger/{ENTRIES}",
        "sites/CEU/scores.txt",
    }


def test_a_link_is_refused_even_to_the_right_content(out, tmp_path):
    (tmp_path / "same").write_bytes(FILES["report.html"])
    (out / "report.html").unlink()
    (out / "report.html").symlink_to(tmp_path / "same")
    only(out, "report.html: a link")


@pytest.mark.parametrize("folder", ["model", "ledger", "sites", "sites/FIN", "sites/FIN/ledger"])
def test_a_linked_folder_is_refused(out, tmp_path, folder):
    (out / folder).rename(tmp_path / "elsewhere")
    (out / folder).symlink_to(tmp_path / "elsewhere")
    assert f"{folder}: a link or special file; expected regular files only" in problems(out)


def test_a_pipe_is_refused_and_not_waited_for(out):
    os.mkfifo(out / "pipe")
    only(out, "pipe: a link or special file")
    (out / "pipe").unlink()
    (out / "ledger" / CHECKPOINT).unlink()
    os.mkfifo(out / "ledger" / CHECKPOINT)
    only(out, f"ledger/{CHECKPOINT}: not a regular file")


def test_a_name_cannot_forge_a_line(out):
    (out / "a\nreport.html: altered").write_text("x")
    only(out, "a\\nreport.html: altered: not in the ledger")


def test_a_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        verify(tmp_path / "nothing")


def test_a_run_that_did_not_end_is_refused(tmp_path):
    only(build(tmp_path / "a", end=[]), f"ledger/{ENTRIES}: the last entry is not closed")
    after = [closed(), Entry("plan", {"sha256": "0" * 64})]
    only(build(tmp_path / "b", end=after), f"ledger/{ENTRIES}: the last entry is not closed")


def test_a_rewrite_of_everything_holds_in_itself_but_not_against_the_known_root(out, tmp_path):
    known = verify(out).root
    again = build(tmp_path / "again", end=[Entry("closed", {"reason": "better"})])
    verify(again)
    (line,) = problems(again, root=known)
    assert "rewrite of the whole folder is suspected" in line
    assert known.hex() in line


def test_a_path_is_written_once(tmp_path):
    twice = [artefact("report.html", FILES["report.html"]), closed()]
    only(build(tmp_path / "OUT", end=twice), "report.html: listed more than once")


def test_the_last_entry_for_a_path_counts(tmp_path):
    lines = problems(build(tmp_path / "OUT", end=[artefact("report.html", b"new"), closed()]))
    assert [line.split(":")[1].strip() for line in lines] == [
        "listed more than once; a path is written once",
        "altered",
    ]


@pytest.mark.parametrize("path", ["sites/FIN/more.txt", "sites", "ledger/more.txt", "sites/x"])
def test_the_centre_lists_nothing_in_a_reserved_folder(tmp_path, path):
    out = build(tmp_path / "OUT", end=[artefact(path, b"x"), closed()])
    if not (out / path).exists():
        (out / path).write_bytes(b"x")
    assert any(line.startswith(f"{path}: listed inside a reserved") for line in problems(out))


def test_a_path_that_leaves_the_folder_is_refused_however_it_was_written(out):
    file = out / "ledger" / ENTRIES
    file.write_bytes(file.read_bytes().replace(b"report.html", b"../../x.txt"))
    only(out, f"ledger/{ENTRIES}:")


def test_there_is_exactly_one_sites_entry(tmp_path):
    none = problems(build(tmp_path / "none", start=[]))
    assert f"ledger/{ENTRIES}: 0 sites entries; expected one" in none
    two = problems(build(tmp_path / "two", start=[sites_entry("FIN", "TSI")] * 2))
    assert f"ledger/{ENTRIES}: 2 sites entries; expected one" in two


def test_a_checkpoint_of_an_unknown_site_is_refused(tmp_path):
    body = {"site": "CEU", "note": "x", "root": "0" * 64, "size": 1}
    out = build(tmp_path / "OUT", end=[Entry("checkpoint", body), closed()])
    only(out, "sites/CEU: has a checkpoint entry but is not in the sites entry")


def test_a_site_that_grew_after_the_centre_closed_is_refused(out):
    with Log.open(out / "sites/FIN/ledger", origin("FIN"), KEYS["FIN"]) as log:
        log.append(closed())
    only(out, f"sites/FIN/ledger/{CHECKPOINT}: not the last checkpoint in the centre's log")


def test_a_site_that_rewrote_its_log_during_the_run_is_refused(tmp_path):
    with Log.create(tmp_path / "early", origin("FIN"), KEYS["FIN"]) as log:
        log.append(Entry("plan", {"sha256": "0" * 64}))
        early = head_of("FIN", log)
    out = build(tmp_path / "OUT", start=[sites_entry("FIN", "TSI"), early])
    only(out, f"sites/FIN/ledger/{ENTRIES}: not the log of an earlier checkpoint")


def test_an_honest_earlier_checkpoint_of_a_site_is_accepted(tmp_path):
    with Log.create(tmp_path / "early", origin("FIN"), KEYS["FIN"]) as log:
        early = head_of("FIN", log)
    assert verify(build(tmp_path / "OUT", start=[sites_entry("FIN", "TSI"), early])).entries == 12


def note(size, root, key="FIN", first_line="FIN"):
    """Give what a checkpoint entry says about a signed head of any content."""
    text = sign(Checkpoint(origin(first_line), size, root), origin("FIN"), KEYS[key])
    return {"note": text, "size": size, "root": root.hex()}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": 9}, "another size or root than its note"),
        ({"root": "0" * 64}, "another size or root than its note"),
        ({"note": "x"}, "does not hold"),
        (note(2, bytes(32), key="TSI"), "does not hold"),
        (note(9, bytes(32)), "not the log of an earlier checkpoint"),
        (note(0, EMPTY_ROOT, first_line="TSI"), "not the log of an earlier checkpoint"),
    ],
)
def test_a_checkpoint_entry_must_say_what_its_note_says(tmp_path, change, problem):
    with Log.create(tmp_path / "early", origin("FIN"), KEYS["FIN"]) as log:
        early = head_of("FIN", log)
    bad = Entry("checkpoint", {**early.body, **change})
    lines = problems(build(tmp_path / "OUT", start=[sites_entry("FIN", "TSI"), bad]))
    assert [problem in line for line in lines] == [True]
    assert lines[0].startswith(f"sites/FIN/ledger/{ENTRIES}: ")


def test_a_site_without_a_checkpoint_entry_is_refused(tmp_path):
    out = build(tmp_path / "OUT", start=[sites_entry("FIN", "TSI", "CEU")])
    write_log(out, "CEU", [])
    only(out, f"sites/CEU/ledger/{CHECKPOINT}: not the last checkpoint in the centre's log")


def test_a_site_signed_by_another_key_is_refused(out):
    shutil.rmtree(out / "sites/FIN/ledger")
    with Log.create(out / "sites/FIN/ledger", origin("FIN"), KEYS["TSI"]) as log:
        log.append(artefact("scores.txt", FILES["sites/FIN/scores.txt"]))
    only(out, f"sites/FIN/ledger/{CHECKPOINT}: altered; checkpoint: signed by another")


@pytest.mark.parametrize("path", ["ledger", "sites/FIN/ledger", "sites/FIN", "sites"])
def test_a_removed_log_is_named(out, path):
    shutil.rmtree(out / path)
    assert any(line.startswith(path) and "missing" in line for line in problems(out))


def state(digest):
    return Entry("state", {"step": "association", "round": 1, "sha256": digest * 64})


def test_a_centre_that_published_different_results_to_different_sites_is_found(tmp_path):
    heads = [
        write_log(tmp_path, site, [state(digest)]) for site, digest in (("FIN", "a"), ("TSI", "b"))
    ]
    write_log(tmp_path, "centre", [sites_entry("FIN", "TSI"), state("a"), *heads, closed()])
    only(tmp_path, f"sites/TSI/ledger/{ENTRIES}: not the states and results")
