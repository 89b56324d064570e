"""Write constraints.txt: the version of each package that the base and the tests install.

Run it in the environment whose versions are to be pinned, after its tests have passed:

    .venv/bin/python scripts/make_constraints.py

It walks the requirements of pyproject.toml (base and extra `test`) through the metadata of the
installed packages. A requirement counts if any supported Python on Linux or macOS needs it, so
that one file serves them all; a constraint on a package that is not installed does nothing, so no
line needs a marker. The file names no index: where packages come from is the user's own choice.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("test",)
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {"linux": "Linux", "darwin": "Darwin"}
HEADER = """\
# Made by scripts/make_constraints.py: do not edit.
# One version of each package for Python 3.11 to 3.13, base and tests.
"""


def environments(extra: str) -> Iterator[dict[str, str]]:
    """Return what a marker is read against: each supported Python on each supported system."""
    for python, system in product(PYTHONS, SYSTEMS):
        yield {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": system,
            "platform_system": SYSTEMS[system],
            "extra": extra,
        }


def applies(marker: Marker | None, extras: Iterable[str]) -> bool:
    """Return whether some supported environment, with one of the extras or none, needs it."""
    if marker is None:
        return True
    return any(marker.evaluate(e) for extra in ("", *extras) for e in environments(extra))


def pins(requirements: Iterable[str]) -> dict[str, str]:
    """Return name to version of everything that the requirements bring, themselves included."""
    found: dict[str, str] = {}
    waiting = [Requirement(r) for r in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            sys.exit(
                f"{requirement} is required on some Python from {PYTHONS[0]} to {PYTHONS[-1]} "
                "but is not installed here: install it, then run this again"
            )
        if not requirement.specifier.contains(package.version, prereleases=True):
            sys.exit(f"{name} {package.version} is installed, but {requirement} is required")
        found[name] = package.version
        waiting += [
            inner
            for inner in map(Requirement, package.requires or ())
            if applies(inner.marker, requirement.extras)
        ]
    return found


def constraints() -> str:
    """Return the text of constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for extra in EXTRAS for r in extras[extra])]
    held = pins(wanted)
    held.pop(project["name"], None)  # an extra that names others of our own
    return HEADER + "".join(f"{n}=={v}\n" for n, v in sorted(held.items()))


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(constraints(), encoding="utf-8")
