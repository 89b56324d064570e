"""Studies that are spoilt and run: what the tests of failures share."""

from collections.abc import Callable
from pathlib import Path

from study.small import Told, cli


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(study: Path, *more: object) -> Told:
    return cli("run", study, "--out", study.parent.parent / "out", *more)


def rows(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))
