"""The store: durable before it answers, whole after a crash, and no byte can change unseen."""

import os
import shutil
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from equipoise.errors import FaultError, InputError, IntegrityError
from equipoise.ledger import tree
from equipoise.ledger.checkpoint import Checkpoint, sign, verify
from equipoise.ledger.entry import Entry
from equipoise.ledger.log import CHECKPOINT, ENTRIES, Log, read

ORIGIN = "example.com/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
HEX = "ab" * 32


def state(number):
    return Entry("state", {"step": "pca", "round": number, "sha256": HEX})


def build(directory, sealed=3, beyond=0):
    """Make a log of `sealed` entries under its checkpoint and `beyond` more after it."""
    with Log.create(directory, ORIGIN, KEY) as log:
        for number in range(sealed - 1):
            log.append(state(number))
    head = (directory / CHECKPOINT).read_bytes()
    if beyond:
        with Log.open(directory, ORIGIN, KEY) as log:
            for number in range(beyond):
                log.append(state(100 + number))
        (directory / CHECKPOINT).write_bytes(head)
    return directory


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
def folder(tmp_path):
    return tmp_path / "ledger"


def refused(directory, file, **arguments):
    with pytest.raises(IntegrityError) as caught:
        read(directory, **arguments)
    assert str(caught.value).startswith(str(directory / file)), caught.value


def test_a_log_reads_back_as_written_with_two_files_and_no_more(folder):
    with Log.create(folder, ORIGIN, KEY) as log:
        assert [log.append(state(i)) for i in range(5)] == [1, 2, 3, 4, 5]
        assert log.size == 6
        assert [entry.kind for entry in log.entries()] == ["opened"] + ["state"] * 5
        root = log.root
    reading = read(folder)
    assert reading.entries[1:] == tuple(state(i) for i in range(5))
    assert reading.checkpoint == Checkpoint(ORIGIN, 6, root)
    assert root == tree.root([tree.leaf_hash(entry.to_bytes()) for entry in reading.entries])
    assert reading.public_key == KEY.public_key()
    assert reading.note == (folder / CHECKPOINT).read_text()
    assert sorted(item.name for item in folder.iterdir()) == [CHECKPOINT, ENTRIES]


def test_a_reopened_log_goes_on_where_it_ended(folder):
    build(folder)
    with Log.open(folder, ORIGIN, KEY) as log:
        old, old_root = log.size, log.root
        assert log.append(state(9)) == 3
    leaves = [tree.leaf_hash(entry.to_bytes()) for entry in read(folder).entries]
    proof = tree.consistency_proof(old, leaves)
    tree.verify_consistency(old, 4, old_root, tree.root(leaves), proof)


def test_an_entry_is_on_disk_before_append_returns(folder, monkeypatch):
    with Log.create(folder, ORIGIN, KEY) as log:
        synced = []
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), real(fd)))
        log.append(state(1))
        data = (folder / ENTRIES).read_bytes()
        assert data.endswith(state(1).to_bytes() + b"\n")
        assert synced == [len(data)]


def test_the_checkpoint_lags_until_sealed_and_is_then_signed(folder):
    with Log.create(folder, ORIGIN, KEY) as log:
        first = log.note
        log.append(state(1))
        assert log.note == first == (folder / CHECKPOINT).read_text()
        refused(folder, ENTRIES)
        note = log.seal()
        assert note == log.note == (folder / CHECKPOINT).read_text() != first
        assert verify(note, ORIGIN, KEY.public_key()) == Checkpoint(ORIGIN, 2, log.root)
        assert log.seal() == note


