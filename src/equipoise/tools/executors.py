"""What runs the work on blocks: this thread, several, or workers of dask (`tools.cluster`)."""

from collections.abc import Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from equipoise.errors import InputError

DASK: Final = "dask://"


class Threads(ThreadPoolExecutor):
    """Threads of this process."""

    in_flight: int

    def __init__(self, threads: int) -> None:
        """Start so many when there is work."""
        super().__init__(threads)
        self.in_flight = 2 * threads


@contextmanager
def executor(threads: int = 1, scheduler: str | None = None) -> Generator[Executor | None]:
    """Yield what runs work on blocks; None is this thread alone.

    `scheduler` is `dask://HOST:PORT`. InputError where it is not reached or has no workers,
    where a worker has another version of this package or of Python, and where a file is not
    at a worker, is another one there, or changes while it is used.
    """
    if scheduler is not None:
        if not scheduler.startswith(DASK) or ":" not in scheduler.removeprefix(DASK):
            raise InputError(f"the executor {scheduler!r}; expected dask://HOST:PORT; name it so")
        # Only who asks for workers waits for the import of all that they need.
        with import_module("equipoise.tools.cluster").workers(scheduler) as pool:
            yield pool
    elif threads > 1:
        with Threads(threads) as pool:
            yield pool
    else:
        yield None
