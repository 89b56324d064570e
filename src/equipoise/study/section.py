"""Reading one TOML table key by key, with every problem kept and none raised.

A reader asks a `Section` for each key it knows. What is wrong becomes a
Problem with its line, and a stand-in of the right type comes back, so that the
rest is read as well; whoever holds the problems raises them before a stand-in
is used. `close` turns every key that nobody asked for into a problem.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from typing import Final, cast

from equipoise.errors import Problem

Place = tuple[str | int, ...]

_HEAD: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*$")
_KEY: Final = re.compile(
    r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART: Final = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    + r"|'''.*?'{3,5}"
    + r'|"(?:\\.|[^"\\\n])*"'
    + r"|'[^'\n]*'|#[^\n]*",
    re.DOTALL,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_EPOCH: Final = date(1970, 1, 1)


def find_lines(text: str) -> dict[Place, int]:
    r"""Give the line of each table and key of a valid TOML text, by its place in the document.

    A key inside an inline table has no line of its own.

    >>> find_lines("[study]\nid = 'a'\n[[site]]\nname = 'b'\n")
    {('study',): 1, ('study', 'id'): 2, ('site',): 3, ('site', 0): 3, ('site', 0, 'name'): 4}
    """
    places: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    depth = 0
    for number, line in enumerate(_blank_values(text).split("\n"), start=1):
        if depth == 0 and (head := _HEAD.match(line)):
            table = _parts(head[2])
            places.setdefault(table, number)
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
                places[table] = number
            continue
        if depth == 0 and (key := _KEY.match(line)):
            parts = _parts(key[1])
            for size in range(1, len(parts) + 1):
                places.setdefault((*table, *parts[:size]), number)
        depth += sum((mark in "[{") - (mark in "]}") for mark in line)
    return places


def _parts(dotted: str) -> Place:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _blank_values(text: str) -> str:
    """Give the text with strings that may confuse a scan by lines, and comments, taken out."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found.startswith("#"):
            return ""
        plain = re.fullmatch(r"""(["'])[\w .-]*\1""", found)
        return found if plain else "''" + "\n" * found.count("\n")

    return _STRING.sub(blank, text)


@dataclass(frozen=True, slots=True)
class Source:
    """A file, the lines of its keys, and all that was found wrong with it so far."""

    file: str
    lines: Mapping[Place, int]
    problems: list[Problem] = field(default_factory=list[Problem])

    def line(self, place: Place) -> int | None:
        """Give the line of a place, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)

    def add(self, place: Place, found: str, expected: str, remedy: str) -> None:
        """Keep one problem."""
        self.problems.append(Problem(self.file, self.line(place), found, expected, remedy))

    def unknown(self, place: Place, kind: str, known: tuple[str, ...]) -> None:
        """Keep the problem that nobody knows the last name of a place."""
        name = str(place[-1])
        near = get_close_matches(name, known, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else "remove it"
        self.add(place, f"an unknown {kind} `{name}`", f"one of {', '.join(known)}", remedy)


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the document; `given` is False where the file has no such table."""

    source: Source
    place: Place
    table: Mapping[str, object]
    given: bool = True
    asked: list[str] = field(default_factory=list[str])

    def add(self, key: str, found: str, expected: str, remedy: str) -> None:
        """Keep one problem with one key."""
        self.source.add((*self.place, key), found, expected, remedy)

    def close(self) -> None:
        """Keep a problem for each key that was never asked for."""
        for key in self.table:
            if key not in self.asked:
                self.source.unknown((*self.place, key), "key", tuple(self.asked))

    def text(
        self,
        key: str,
        expected: str = "a text",
        fits: Callable[[str], bool] = bool,
        default: str | None = None,
    ) -> str:
        """Give a text of one line that fits; one without a default must be there."""
        value = self._take(key, expected, default)
        if value is None or (value == default and key not in self.table):
            return default or ""
        if not isinstance(value, str):
            self.add(key, f"`{key}` is {_kind(value)}", expected, "write a text between quotes")
        elif _CONTROL.search(value):
            found = f"`{key}` with a line break or control character"
            self.add(key, found, f"{expected} on one line", "remove it")
        elif not value.strip() or not fits(value):
            self.add(key, f"`{key}` is {_kind(value)}", expected, "correct it")
        else:
            return value
        return ""

    def choice(self, key: str, options: tuple[str, ...], default: str | None = None) -> str:
        """Give one of a few words."""
        expected = " or ".join(f'"{option}"' for option in options)
        return self.text(key, expected, options.__contains__, default)

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Give a whole number between two bounds, both included."""
        expected = f"a whole number from {low} to {high}"
        value = self._take(key, expected, default)
        if value is None:
            return low
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.add(key, f"`{key}` is {_kind(value)}", expected, "correct it")
        return low

    def number(
        self, key: str, expected: str, fits: Callable[[float], bool], default: float | None = None
    ) -> float:
        """Give a finite number that fits; one without a default must be there."""
        value = self._take(key, expected, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            if fits(float(value)) or (value == default and key not in self.table):
                return float(value)
        elif value is None:
            return 0.0
        self.add(key, f"`{key}` is {_kind(value)}", expected, "correct it")
        return 0.0

    def flag(self, key: str, *, default: bool) -> bool:
        """Give true or false."""
        value = self._take(key, "true or false", default)
        if isinstance(value, bool):
            return value
        self.add(key, f"`{key}` is {_kind(value)}", "true or false", "write it without quotes")
        return default

    def day(self, key: str) -> date:
        """Give a date that must be there."""
        expected = "a date such as 2026-11-01"
        value = self._take(key, expected)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if value is not None:
            remedy = "write it without quotes and without a time of day"
            self.add(key, f"`{key}` is {_kind(value)}", expected, remedy)
        return _EPOCH

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of different texts; none where the key is absent."""
        expected = 'a list of different texts, such as ["sex", "age"]'
        value = self._take(key, expected, [])
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        texts = [item for item in items if isinstance(item, str) and item.strip()]
        clean = not any(_CONTROL.search(text) for text in texts)
        if isinstance(value, list) and len(items) == len(set(texts)) and clean:
            return tuple(texts)
        self.add(key, f"`{key}` is something else", expected, "correct the list")
        return ()

    def numbers(self, key: str) -> Mapping[str, float]:
        """Give a table of positive numbers by name; none where the key is absent."""
        expected = "a table of positive numbers, such as { auc = 0.05 }"
        value = self._take(key, expected, {})
        items = cast("dict[str, object]", value) if isinstance(value, dict) else {"": value}
        numbers = {
            name: float(item)
            for name, item in items.items()
            if isinstance(item, int | float) and not isinstance(item, bool)
        }
        fine = all(math.isfinite(number) and number > 0 for number in numbers.values())
        if isinstance(value, dict) and len(numbers) == len(items) and fine:
            return numbers
        self.add(key, f"`{key}` is something else", expected, "correct the table")
        return {}

    def _take(self, key: str, expected: str, default: object = None) -> object:
        self.asked.append(key)
        value = self.table.get(key, default)
        if value is None and self.given:
            inside = f"[{self.place[0]}]" if self.place else "the file"
            self.add(key, f"no key `{key}` in {inside}", expected, f"add `{key} = ...`")
        return value


def _kind(value: object) -> str:
    """Give the kind of a TOML value, in words; the value too where it is a short text or number."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"[:60]
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    names = {list: "a list", dict: "a table", datetime: "a date with a time", date: "a date"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a time")