def test_leaving_after_an_error_seals_all_the_same(folder):
    def run():
        with Log.create(folder, ORIGIN, KEY) as log:
            log.append(state(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert len(read(folder).entries) == 2


def test_create_refuses_a_folder_that_holds_a_log_or_half_of_one(folder):
    build(folder)
    for missing in (None, CHECKPOINT, ENTRIES):
        copy = folder.with_name(f"copy-{missing}")
        shutil.copytree(folder, copy)
        if missing:
            (copy / missing).unlink()
        with pytest.raises(InputError, match="holds a log already"):
            Log.create(copy, ORIGIN, KEY)


def test_create_refuses_what_could_not_be_a_key_name_and_leaves_nothing(folder):
    with pytest.raises(InputError, match="key name"):
        Log.create(folder, "two words", KEY)
    assert not folder.exists()
    folder.write_text("a file")
    with pytest.raises(InputError, match="cannot be made a folder"):
        Log.create(folder, ORIGIN, KEY)


def test_only_one_writer_at_a_time(folder):
    with Log.create(folder, ORIGIN, KEY), pytest.raises(FaultError, match="another process"):
        Log.open(folder, ORIGIN, KEY)
    with Log.open(folder, ORIGIN, KEY), pytest.raises(FaultError, match="another process"):
        Log.open(folder, ORIGIN, KEY)
    Log.open(folder, ORIGIN, KEY).close()


def test_a_closed_log_takes_nothing_and_closes_twice(folder):
    log = Log.create(folder, ORIGIN, KEY)
    log.close()
    log.close()
    with pytest.raises(FaultError, match="closed"):
        log.append(state(1))
    with pytest.raises(FaultError, match="closed"):
        log.seal()


def test_a_second_opened_entry_is_refused(folder):
    opened = Entry("opened", {"origin": ORIGIN, "public_key": HEX})
    with Log.create(folder, ORIGIN, KEY) as log, pytest.raises(InputError, match="exactly one"):
        log.append(opened)


def test_after_a_failed_write_nothing_is_appended_until_the_log_is_reopened(folder, monkeypatch):
    log = Log.create(folder, ORIGIN, KEY)
    log.append(state(1))
    real = os.write

    def full(descriptor, data):
        if len(data) < 40:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:40])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(FaultError, match="No space left"):
            log.append(state(2))
    with pytest.raises(FaultError, match="open it anew"):
        log.append(state(3))
    log.close()
    with Log.open(folder, ORIGIN, KEY) as log:
        assert log.size == 2
        assert log.append(state(2)) == 2
    assert read(folder).entries[1:] == (state(1), state(2))


