"""A bar on stderr for long work; silent where that is no terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def bars() -> Progress:
    """Return bars on stderr: what is done, how long it took and how long it will."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(
        *columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)
    )


@contextmanager
def bar(what: str) -> Generator[Callable[[float], None]]:
    """Yield what is to be told the share that is done, from 0 to 1."""
    if not sys.stderr.isatty():
        yield _quiet
        return
    with bars() as shown:
        task = shown.add_task(what, total=1.0)
        yield lambda share: shown.update(task, completed=share)


def _quiet(share: float) -> None:
    del share
