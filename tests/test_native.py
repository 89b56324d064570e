"""Compiled loops: kept as object code, loaded without the compiler, and never another's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equipoise import native
from equipoise.packed import loops

SCAN = """
import sys, numpy as np
from equipoise.packed.counts import genotype_counts
from equipoise.packed.product import columns, product
block = np.array([[0b11100100]], np.uint8)
from equipoise.solvers.student import student_log_tail
tail = student_log_tail(np.array([0.0]), 5.0)
print(genotype_counts(block, 4).tolist(), product(block, columns(np.eye(4), 4)).tolist(), tail)
print("numba" in sys.modules)
"""
EXPECTED = "[[1, 1, 1, 1]] [[2.0, 0.0, 1.0, 0.0]] [-0.69314718]"


def scan(folder: Path) -> list[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", SCAN]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_what_is_kept_is_loaded_without_the_compiler(tmp_path: Path) -> None:
    assert scan(tmp_path) == [EXPECTED, "True"]
    kept = {path.name for path in tmp_path.glob("*.o")}
    assert {name.split("-")[0] for name in kept} >= {"equipoise.packed.loops.count"}
    assert scan(tmp_path) == [EXPECTED, "False"]
    assert {path.name for path in tmp_path.glob("*.o")} == kept


BESIDE = """
import sys, numpy as np
from equipoise.native import compiled
from equipoise.packed.counts import genotype_counts

@compiled
def made(n):
    if n < 0:
        raise ValueError("less than nothing")
    held = np.zeros(n)
    for i in range(n):
        held[i] = np.log(i + 1.0)
    return held

def numba():
    for n in (3, 1000):
        assert np.allclose(made(n), np.log(np.arange(n) + 1.0))
    try:
        made(-1)
    except ValueError as error:
        print(error)

def ours():
    print(genotype_counts(np.array([[0b11100100]], np.uint8), 4).tolist())

for which in sys.argv[1]:
    (numba if which == "n" else ours)()
"""


@pytest.mark.parametrize("order", ["onno", "noon", "onon"])
def test_numbas_own_code_runs_beside_what_is_loaded(tmp_path: Path, order: str) -> None:
    file = tmp_path / "beside.py"
    file.write_text(BESIDE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    said = {"o": "[[1, 1, 1, 1]]", "n": "less than nothing"}
    for _ in range(2):  # compiled, then loaded
        command = [sys.executable, str(file), order]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines() == [said[which] for which in order]


def test_what_is_kept_and_broken_is_made_anew(tmp_path: Path) -> None:
    scan(tmp_path)
    for path in tmp_path.glob("*.o"):
        path.write_bytes(path.read_bytes()[:100])
    assert scan(tmp_path)[0] == EXPECTED
    assert scan(tmp_path) == [EXPECTED, "False"]


def test_without_a_folder_loops_are_compiled_each_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    assert scan(file / "cache") == [EXPECTED, "True"]


def test_object_code_that_needs_something_unknown_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(native, "_address", lambda name: None)
    fresh = native.Native(loops.count.function, loops.count.kinds)
    counts = np.zeros((1, 1, 4), np.int64)
    masks, tail = np.full((1, 64), 0x55, np.uint8), np.zeros(64, np.uint8)
    fresh(np.array([[0b11100100]], np.uint8), masks, tail, counts)
    assert counts.tolist() == [[[2, 2, 1, 0]]]
    assert fresh.ready is not None


def test_other_kinds_of_arguments_are_refused() -> None:
    block, whole = np.zeros((2, 4), np.uint8), np.zeros((16, 1), np.int64)
    sums = np.zeros((2, 1), np.int64)
    with pytest.raises(ValueError, match="takes uint8"):
        loops.add_not_called(block.astype(np.int64), whole, sums)
    with pytest.raises(ValueError, match="takes int64"):
        loops.add_not_called(block, whole, sums[0])
    with pytest.raises(ValueError, match="rows that follow one another"):
        loops.add_not_called(block[:, ::2], whole, sums)
    with pytest.raises(ValueError, match="zip"):
        loops.add_not_called(block, whole)


def test_a_loop_calls_others_and_is_compiled_once() -> None:
    found = np.zeros(3)
    _fill(found)
    np.testing.assert_array_equal(found, [0.0, 1.0, 4.0])


@native.compiled
def _square(x):
    return x * x


@native.compiled
def _fill(found):
    for i in range(len(found)):
        found[i] = _square(i)


ALIKE = """
import sys, numpy as np
from equipoise.native import compiled, native

@compiled
def more(x):
    return x + {more}

@native("float64[:]")
def loop(values):
    for i in range(len(values)):
        values[i] = more(values[i])
"""


def test_loops_that_look_alike_stay_themselves(tmp_path: Path) -> None:
    for name, more in (("first", 1), ("second", 2)):
        (tmp_path / f"{name}.py").write_text(ALIKE.replace("{more}", str(more)))
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
        "PYTHONPATH": str(tmp_path),
    }
    call = "{0} = np.zeros(1)\nimport {0} as m\nm.loop({0})\nprint({0})\n"
    first, second = (call.format(name) for name in ("first", "second"))
    said = {first: "[1.]", second: "[2.]"}
    # Each is compiled in a process of its own, then both are loaded into one.
    for calls in ([first], [second], [first, second], [second, first]):
        command = [sys.executable, "-c", "import numpy as np\n" + "".join(calls)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines() == [said[each] for each in calls]
