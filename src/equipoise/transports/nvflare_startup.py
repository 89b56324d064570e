"""What parties to a study hand one another before it runs: cards, and start-up folders.

A site makes its keys itself and hands over a card. The coordinator puts the cards
together and hands each site a start-up folder: a certificate, the address of the centre,
the study, and the signing keys of all parties, whose fingerprint everybody compares by
another way. Neither holds a secret.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

from equipoise.errors import InputError, Problem
from equipoise.plan import canonical
from equipoise.transports.nvflare_certificates import write_new

PARTIES: Final = "parties.json"
CERTIFICATE: Final = "certificate.pem"
AUTHORITY: Final = "authority.pem"
STUDY: Final = "study.toml"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

ELSEWHERE: Final = "known to the site alone"
"""What stands for a site's paths in the study file that everybody is handed."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Card:
    """The public half of a party, which it hands to the coordinator.

    signing_key  32 bytes, Ed25519
    request      for a certificate, in PEM
    """

    name: str
    signing_key: bytes
    request: str

    def to_json(self) -> str:
        """Return the content of the file that is handed over."""
        said = {"name": self.name, "signing_key": self.signing_key.hex(), "request": self.request}
        return json.dumps({"version": _VERSION, **said}, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Parties:
    """Who takes part in a study: where the centre listens, and everybody's signing key."""

    study: str
    address: str
    keys: Mapping[str, bytes]

    @property
    def fingerprint(self) -> str:
        """Eight groups of four hexadecimal digits, to be compared by another way than the wire."""
        keys = {name: key.hex() for name, key in self.keys.items()}
        digest = hashlib.sha256(canonical({"study": self.study, "keys": keys})).hexdigest()
        return " ".join(digest[i : i + 4] for i in range(0, 32, 4))

    def to_json(self) -> str:
        """Return the content of `parties.json`."""
        keys = {name: key.hex() for name, key in sorted(self.keys.items())}
        content = {"version": _VERSION, "study": self.study, "address": self.address, "keys": keys}
        return json.dumps(content, indent=1) + "\n"


def read_card(path: Path) -> Card:
    """Return the card that a site handed over; InputError for anything else."""
    content = _json(path, "a card, as `equipoise site init` writes it")
    name, key, asked = (content.get(k) for k in ("name", "signing_key", "request"))
    if not (isinstance(name, str) and NAME.fullmatch(name) and isinstance(asked, str)):
        raise not_read(path, "a card, as `equipoise site init` writes it")
    return Card(name, _key(path, key), asked)


def read_parties(folder: Path) -> Parties:
    """Return who takes part, as the start-up folder has it."""
    path, expected = folder / PARTIES, "the parties, as the coordinator wrote them"
    content = _json(path, expected)
    study, address, keys = (content.get(k) for k in ("study", "address", "keys"))
    if not (isinstance(study, str) and isinstance(address, str) and isinstance(keys, dict)):
        raise not_read(path, expected)
    named = cast("dict[str, object]", keys)
    return Parties(study, address, {name: _key(path, key) for name, key in named.items()})


def write_startup(
    folder: Path, parties: Parties, certificate: bytes, authority: bytes, study: str
) -> None:
    """Write what a party is handed; the list of variants is put beside it by the caller."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_new(folder / CERTIFICATE, certificate)
    write_new(folder / AUTHORITY, authority)
    write_new(folder / PARTIES, parties.to_json().encode())
    write_new(folder / STUDY, study.encode())


def check_address(address: str) -> None:
    """Raise InputError unless this is a host and a port that a site can connect to."""
    host, _, port = address.rpartition(":")
    if not host or ":" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InputError(
            f"{address!r} is no address; expected host:port, a name or an IPv4 address and the"
            " port on which sites reach the coordinator"
        )


def study_file(public: Mapping[str, Any], as_of: date, listed: str) -> str:
    """Return a study's public part as a study file, in which no path of any site is.

    `listed` is under what name the list of variants lies beside it.
    """
    lines = ["# The study as every party has it. Sites say in files of their own where data are."]
    for name, content in public.items():
        if name == "sites":
            own = dict.fromkeys(("genotypes", "phenotypes", "consents"), ELSEWHERE)
            for site in content:
                lines += ["", "[[site]]", *_rows({**site, **own})]
        elif name == "people":
            for person in content:
                lines += ["", "[[people]]", *_rows(person)]
        elif content is not None:
            lines += ["", f"[{name}]", *_rows(_as_written(name, content, as_of, listed))]
    return "\n".join(lines) + "\n"


def _as_written(table: str, content: Mapping[str, Any], as_of: date, listed: str) -> dict[str, Any]:
    """Return a table of the public part as a study file has it."""
    own: dict[str, dict[str, Any]] = {"study": {"as_of": as_of}, "variants": {"list": listed}}
    held_out = table == "validation" and content["hold_out_each_site"]
    left = {key: value for key, value in content.items() if not (held_out and key == "folds")}
    return {**left, **own.get(table, {})}


def _rows(content: Mapping[str, Any]) -> list[str]:
    said = {key: value for key, value in content.items() if value not in ("", None)}
    return [f"{key} = {_value(value)}" for key, value in said.items()]


def _value(value: Any) -> str:
    """Return a value in TOML, whose texts, numbers and lists are written as in JSON."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(_rows(cast("dict[str, Any]", value))) + " }"
    return json.dumps(value, ensure_ascii=False)


def _json(path: Path, expected: str) -> dict[str, Any]:
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise not_read(path, expected) from None
    if not isinstance(content, dict) or cast("dict[str, Any]", content).get("version") != _VERSION:
        raise not_read(path, expected)
    return cast("dict[str, Any]", content)


def _key(path: Path, value: object) -> bytes:
    try:
        key = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        key = b""
    if len(key) != 32:
        raise not_read(path, "signing keys of 64 hexadecimal digits")
    return key


def not_read(path: Path, expected: str) -> InputError:
    """Return the error of a file that is not what was expected."""
    remedy = "take it as it was handed over"
    return InputError(Problem(str(path), None, "a file that cannot be read so", expected, remedy))
