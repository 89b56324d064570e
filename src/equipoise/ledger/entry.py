"""What a log records: one kind and one flat body of public facts per entry.

| kind | body |
|---|---|
| opened | origin: text; public_key: hex. Always first, never again |
| sites | sites: list of {name: folder, public_key: hex}; names and keys all different |
| keeper | name: text; public_key: hex. Who keeps the keys of encrypted sums |
| plan | sha256: hex |
| agreement | site: folder; plan: hex; signature: text |
| roster | salted_sha256: hex; admitted: count |
| state | step: text; round: count; sha256: hex |
| release | step: text; round, attempt: count; phase: text; sha256: hex; bytes: count |
| received | site: folder; step: text; round, attempt: count; phase: text; sha256: hex |
| decryption | step: text; round, attempt, least: count; context, key: hex; contributions: list
  of {site: folder, sha256: hex, signature: text}, sites all different; sha256: hex, of the total |
| derived | step: text; salted_sha256: hex |
| lost | site: folder; step: text; round: count |
| artefact | path: path; sha256: hex; bytes: count |
| refusal | reason: text; message_sha256: hex |
| checkpoint | site: folder; note: text; root: hex; size: count |
| closed | reason: text |

text: a string that is not empty; count: an integer from 0 to 2^53 - 1 (what
every JSON reader keeps exactly, RFC 7493 section 2.2); hex: 32 bytes as 64
lower-case hexadecimal digits; folder: one printable name without a slash;
path: printable folder names joined by slashes, none of them `.` or `..`.

The table is closed: another kind or another key is refused, so that nothing
about a person slips in by the side.

Canonical bytes: one line of ASCII JSON without its newline, keys sorted, no
spaces. They are the leaf data of the Merkle tree.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, cast

from equipoise.errors import InputError, IntegrityError

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"

_LARGEST = 2**53 - 1
_HEX = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Form:
    """What one value of a body must be: in words, and as a test."""

    words: str
    holds: Callable[[object], bool]


def _is_text(value: object) -> bool:
    # a lone surrogate is a Python string but no Unicode text: other readers refuse it
    return isinstance(value, str) and value != "" and not re.search("[\ud800-\udfff]", value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_hex(value: object) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _is_path(value: object) -> bool:
    if not isinstance(value, str) or not value.isprintable():
        return False
    return not {"", ".", ".."} & set(value.split("/"))


def _is_folder(value: object) -> bool:
    return isinstance(value, str) and _is_path(value) and "/" not in value


def _is_site(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    site = cast("dict[str, object]", value)
    return site.keys() == _SITE.keys() and all(_SITE[key].holds(site[key]) for key in _SITE)


def _is_sites(value: object) -> bool:
    if not isinstance(value, list) or not all(map(_is_site, cast("list[object]", value))):
        return False
    sites = cast("list[dict[str, str]]", value)
    return all(len({site[key] for site in sites}) == len(sites) for key in _SITE)


def _is_contribution(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    said = cast("dict[str, object]", value)
    form = _CONTRIBUTION
    return said.keys() == form.keys() and all(form[key].holds(said[key]) for key in form)


def _is_contributions(value: object) -> bool:
    if not isinstance(value, list) or not all(map(_is_contribution, cast("list[object]", value))):
        return False
    said = cast("list[dict[str, str]]", value)
    return len({one["site"] for one in said}) == len(said)


_TEXT = Form("a string that is not empty", _is_text)
_COUNT = Form("an integer from 0 to 2^53 - 1", _is_count)
_HEX32 = Form("64 lower-case hexadecimal digits", _is_hex)
_FOLDER = Form("one printable folder name", _is_folder)
_PATH = Form("a relative path without . or ..", _is_path)
_SITE: Mapping[str, Form] = {"name": _FOLDER, "public_key": _HEX32}
_SITES = Form("a list of different {name, public_key}", _is_sites)
_CONTRIBUTION: Mapping[str, Form] = {"site": _FOLDER, "sha256": _HEX32, "signature": _TEXT}
_CONTRIBUTIONS = Form("a list of {site, sha256, signature}, sites different", _is_contributions)

KINDS: Mapping[str, Mapping[str, Form]] = MappingProxyType(
    {
        "opened": {"origin": _TEXT, "public_key": _HEX32},
        "sites": {"sites": _SITES},
        "keeper": {"name": _TEXT, "public_key": _HEX32},
        "plan": {"sha256": _HEX32},
        "agreement": {"site": _FOLDER, "plan": _HEX32, "signature": _TEXT},
        "roster": {"salted_sha256": _HEX32, "admitted": _COUNT},
        "state": {"step": _TEXT, "round": _COUNT, "sha256": _HEX32},
        "release": {
            "step": _TEXT,
            "round": _COUNT,
            "attempt": _COUNT,
            "phase": _TEXT,
            "sha256": _HEX32,
            "bytes": _COUNT,
        },
        "received": {
            "site": _FOLDER,
            "step": _TEXT,
            "round": _COUNT,
            "attempt": _COUNT,
            "phase": _TEXT,
            "sha256": _HEX32,
        },
        "decryption": {
            "step": _TEXT,
            "round": _COUNT,
            "attempt": _COUNT,
            "least": _COUNT,
            "context": _HEX32,
            "key": _HEX32,
            "contributions": _CONTRIBUTIONS,
            "sha256": _HEX32,
        },
        "derived": {"step": _TEXT, "salted_sha256": _HEX32},
        "lost": {"site": _FOLDER, "step": _TEXT, "round": _COUNT},
        "artefact": {"path": _PATH, "sha256": _HEX32, "bytes": _COUNT},
        "refusal": {"reason": _TEXT, "message_sha256": _HEX32},
        "checkpoint": {"site": _FOLDER, "note": _TEXT, "root": _HEX32, "size": _COUNT},
        "closed": {"reason": _TEXT},
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a log; the body is a copy, so that later changes outside do not reach it.

    InputError: the kind is unknown, or the body is not what the table says.

    >>> Entry("closed", {"reason": "done"}).to_bytes()
    b'{"body":{"reason":"done"},"kind":"closed"}'
    """

    kind: str
    body: Mapping[str, JSON]

    def __post_init__(self) -> None:
        """Copy the body and check it against the table."""
        form = KINDS.get(self.kind)
        if form is None:
            raise InputError(f"entry: unknown kind; expected one of {', '.join(KINDS)}")
        try:
            body = cast("dict[str, JSON]", json.loads(_canonical(dict(self.body))))
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{self.kind} entry: the body is not plain JSON") from error
        if body.keys() != form.keys():
            raise InputError(f"{self.kind} entry: expected exactly the keys {', '.join(form)}")
        for key, value in body.items():
            if not form[key].holds(value):
                raise InputError(f"{self.kind} entry: {key}; expected {form[key].words}")
        object.__setattr__(self, "body", MappingProxyType(body))

    def to_bytes(self) -> bytes:
        """Give the canonical bytes, without a newline."""
        return _canonical({"kind": self.kind, "body": dict(self.body)})

    @classmethod
    def from_bytes(cls, line: bytes) -> "Entry":
        """Give the entry that the canonical bytes say.

        IntegrityError: they are not canonical, or not an entry of the table.

        >>> Entry.from_bytes(b'{"body":{"reason":"done"},"kind":"closed"}').kind
        'closed'
        """
        try:
            parsed = cast("object", json.loads(line.decode("ascii")))
        except (ValueError, RecursionError) as error:
            raise IntegrityError("entry: not a line of ASCII JSON") from error
        entry = cls._from_object(parsed)
        if entry.to_bytes() != line:
            raise IntegrityError("entry: not the canonical bytes of what it says")
        return entry

    @classmethod
    def _from_object(cls, parsed: object) -> "Entry":
        if isinstance(parsed, dict):
            record = cast("dict[str, object]", parsed)
            kind, body = record.get("kind"), record.get("body")
            if isinstance(kind, str) and isinstance(body, dict):
                try:
                    return cls(kind, cast("dict[str, JSON]", body))
                except InputError as error:
                    raise IntegrityError(str(error)) from error
        raise IntegrityError("entry: expected an object with kind and body")


def _canonical(value: Mapping[str, JSON]) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")
