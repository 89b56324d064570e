"""Executors: the same table from threads and from workers of dask, also where one is killed."""

import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from equipoise.cli import app
from equipoise.cohort import Cohort, blocks_of
from equipoise.errors import FaultError, InputError
from equipoise.genotypes import plink
from equipoise.genotypes.align import AlignedSource
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.tools import cluster as module
from equipoise.tools import executors
from equipoise.tools.associate import Request, associate
from equipoise.tools.cluster import marks, packed
from equipoise.tools.executors import executor

# One cluster for all of them, however many processes run the tests.
pytestmark = pytest.mark.xdist_group("dask")

PEOPLE, VARIANTS = 600, 6000


def written(prefix: Path, chromosome: str = "1", seed: int = 1, variants: int = VARIANTS) -> Path:
    draw = np.random.default_rng(seed)
    dosage = draw.binomial(2, draw.uniform(0.05, 0.5, (variants, 1)), (variants, PEOPLE)) * 1.0
    dosage[draw.random(dosage.shape) < 0.01] = np.nan
    rows = {
        HEADER[0]: [chromosome] * variants,
        HEADER[1]: np.arange(1, variants + 1) * 1000,
        HEADER[2]: ["A"] * variants,
        HEADER[3]: ["G"] * variants,
    }
    people = tuple(f"P{i}" for i in range(PEOPLE))
    sex = np.random.default_rng(0).integers(1, 3, PEOPLE).astype(np.int8)
    plink.write(prefix, encode(dosage), Variants.of(pl.DataFrame(rows)), people, sex)
    return prefix.with_name(prefix.name + ".bed")


def phenotypes(folder: Path) -> Path:
    draw = np.random.default_rng(2)
    table = pl.DataFrame(
        {
            "IID": [f"P{i}" for i in range(PEOPLE)],
            "trait": draw.normal(size=PEOPLE),
            "other": draw.normal(size=PEOPLE),
            "age": draw.normal(50, 10, PEOPLE),
        }
    )
    table.write_csv(folder / "phenotypes.tsv", separator="\t")
    return folder / "phenotypes.tsv"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as started,
    ):
        yield started


@pytest.fixture
def scheduler(cluster: Any) -> str:
    return cluster.scheduler_address.replace("tcp://", "dask://")


def pids(cluster: Any) -> list[int]:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        return list(client.run(os.getpid).values())


def cohort_of(file: Path, pool: Executor | None) -> Cohort:
    source = PlinkFile.open(file)
    people = np.arange(source.n_samples)
    return Cohort(source, people, {}, np.zeros_like(people), pool)


def sums(cohort: Cohort) -> Callable[[int, int], Any]:
    held = cohort.held(np.random.default_rng(3).normal(size=(cohort.n, 3)))
    return lambda start, stop: cohort.products(start, stop, held)


def test_a_table_by_dask_is_that_of_threads_to_the_byte(tmp_path: Path, scheduler: str) -> None:
    files = [written(tmp_path / "c1", "1"), written(tmp_path / "cX", "X", 5, 500)]
    table = phenotypes(tmp_path)
    arguments = ["associate", "--genotypes", ",".join(map(str, files))]
    arguments += ["--phenotypes", str(table), "--trait", "trait", "--covariates", "age"]
    for name, more in (("threads", ["--threads", "2"]), ("dask", ["--executor", scheduler])):
        out = ["--out", str(tmp_path / name / "table.tsv")]
        (tmp_path / name).mkdir()
        done = CliRunner().invoke(app, [*arguments, *out, *more])
        assert done.exit_code == 0, done.output
    texts = [(tmp_path / name / "table.tsv").read_bytes() for name in ("threads", "dask")]
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == VARIANTS + 500 + 1