def test_a_short_write_is_continued(folder, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    assert read(build(folder)).entries[1:] == (state(0), state(1))


def test_a_failed_seal_leaves_the_last_checkpoint(folder, monkeypatch):
    log = Log.create(folder, ORIGIN, KEY)
    head = (folder / CHECKPOINT).read_bytes()
    log.append(state(1))

    def broken(descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(FaultError, match="Input/output"):
            log.seal()
        assert (folder / CHECKPOINT).read_bytes() == head
    log.close()
    assert len(read(folder).entries) == 2


def test_sealing_syncs_the_new_file_before_and_the_folder_after_it_takes_its_place(
    folder, monkeypatch
):
    with Log.create(folder, ORIGIN, KEY) as log:
        log.append(state(1))
        old = log.note
        seen = []

        def watch(descriptor):
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            seen.append((is_folder, (folder / CHECKPOINT).read_text() == old))

        monkeypatch.setattr(os, "fsync", watch)
        log.seal()
        assert seen == [(False, True), (True, False)]


def test_a_crash_at_any_byte_loses_no_sealed_entry_or_is_noticed(folder, monkeypatch):
    build(folder, sealed=3, beyond=2)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # about 700 reopenings
    data = (folder / ENTRIES).read_bytes()
    head = (folder / CHECKPOINT).read_bytes()
    lines = data.splitlines(keepends=True)
    sealed = len(b"".join(lines[:3]))
    for size in range(len(data), -1, -1):
        with (folder / ENTRIES).open("r+b") as file:
            file.write(data)
            file.truncate(size)
        (folder / CHECKPOINT).write_bytes(head)
        if size < sealed:
            with pytest.raises(
                IntegrityError, match=f"{ENTRIES}: . entries; the checkpoint says 3"
            ):
                Log.open(folder, ORIGIN, KEY)
            assert (folder / ENTRIES).read_bytes() == data[:size]
            continue
        Log.open(folder, ORIGIN, KEY).close()
        whole = data[:size].count(b"\n")
        assert (folder / ENTRIES).read_bytes() == b"".join(lines[:whole])
        assert [entry.to_bytes() + b"\n" for entry in read(folder).entries] == lines[:whole]


def test_a_crash_while_sealing_leaves_no_third_file(folder):
    build(folder)
    (folder / ".checkpoint.new").write_text("half a chec")
    Log.open(folder, ORIGIN, KEY).close()
    assert sorted(item.name for item in folder.iterdir()) == [CHECKPOINT, ENTRIES]


def test_garbage_beyond_the_checkpoint_is_not_sealed(folder):
    build(folder)
    with (folder / ENTRIES).open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(IntegrityError, match=f"{ENTRIES}:4: entry"):
        Log.open(folder, ORIGIN, KEY)


def test_reading_refuses_a_torn_line_that_opening_repairs(folder):
    build(folder)
    with (folder / ENTRIES).open("ab") as file:
        file.write(b"{")
    refused(folder, ENTRIES)
    Log.open(folder, ORIGIN, KEY).close()
    assert len(read(folder).entries) == 3


@pytest.mark.parametrize("file", [ENTRIES, CHECKPOINT])
def test_a_missing_file_is_named(folder, file):
    build(folder)
    (folder / file).unlink()
    refused(folder, file)
    with pytest.raises(IntegrityError, match=file):
        Log.open(folder, ORIGIN, KEY)


@pytest.mark.parametrize("file", [ENTRIES, CHECKPOINT])
def test_a_link_in_place_of_a_file_is_refused(folder, file):
    build(folder)
    (folder / file).rename(folder / "elsewhere")
    (folder / file).symlink_to("elsewhere")
    refused(folder, file)
    with pytest.raises(IntegrityError, match=file):
        Log.open(folder, ORIGIN, KEY)


@pytest.mark.parametrize("given_key", [None, KEY.public_key()])
@pytest.mark.parametrize("file", [ENTRIES, CHECKPOINT])
def test_any_flipped_byte_is_noticed_and_its_file_named(folder, file, given_key):
    build(folder)
    for _ in each_flipped(folder / file, 0x01, 0x80):
        refused(folder, file, public_key=given_key)


def test_open_notices_any_flipped_byte_below_the_checkpoint(folder):
    build(folder)
    for file in (ENTRIES, CHECKPOINT):
        for _ in each_flipped(folder / file, 0x01):
            with pytest.raises(IntegrityError, match=file):
                Log.open(folder, ORIGIN, KEY)


def test_another_key_or_origin_is_refused(folder):
    build(folder)
    refused(folder, CHECKPOINT, public_key=OTHER.public_key())
    with pytest.raises(IntegrityError, match="another name or key"):
        Log.open(folder, ORIGIN, OTHER)
    with pytest.raises(IntegrityError, match="another name or key"):
        Log.open(folder, "example.com/other", KEY)


def test_a_checkpoint_of_another_origin_or_over_less_is_refused(folder):
    build(folder)
    head = read(folder).checkpoint
    (folder / CHECKPOINT).write_text(sign(Checkpoint("x", head.size, head.root), ORIGIN, KEY))
    refused(folder, CHECKPOINT)
    with pytest.raises(IntegrityError, match="another origin"):
        Log.open(folder, ORIGIN, KEY)
    (folder / CHECKPOINT).write_text(sign(Checkpoint(ORIGIN, 2, head.root), ORIGIN, KEY))
    refused(folder, ENTRIES)


def write_signed(directory, entries, key=KEY, origin=ORIGIN):
    """Write a log of any entries whatever, its checkpoint right."""
    directory.mkdir()
    lines = [entry.to_bytes() for entry in entries]
    (directory / ENTRIES).write_bytes(b"".join(line + b"\n" for line in lines))
    root = tree.root([tree.leaf_hash(line) for line in lines])
    (directory / CHECKPOINT).write_text(sign(Checkpoint(origin, len(lines), root), origin, key))


def opened(origin, key):
    public_key = key.public_key().public_bytes_raw().hex()
    return Entry("opened", {"origin": origin, "public_key": public_key})


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [state(1)],
        [state(1), opened(ORIGIN, KEY)],
        [opened(ORIGIN, KEY), opened(ORIGIN, KEY)],
        [opened(ORIGIN, OTHER)],
        [opened("example.com/other", KEY)],
    ],
)
def test_a_log_must_open_with_its_own_name_and_key(folder, entries):
    write_signed(folder, entries)
    with pytest.raises(IntegrityError, match=str(folder)):
        read(folder, KEY.public_key())
    with pytest.raises(IntegrityError, match="opened entry"):
        Log.open(folder, ORIGIN, KEY)
