"""Blocks come back as they went in, from memory or from a file, to any number of readers."""

import gc
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.protections import spool as spools
from equipoise.protections.spool import Kept, Spool
from equipoise.sums import Schema, to_bytes
from protections.rounds import schema

BLOCKS = st.lists(st.binary(max_size=50), max_size=12)


@given(BLOCKS, st.integers(0, 200))
def test_blocks_come_back_in_their_order(blocks: list[bytes], most: int) -> None:
    spool = Spool(most)
    for block in blocks:
        spool.add(block)
    assert list(spool) == blocks
    assert len(spool) == len(blocks)
    assert [spool[i] for i in reversed(range(len(blocks)))] == blocks[::-1]


@given(st.lists(st.integers(0, 30_000), max_size=9), st.integers(0, 3))
def test_blocks_come_back_from_whatever_part_of_them_is_on_the_disk(
    sizes: list[int], room: int
) -> None:
    """Blocks end anywhere in a room or a sector, and are read while the last room fills."""
    draw = np.random.default_rng(len(sizes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "ROOM", spools.SECTOR << room)
        kept, blocks = Spool(most=100), [draw.bytes(size) for size in sizes]
        for number, block in enumerate(blocks, start=1):
            kept.add(block)
            assert [bytes(b) for b in kept] == blocks[:number]
        kept.clear()


@given(BLOCKS, st.integers(0, 200))
def test_what_can_be_written_is_kept_as_it_was(blocks: list[bytes], most: int) -> None:
    spool, rooms = Spool(most), [bytearray(block) for block in blocks]
    for room in rooms:
        spool.add(memoryview(room))
        room[:] = b"?" * len(room)
    assert [bytes(block) for block in spool] == blocks
    assert all(memoryview(block).readonly for block in spool)


def test_readers_do_not_hinder_one_another_nor_what_is_added() -> None:
    spool = Spool(0)
    spool.add(b"one")
    spool.add(b"two")
    first, second = iter(spool), iter(spool)
    assert next(first) == b"one"
    spool.add(b"three")
    assert [*second] == [b"one", b"two", b"three"]
    assert [*first] == [b"two"]  # what there was when it began


def test_what_is_cleared_is_gone_and_the_spool_can_be_used_again() -> None:
    spool = Spool(0)
    spool.add(b"one")
    spool.clear()
    assert len(spool) == 0
    spool.add(b"two")
    assert list(spool) == [b"two"]


def test_a_file_is_closed_with_its_spool() -> None:
    spool = Spool(0)
    spool.add(b"one")
    file = spool._file
    assert file is not None
    assert not file.closed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del spool
        gc.collect()
    assert file.closed


def test_a_total_is_read_block_by_block() -> None:
    form = schema({"x": (2,)}, {"x": (3,)})
    parts = [{"x": np.arange(2)}, {"x": np.arange(3)}]
    spool = Spool(0)
    for block, part in zip(form.blocks, parts, strict=True):
        spool.add(to_bytes(block, part))
    total = Kept(form, spool)
    assert len(total) == 2
    assert total[-1]["x"].tolist() == [0, 1, 2]
    assert [part["x"].tolist() for part in total[0:1]] == [[0, 1]]
    with pytest.raises(IndexError):
        total[2]


@given(st.integers(0, 4), st.integers(-6, 5) | st.slices(5))
def test_blocks_of_a_total_have_the_places_of_a_list(n_blocks: int, place: int | slice) -> None:
    spool, expected = Spool(), [{"x": np.array([i])} for i in range(n_blocks)]
    form = schema(*({"x": (1,)} for _ in expected))
    for block, part in zip(form.blocks, expected, strict=True):
        spool.add(to_bytes(block, part))
    total: Any = Kept(form, spool)
    if isinstance(place, int) and not -n_blocks <= place < n_blocks:
        with pytest.raises(IndexError):
            total[place]
    elif isinstance(place, int):
        assert total[place] == expected[place]
    else:
        assert list(total[place]) == expected[place]
    assert list(total) == expected


@given(BLOCKS, st.integers(0, 200))
def test_what_is_taken_is_let_go(blocks: list[bytes], most: int) -> None:
    spool = Spool(most)
    for block in blocks:
        spool.add(block)
    for place, block in enumerate(spool.taken()):
        assert bytes(block) == blocks[place]
    assert len(spool) == 0
    spool.add(b"again")
    assert list(spool) == [b"again"]


def test_memory_of_what_was_taken_serves_others() -> None:
    spool = Spool()
    block = np.ones(1000, np.uint64)
    gone = weakref.ref(block)
    spool.add(block.data.toreadonly())
    spool.add(b"last")
    taken = spool.taken()
    del block
    next(taken)
    next(taken)
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("sizes", [[], [3], [2, 0, 5]])
@pytest.mark.parametrize("most", [0, 1 << 20])
def test_there_is_room_for_each_block(
    sizes: list[int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none lies over another."""
    monkeypatch.setattr(spools, "MOST", most)
    form = Schema(tuple(schema({"x": (size,), "y": ()}).blocks[0] for size in sizes))
    rooms = list(spools.rooms(form))
    for value, room in enumerate(rooms):
        room[:] = value
    assert [room.tolist() for room in rooms] == [[i] * (n + 1) for i, n in enumerate(sizes)]