@pytest.mark.parametrize("sites", [1, 3])
def test_a_worker_killed_in_mid_run_changes_nothing(
    tmp_path: Path, cluster: Any, scheduler: str, monkeypatch: pytest.MonkeyPatch, sites: int
) -> None:
    # Small blocks, so that many are left when the worker ends.
    monkeypatch.setattr("equipoise.tools.linear.BYTES", 150 * 64)
    files = [str(written(tmp_path / f"s{i}", seed=10 + i)) for i in range(sites)]
    tables = (phenotypes(tmp_path),)
    named = (tuple(files), tables, ("trait", "other"), ("age",))
    victims = pids(cluster)[:1]

    def kill(share: float) -> None:
        if victims:
            os.kill(victims.pop(), signal.SIGKILL)

    plain = associate(Request(*named, tmp_path / "plain.tsv"), lambda _: None)
    request = Request(*named, tmp_path / "killed.tsv", scheduler=scheduler)
    killed = associate(request, kill)
    assert not victims
    for one, other in zip(plain, killed, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()


def test_blocks_come_in_order_while_workers_are_killed(
    tmp_path: Path, cluster: Any, scheduler: str
) -> None:
    file = written(tmp_path / "site")
    bounds = blocks_of(VARIANTS, 100)
    plain = cohort_of(file, None)
    expected = list(plain.map_blocks(sums(plain), bounds))
    victims = pids(cluster)
    with executor(scheduler=scheduler) as pool:
        cohort = cohort_of(file, pool)
        for i, found in enumerate(cohort.map_blocks(sums(cohort), bounds)):
            if i in (5, 30):
                os.kill(victims.pop(), signal.SIGKILL)
            np.testing.assert_array_equal(found, expected[i])
    assert not victims


def test_a_worker_opens_a_file_once_and_gets_a_closure_once(
    tmp_path: Path, cluster: Any, scheduler: str
) -> None:
    file = written(tmp_path / "site")
    pids(cluster)
    with executor(scheduler=scheduler) as pool:
        cohort = cohort_of(file, pool)

        def opened(start: int, stop: int) -> tuple[int, int, int]:
            del start, stop
            return os.getpid(), id(cohort), id(cohort.genotypes)

        def again(start: int, stop: int) -> tuple[int, int, int]:
            return opened(start, stop)

        first = set(cohort.map_blocks(opened, blocks_of(VARIANTS, 100)))
        second = set(cohort.map_blocks(again, blocks_of(VARIANTS, 100)))
    processes = {pid for pid, _, _ in first}
    assert os.getpid() not in processes
    assert len(first) == len(processes)
    # The second pass has another cohort there, and the same open file.
    assert len({(pid, file) for pid, _, file in first | second}) == len(
        processes | {pid for pid, _, _ in second}
    )


def test_what_is_sent_is_small_and_has_no_genotypes(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle", reason="needs the extra `cluster`")
    file = written(tmp_path / "site")
    cohort = cohort_of(file, None)
    places = np.arange(100, VARIANTS)
    aligned = AlignedSource(cohort.genotypes, places, np.zeros(len(places), np.bool_))
    part = Cohort(aligned, cohort.rows, {}, cohort.fold)

    def work(start: int, stop: int) -> Any:
        return part.counts(start, stop)

    data = packed(work, {})
    assert len(data) < 20 * PEOPLE + 5000
    assert b"P599" not in data
    back = module.run("one", data, module._VERSIONS, 0, 50)
    np.testing.assert_array_equal(back, part.counts(0, 50))


def test_a_run_names_the_files_as_they_were_at_its_start(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle", reason="needs the extra `cluster`")
    cohort = cohort_of(written(tmp_path / "site", variants=300), None)
    known: dict[bytes, Any] = {}
    first = packed(cohort.counts, known)
    (tmp_path / "site.bim").write_text((tmp_path / "site.bim").read_text().replace("A", "C"))
    second = packed(lambda start, stop: cohort.counts(start, stop)[:1], known)
    for data in (first, second):
        with pytest.raises(InputError, match=r"site\.bim: another file at a worker"):
            module.run(str(len(data)), data, module._VERSIONS, 0, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("gone", r"site\.bed: no such file at a worker"),
        ("shorter", r"site\.fam: another file at a worker"),
        ("altered", r"site\.bed: another file at a worker"),
        ("later", r"site\.bed: (a file that changed|another file) at a worker"),
    ],
)
def test_a_file_that_is_not_the_same_at_a_worker_is_refused(
    tmp_path: Path, scheduler: str, spoil: str, message: str
) -> None:
    file = written(tmp_path / "site", variants=300)
    with executor(scheduler=scheduler) as pool:
        cohort = cohort_of(file, pool)
        blocks = iter(cohort.map_blocks(cohort.counts, blocks_of(300, 10)))
        if spoil == "later":
            next(blocks)
            # Everybody's last call of the middle variant: no sampled piece need have it.
            with file.open("r+b") as opened:
                opened.seek(3 + 150 * (PEOPLE // 4))
                opened.write(b"\xff")
            os.utime(file, ns=(1, 1))
        else:
            cohort = cohort_of(file, pool)
            assert isinstance(pool, module.Workers)
            work = cohort.counts
            pool._sent_once(work)
            if spoil == "gone":
                file.rename(tmp_path / "elsewhere")
            elif spoil == "shorter":
                fam = tmp_path / "site.fam"
                fam.write_text("".join(fam.read_text().splitlines(keepends=True)[:-1]))
            else:
                with file.open("r+b") as opened:
                    opened.seek(3)
                    opened.write(b"\x00\x00")
            blocks = iter(cohort.map_blocks(work, blocks_of(300, 10)))
        with pytest.raises(InputError, match=message):
            list(blocks)


def test_what_ends_every_worker_is_an_error_and_no_wait(tmp_path: Path, scheduler: str) -> None:
    cohort = cohort_of(written(tmp_path / "site", variants=20), None)

    def work(start: int, stop: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return cohort.n + start + stop

    with executor(scheduler=scheduler) as pool:
        assert pool is not None
        with pytest.raises(FaultError, match="several workers of dask ended"):
            pool.submit(work, 0, 1).result()
        # Others go on.
        assert pool.submit(len, "abc").result() == 3
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda a, b: a // b, 1, 0).result()


def test_schedulers_that_are_not_there_are_refused() -> None:
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    for name in ("localhost:1", "dask://localhost"):
        with pytest.raises(InputError, match=r"expected dask://HOST:PORT"), executor(1, name):
            pass
    before = set(threading.enumerate())
    with (
        pytest.raises(InputError, match="no scheduler of dask answers"),
        executor(1, "dask://127.0.0.1:1"),
    ):
        pass
    assert set(threading.enumerate()) <= before  # nobody goes on trying


def test_a_worker_of_another_version_is_refused() -> None:
    with pytest.raises(InputError, match="install the same at all workers"):
        module.run("other", b"", ("0.0", "3.9"))


def test_an_executor_is_nothing_at_a_worker() -> None:
    assert pickle.loads(pickle.dumps(module.Workers.__new__(module.Workers))) is None


def test_threads_are_told_how_many_blocks_keep_them_busy() -> None:
    with executor(1) as pool:
        assert pool is None
    with executor(3) as pool:
        assert isinstance(pool, executors.Threads)
        assert pool.in_flight == 6


@pytest.mark.parametrize("name", ["site", "site.bed", "site.bim"])
def test_all_three_files_of_plink_are_marked(tmp_path: Path, name: str) -> None:
    written(tmp_path / "site", variants=20)
    names = {Path(mark[0]).name for mark in marks(PlinkFile, tmp_path / name)}
    assert names == {"site.bed", "site.bim", "site.fam"}


def test_joined_files_are_opened_with_their_parts(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle", reason="needs the extra `cluster`")
    files = [written(tmp_path / f"c{i}", str(i), i, 30) for i in (1, 2)]
    joined = open_genotypes(files)
    data = packed(joined.packed, {})
    found = module.run("joined", data, module._VERSIONS, 20, 40)
    np.testing.assert_array_equal(found, joined.packed(20, 40))
    files[1].unlink()
    with pytest.raises(InputError, match=r"c2\.bed: a file that changed"):
        module.run("joined", data, module._VERSIONS, 20, 40)
    with pytest.raises(InputError, match=r"c2\.bed: no such file at a worker"):
        module.run("joined", data, module._VERSIONS, 20, 40)


@given(st.lists(st.integers(-1, 8), max_size=12), st.integers(0, 2**12 - 1))
def test_aligned_sources_survive_a_pickle(rows: list[int], swapped: int) -> None:
    flags = np.array([swapped >> i & 1 for i in range(len(rows))], np.bool_)
    source: Any = None  # It is not looked at.
    before = AlignedSource(source, np.array(rows, np.int64), flags)
    after = pickle.loads(pickle.dumps(before))
    np.testing.assert_array_equal(after.rows, before.rows)
    np.testing.assert_array_equal(after.swapped, before.swapped)
    assert after.rows.dtype == np.int64
