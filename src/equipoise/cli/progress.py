"""A bar on stderr for long work; silent where that is no terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def bars() -> "Progress":
    """Return bars on stderr: what is done, how long it took and how long it will."""
    # Here and not above: where nobody looks, it takes time for nothing.
    from rich import progress as p
    from rich.console import Console

    left = p.TextColumn("left"), p.TimeRemainingColumn()
    columns = p.TextColumn("{task.description}"), p.BarColumn(), p.TimeElapsedColumn(), *left
    return p.Progress(*columns, console=Console(stderr=True))


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
