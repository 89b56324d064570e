"""A bar on stderr for long work; silent where that is no terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(what: str) -> Generator[Callable[[float], None]]:
    """Yield what is to be told the share that is done, from 0 to 1."""
    if not sys.stderr.isatty():
        yield _quiet
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    shown = Progress(
        *columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)
    )
    with shown:
        task = shown.add_task(what, total=1.0)
        yield lambda share: shown.update(task, completed=share)


def _quiet(share: float) -> None:
    del share
