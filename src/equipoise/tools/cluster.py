"""Workers of dask, on other machines, that run the work on blocks.

One closure serves all blocks of a pass. It is sent once to each worker and kept
there with what it holds; genotypes go as the paths of their files, which each worker opens by
itself, once, under the same names, and takes only if they are the same files. A worker that
ends in mid-run changes nothing: its blocks are done again by another.

All of this is inside one site, between machines that already may read its genotypes: what is
sent is a pickle, which runs code when it is read. Between parties nothing is ever pickled
(`federation/wire.py`).
"""

import hashlib
import io
import os
import pickle
import platform
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from socket import create_connection
from threading import Lock
from time import monotonic
from typing import Any, Final, cast

from equipoise import __version__
from equipoise.errors import EquipoiseError, FaultError, InputError, Problem
from equipoise.genotypes.bgen import BgenFile
from equipoise.genotypes.chromosomes import JoinedFile
from equipoise.genotypes.pgen import PgenFile
from equipoise.genotypes.plink import PlinkFile
from equipoise.genotypes.vcf import VcfFile
from equipoise.genotypes.zarr import ZarrFile
from equipoise.packed.product import BITS, Columns, columns

_VERSIONS: Final = (__version__, ".".join(platform.python_version_tuple()[:2]))

_WAIT: Final = 60.0
"""Seconds without any worker after which a run is given up."""

_ANSWER: Final = 10.0
"""Seconds in which a scheduler must answer."""

_LOOK: Final = 5.0
"""Seconds between two looks at whether there are workers."""

_KEPT: Final = 4
"""Closures that a worker, and who sends them, keeps: a site of a pass has one."""

_PIECES, _PIECE = 64, 4096
"""How much of a file is compared: this many pieces of so many bytes, evenly spread."""

_PARTS: Final = {
    PlinkFile: (".bed", ".bim", ".fam"),
    PgenFile: (".pgen", ".pvar", ".pvar.zst", ".psam"),
    BgenFile: (".bgen", ".sample"),
}
"""Files that are read together, by their endings."""

_FILES: Final = (PlinkFile, PgenFile, BgenFile, VcfFile, ZarrFile, JoinedFile)


@contextmanager
def workers(scheduler: str) -> Generator[Executor]:
    """Yield the workers of the scheduler at `dask://HOST:PORT`, of which there is one at least."""
    try:
        dask, distributed = _modules("dask", "distributed")
    except ImportError as error:
        raise InputError(
            "dask is not installed; expected the extra `cluster`; run: pip install"
            " 'equipoise[cluster]'"
        ) from error
    address = "tcp://" + scheduler.removeprefix("dask://")
    try:
        # A client that finds nobody is never handed out, and goes on trying in its own thread.
        create_connection(distributed.comm.get_address_host_port(address), _ANSWER).close()
        client = distributed.Client(address, timeout=_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no scheduler of dask answers at {scheduler}; expected a running one;"
            " start it with `dask scheduler`, or correct the address"
        ) from error
    # A closure with large columns is sent once, and so is no large graph.
    quiet = {"distributed.admin.large-graph-warning-threshold": "1TB"}
    with client, dask.config.set(quiet):
        try:
            client.wait_for_workers(1, timeout=_WAIT)
        except TimeoutError as error:
            raise InputError(
                f"the scheduler of dask at {scheduler} has no workers; expected at least one;"
                " start them with `dask worker`"
            ) from error
        yield Workers(client)


def _modules(*names: str) -> list[Any]:
    """Return packages without types that are not always installed."""
    return [import_module(name) for name in names]


