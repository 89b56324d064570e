"""A run that is broken off or runs out of disk leaves nothing behind, and may be run again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from equipoise.ledger.audit import verify
from study.small import MARK, go

# The largest file that this process may write, in bytes; beyond it writes fail with EFBIG,
# as they do with ENOSPC on a full disk. Python ignores SIGXFSZ by itself.
LIMITED = (
    "import resource, sys; size = int(sys.argv.pop(1));"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size));"
    "from equipoise.cli import main; main()"
)


def environment(base: Path) -> dict[str, str]:
    (base / "tmp").mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(base / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}


def nothing_left(base: Path) -> bool:
    names = {path.name for path in base.iterdir()} - {"tmp", "homes"}
    return not names and not list((base / "tmp").iterdir())


def begun(base: Path) -> bool:
    return bool(list(base.glob(".out.*")))


def on_its_way(base: Path) -> bool:
    """Say whether the scan has been published: its state is in a site's ledger."""
    return any(
        b'"association"' in path.read_bytes()
        for path in base.glob(".out.*/out/sites/*/ledger/entries.jsonl")
    )


@pytest.mark.parametrize("moment", [begun, on_its_way])
def test_ctrl_c_leaves_nothing_and_a_rerun_works(
    small: Path, tmp_path: Path, moment: Callable[[Path], bool]
) -> None:
    command = [sys.executable, "-m", "equipoise", "run", str(small), "--out", "out"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until = time.monotonic() + 60
        while not moment(tmp_path) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)  # of another process, of which nothing else can be asked
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err == "Interrupted; nothing was written.\n"
    assert nothing_left(tmp_path)
    go(small, tmp_path / "out")
    verify(tmp_path / "out")


@pytest.mark.parametrize("size", [4_000, 20_000])
def test_a_disk_that_takes_no_more_is_said_and_nothing_is_left(
    small: Path, tmp_path: Path, size: int
) -> None:
    command = [sys.executable, "-c", LIMITED, str(size), "run", str(small), "--out", "out"]
    told = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (told.returncode, told.stdout) == (4, ""), told.stderr
    assert "File too large" in told.stderr or "a write failed" in told.stderr
    assert "Traceback" not in told.stderr
    assert MARK not in told.stderr
    assert nothing_left(tmp_path), list(tmp_path.rglob("*"))


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("taken", [40_000])
def test_a_full_disk_is_said_and_nothing_is_left(
    small: Path, tmp_path: Path, tiny: Path, taken: int
) -> None:
    (tiny / "taken").write_bytes(bytes(taken))
    command = [sys.executable, "-m", "equipoise", "run", str(small), "--out", "out"]
    told = subprocess.run(
        command,
        check=False,
        cwd=tiny,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (told.returncode, told.stdout) == (4, ""), told.stderr
    assert "No space left on device" in told.stderr or "is full" in told.stderr
    assert "Traceback" not in told.stderr
    assert [path.name for path in tiny.iterdir()] == ["taken"]
    assert list((tmp_path / "tmp").iterdir()) == []
