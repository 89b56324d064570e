"""A site's or a key keeper's home: its keys, and the file that says where its data are."""

import tomllib
from pathlib import Path
from typing import Any, Final, cast

from equipoise.artefacts.files import write_whole
from equipoise.errors import InputError, Problem
from equipoise.federation.identity import CENTRE, Identity
from equipoise.federation.load import Files
from equipoise.protections.accounting import Budget
from equipoise.transports.nvflare_certificates import make_key, request
from equipoise.transports.nvflare_startup import NAME, Card, not_read

TLS_KEY: Final = "tls.key"
SITE_FILE: Final = "site.toml"

_TEMPLATE: Final = """\
# Where this site keeps what it brings to studies. This file stays here; paths are seen from it.
# genotypes = "genotypes.bed"
# phenotypes = "phenotypes.tsv"
# consents = "consents.tsv"
#
# What noised studies may spend of these people's privacy, all of them together; no limit but each
# study's own if left out.
# [privacy]
# epsilon = 5
# delta = 1e-6
"""

PRIVACY: Final = "privacy"


def make_home(home: Path, name: str) -> Path:
    """Make a site's home with new keys and return the card to hand over.

    InputError where the name is none that a site may bear, or the home has keys already.
    """
    if not NAME.fullmatch(name) or name.casefold() == CENTRE:
        raise InputError(
            f"{name!r} is no name of a site; expected up to 64 of A-Z a-z 0-9 . _ -, the first"
            f" a letter or digit, other than {CENTRE}"
        )
    path = home / f"{name}.json"
    write_whole(path, [make_card(home, name).to_json()])
    if not (home / SITE_FILE).exists():
        write_whole(home / SITE_FILE, [_TEMPLATE])
    return path


def make_card(home: Path, name: str) -> Card:
    """Make a party's keys in its home and return their public half."""
    if (home / TLS_KEY).exists():
        raise InputError(f"{home} has keys already; they are not written over: take a new folder")
    identity = Identity.at(home, name)
    return Card(name, identity.signing_key, request(make_key(home / TLS_KEY), name))


def read_data(path: Path) -> Files:
    r"""Return where a site keeps its data, from its own file; paths are seen from it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "site.toml"
    >>> _ = path.write_text('genotypes = "g.bed"\nphenotypes = "p.tsv"\nconsents = "c.tsv"')
    >>> read_data(path).genotypes.name
    'g.bed'
    """
    wanted, content = ("genotypes", "phenotypes", "consents"), _content(path)
    content.pop(PRIVACY, None)
    if set(content) != set(wanted) or not all(isinstance(v, str) and v for v in content.values()):
        found = f"the keys {', '.join(sorted(content)) or 'none'}"
        expected = f"exactly {', '.join(wanted)}, each with a path, and if wanted [{PRIVACY}]"
        raise InputError(Problem(str(path), None, found, expected, "say where the data are"))
    return Files(*(path.parent / content[name] for name in wanted))


def read_most(path: Path) -> Budget | None:
    r"""Return what all studies together may spend of the site's people, if its own file says it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "site.toml"
    >>> read_most(path)
    >>> _ = path.write_text("[privacy]\nepsilon = 3\ndelta = 1e-6")
    >>> read_most(path)
    Budget(epsilon=3.0, delta=1e-06)
    """
    if not path.exists():
        return None
    told = _content(path).get(PRIVACY)
    if told is None:
        return None
    if isinstance(told, dict):
        said = cast("dict[str, object]", told)
        numbers = [v for v in said.values() if isinstance(v, int | float)]
        if set(said) == {"epsilon", "delta"} and len(numbers) == len(said):
            return Budget(float(str(said["epsilon"])), float(str(said["delta"])))
    raise InputError(
        Problem(
            str(path),
            None,
            f"a [{PRIVACY}] of another form",
            "epsilon and delta, two numbers",
            "say what all studies together may spend, or leave it out",
        )
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise not_read(path, "a file in TOML with genotypes, phenotypes, consents") from None