class Workers(Executor):
    """Workers of dask: gives them closures by number, and has errors said in our words.

    in_flight  how many blocks keep all of them busy
    """

    in_flight: int

    def __init__(self, client: Any) -> None:
        """Take a connected client; who made it closes it."""
        self._client = client
        self._pool = client.get_executor(pure=False)
        self._sent: list[tuple[Callable[..., Any], str, Any]] = []
        self._marks: dict[bytes, Marks] = {}
        self._seen = monotonic()
        self.in_flight = 2 * max(sum(client.nthreads().values()), 1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of `fn(*args)` at some worker; `fn` is sent where it is new."""
        if kwargs:
            raise TypeError("work on blocks takes no keywords")
        digest, payload = self._sent_once(fn)
        answer = _Answer(self)
        done = self._pool.submit(run, digest, payload, _VERSIONS, *args)
        done.add_done_callback(partial(_hand_on, answer))
        return answer

    def there(self) -> None:
        """Raise FaultError where there have been no workers for a while."""
        if self._client.nthreads():
            self._seen = monotonic()
        elif monotonic() - self._seen > _WAIT:
            raise FaultError(
                f"the scheduler of dask has had no workers for {_WAIT:.0f} s; expected at least"
                " one; see why they ended, and run the command again"
            )

    def _sent_once(self, fn: Callable[..., Any]) -> tuple[str, Any]:
        for known, digest, payload in self._sent:
            if known is fn:
                return digest, payload
        data = packed(fn, self._marks)
        digest = hashlib.sha256(data).hexdigest()
        # As a task of the graph it is made again where the workers that hold it end.
        payload = self._client.submit(bytes, data, key=f"equipoise-{digest}", pure=False)
        self._sent = [*self._sent[1 - _KEPT :], (fn, digest, payload)]
        return digest, payload

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """Be nothing at a worker, which does its block by itself."""
        return _nothing, ()


def _nothing() -> None:
    return None


class _Answer(Future[Any]):
    """A future that gives up where there are no workers any more."""

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers

    def result(self, timeout: float | None = None) -> Any:
        """Return what came, as any future does."""
        while timeout is None and not self.done():
            try:
                return super().result(_LOOK)
            except TimeoutError:
                if not self.done():
                    self._workers.there()
        return super().result(timeout)


def _hand_on(answer: _Answer, done: Future[Any]) -> None:
    """Give a future's result or error to ours; errors of dask in words of our own."""
    try:
        answer.set_result(done.result())
    except EquipoiseError as error:
        answer.set_exception(error)
    except CancelledError:
        said = (
            "the scheduler of dask gave up the work; expected it to run on; run the command again"
        )
        answer.set_exception(FaultError(said))
    except ImportError as error:
        said = f"a worker of dask lacks a package ({error}); expected this installation there"
        answer.set_exception(InputError(f"{said}; install the same version at all workers"))
    except Exception as error:
        # Whatever it is, whoever waits must know.
        answer.set_exception(_killed() if type(error).__name__ == "KilledWorker" else error)


def _killed() -> FaultError:
    return FaultError(
        "several workers of dask ended at the same block of variants; expected one that holds"
        " out; most likely it needs more memory than they have: give them more, or fewer threads"
    )


Mark = tuple[str, int, bytes]
"""A file's absolute path, its size, and a digest of pieces of it."""

Marks = tuple[Mark, ...]


class _Packer:
    """Pickles closures; genotype files as how to open them, and what they are known by.

    marks  of files already sent: those hold for the whole run
    """

    def __init__(self, marks: dict[bytes, Marks]) -> None:
        self.marks = marks

    def persistent(self, what: Any) -> Any:
        """Return how to open a genotype file, and None for anything else."""
        if not isinstance(what, _FILES):
            return None
        opener, args = cast("tuple[Any, tuple[Any, ...]]", what.__reduce__()[:2])
        absolute = tuple(a.absolute() if isinstance(a, Path) else a for a in args)
        named = pickle.dumps((opener, absolute))
        if named not in self.marks:
            joined = isinstance(what, JoinedFile)
            self.marks[named] = () if joined else marks(type(what), absolute[0])
        known = self.marks[named]
        return hashlib.sha256(named + pickle.dumps(known)).hexdigest(), opener, absolute, known


def packed(fn: Callable[..., Any], known: dict[bytes, Marks]) -> bytes:
    """Return a closure as a worker unpacks it; `known` has the marks of files, and gets new ones."""
    packer, held = _Packer(known), io.BytesIO()
    (cloudpickle,) = _modules("cloudpickle")

    class Pickler(cloudpickle.CloudPickler):  # pyright: ignore[reportUntypedBaseClass]
        """Cloudpickle's, which takes closures, with our way to send files."""

        def persistent_id(self, obj: Any) -> Any:
            """Return what stands for an object, None for itself."""
            return packer.persistent(obj)

        def reducer_override(self, obj: Any) -> Any:
            """Make columns again from their numbers: their digits must begin at a whole vector."""
            if isinstance(obj, Columns):
                most = obj.grid * 2.0 ** BITS[obj.places]
                said = obj.whole * obj.grid, obj.n_samples, None, most, obj.places
                return columns, said
            return cloudpickle.CloudPickler.reducer_override(self, obj)

    Pickler(held).dump(fn)
    return held.getvalue()


def marks(kind: type, path: Path) -> Marks:
    """Return what the files of a path are known by, whichever machine they lie on."""
    if path.is_dir():
        inside = (*path.glob(".z*"), *path.glob("zarr.json"), *path.glob("*/.z*"))
        files = sorted({*inside, *path.glob("*/zarr.json")})
    else:
        endings = _PARTS.get(kind, ())
        prefix = path.with_suffix("") if path.suffix in endings else path
        beside = (prefix.with_name(prefix.name + ending) for ending in endings)
        files = [file for file in (*beside, path) if file.is_file()]
    return tuple(_mark(file) for file in dict.fromkeys(files))


def _mark(path: Path) -> Mark:
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in range(_PIECES):
            file.seek(max(size - _PIECE, 0) * piece // (_PIECES - 1))
            digest.update(file.read(_PIECE))
    return str(path), size, digest.digest()


@dataclass(slots=True)
class _Open:
    """A genotype file at a worker, and the times of what it was read from."""

    file: Any
    times: dict[str, tuple[int, int]]


@dataclass(slots=True)
class _Held:
    """What a worker's process keeps between blocks.

    closures  by digest, the last used at the end, each with the keys of the files it reads
    """

    closures: dict[str, tuple[Callable[..., Any], frozenset[str]]] = field(
        default_factory=dict[str, tuple[Callable[..., Any], frozenset[str]]]
    )
    files: dict[str, _Open] = field(default_factory=dict[str, _Open])
    lock: Lock = field(default_factory=Lock)


_held: Final = _Held()


def run(digest: str, payload: bytes, versions: tuple[str, str], *args: Any) -> Any:
    """Return what a closure gives for a block: the task of a worker.

    InputError where the worker runs another version, or where a file of the closure is not
    there, is another one, or has changed since this process opened it.
    """
    if versions != _VERSIONS:
        raise InputError(
            f"a worker of dask runs equipoise {_VERSIONS[0]} on Python {_VERSIONS[1]}; expected"
            f" {versions[0]} on {versions[1]}; install the same at all workers"
        )
    with _held.lock:
        if digest not in _held.closures:
            unpacker = _Unpacker(payload)
            _held.closures[digest] = unpacker.load(), frozenset(unpacker.keys)
        work, keys = _held.closures[digest] = _held.closures.pop(digest)
        _let_go()
        _refuse_changed([_held.files[key] for key in keys])
    return work(*args)


def _let_go() -> None:
    """Forget closures not used lately, and files that no other reads."""
    for old in list(_held.closures)[:-_KEPT]:
        del _held.closures[old]
    used = frozenset[str]().union(*(keys for _, keys in _held.closures.values()))
    for key in set(_held.files) - used:
        del _held.files[key]


class _Unpacker(pickle.Unpickler):
    """Reads a closure; genotype files are opened, once in a process."""

    def __init__(self, payload: bytes) -> None:
        """Begin; `keys` will be those of all files met."""
        super().__init__(io.BytesIO(payload))
        self.keys: set[str] = set()

    def persistent_load(self, pid: Any) -> Any:
        """Return the opened file."""
        key, opener, args, known = cast("tuple[str, Any, tuple[Any, ...], Marks]", pid)
        self.keys.add(key)
        if key not in _held.files:
            for mark in known:
                _refuse_other(mark)
            times = {name: _time(name) for name, _, _ in known}
            _held.files[key] = _Open(opener(*args), times)
        return _held.files[key].file


def _refuse_other(mark: Mark) -> None:
    path = Path(mark[0])
    if not path.is_file():
        remedy = "mount or copy it there under the same path, or run without --executor"
        raise _wrong(mark[0], "no such file at a worker of dask", remedy)
    if _mark(path) != mark:
        raise _wrong(mark[0], "another file at a worker of dask", "copy it there again")


def _refuse_changed(files: list[_Open]) -> None:
    for name, then in ((n, t) for held in files for n, t in held.times.items()):
        if not Path(name).is_file() or _time(name) != then:
            # The next command opens what is there then.
            _held.closures.clear()
            _held.files.clear()
            found = "a file that changed at a worker of dask while it was used"
            raise _wrong(name, found, "leave it as it is while commands run, and run again")


def _time(name: str) -> tuple[int, int]:
    found = os.stat(name)  # noqa: PTH116 - once a file and block: the quickest
    return found.st_size, found.st_mtime_ns


def _wrong(name: str, found: str, remedy: str) -> InputError:
    return InputError(Problem(name, None, found, "the file that the command reads", remedy))
