"""The bundled study: four real cohorts, small enough to come with the package."""

import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from equipoise.errors import InputError, Problem


def folder() -> Path:
    """Return the folder of the bundled study, as it was installed.

    >>> (folder() / "study.toml").is_file()
    True
    """
    return Path(str(files(__name__) / "gstt1"))


def copy(destination: Path) -> None:
    """Write the study where people may edit it.

    Raises InputError where `destination` is something else than an empty or a new folder.

    >>> import tempfile
    >>> copy(Path(tempfile.mkdtemp()) / "my-study")
    """
    fresh = not destination.exists() and not destination.is_symlink()
    if not fresh and not (destination.is_dir() and not any(destination.iterdir())):
        found = "a folder that holds files" if destination.is_dir() else "no folder"
        raise InputError(
            Problem(str(destination), None, found, "a new or empty folder", "name another folder")
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".equipoise-demo-") as made:
        whole = Path(made) / "study"
        shutil.copytree(folder(), whole, copy_function=shutil.copyfile)
        whole.replace(destination)
