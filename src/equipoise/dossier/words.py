"""Numbers and lists in words, as they stand in the dossier's sentences and tables."""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any, Final

from markupsafe import Markup

FEWER: Final = "fewer than 5"
NOT_SHOWN: Final = "not shown"
LONGEST_ALLELE: Final = 16

# What turns the direction of the text around it, or is not seen at all, is spelt out.
_UNSEEN: Final = (
    *range(0x09),
    *range(0x0B, 0x0D),
    *range(0x0E, 0x20),
    *range(0x7F, 0xA0),
    0x061C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
)
_SPELT: Final = {code: f"[U+{code:04X}]" for code in _UNSEEN}


def within(content: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return what lies under nested keys; an empty mapping where one is missing or null.

    >>> within({"a": {"b": {"c": 1}}}, "a", "b"), within({"a": None}, "a", "b")
    ({'c': 1}, {})
    """
    found: Any = content
    for name in names:
        found = found.get(name) or {}
    return found


def clean(value: Any) -> Any:
    """Return a text with its invisible characters spelt out, and any other value as it is.

    >>> clean("Rome" + chr(0x202E) + "x")
    'Rome[U+202E]x'
    """
    if isinstance(value, Markup):
        return Markup(str(value).translate(_SPELT))  # noqa: S704  (its text is escaped already)
    return value.translate(_SPELT) if isinstance(value, str) else value


def whole(number: int | None, instead: str = FEWER) -> str:
    """Return a count with commas, or what stands for one that is withheld."""
    return instead if number is None else f"{number:,}"


def decimal(number: float | None, places: int = 2) -> str:
    """Return a number to so many places, with a true minus sign."""
    return NOT_SHOWN if number is None else _unsigned_zero(f"{number:.{places}f}")


def effect(number: float | None) -> str:
    """Return three significant digits with their sign.

    >>> effect(-0.1234), effect(12345.0)
    ('−0.123', '+12300')
    """
    if number is None:
        return NOT_SHOWN
    text = f"{number:+#.3g}" if 1e-4 <= abs(number) < 1e3 or not number else f"{number:+.3g}"
    if "e+" in text:
        text = f"{float(text):+.0f}"
    return minus(text.rstrip("."))


def interval(figure: Mapping[str, Any] | None, places: int = 2) -> str:
    """Return the two ends of an interval.

    >>> interval({"low": 0.9, "high": 1.0})
    '0.90 to 1.00'
    """
    if figure is None or figure.get("low") is None or figure.get("high") is None:
        return NOT_SHOWN
    return f"{decimal(figure['low'], places)} to {decimal(figure['high'], places)}"


def percent(share: float | None, places: int = 0) -> str:
    r"""Return a share in hundredths.

    >>> percent(0.931), percent(0.99999), percent(0.0001)
    ('93\xa0%', 'over 99\xa0%', 'under 1\xa0%')
    """
    if share is None:
        return NOT_SHOWN
    if places == 0 and 0.995 <= share < 1:
        return "over 99\N{NO-BREAK SPACE}%"
    if places == 0 and 0 < share < 0.005:
        return "under 1\N{NO-BREAK SPACE}%"
    return minus(f"{100 * share:.{places}f}\N{NO-BREAK SPACE}%")


def of_hundred(share: float) -> str:
    """Return in how many of 100 cases something holds.

    >>> of_hundred(0.871), of_hundred(0.9999), of_hundred(1.0), of_hundred(0.001)
    ('about 87 of 100', 'over 99 of 100', 'all', 'fewer than 1 of 100')
    """
    if share == 1:
        return "all"
    if share >= 0.995:
        return "over 99 of 100"
    return "fewer than 1 of 100" if share < 0.005 else f"about {100 * share:.0f} of 100"


def place(variant: Mapping[str, Any]) -> str:
    """Return where a variant lies: chromosome and position."""
    return f"{variant['chromosome']}:{variant['base_pair_location']:,}"


def region(name: str) -> str:
    """Return a region of the genome in a form that is easier to read; another text as it is.

    >>> region("22:24266954-24431203"), region("background")
    ('22:24,266,954–24,431,203', 'background')
    """
    chromosome, colon, span = name.partition(":")
    low, dash, high = span.partition("-")
    if not (colon and dash and low.isascii() and low.isdigit()):
        return name
    if not (high.isascii() and high.isdigit()) or len(span) > 24:
        return name
    return f"{chromosome}:{int(low):,}–{int(high):,}"


def allele(text: str) -> str:
    """Return an allele, cut where it is long.

    >>> allele("AC" * 20)
    'ACACACACACACACAC… (40 letters)'
    """
    return text if len(text) <= LONGEST_ALLELE + 8 else f"{text[:16]}… ({len(text)} letters)"


def reasons(refused: Mapping[str, int | None]) -> str:
    """Return how many were refused, by reason."""
    return "; ".join(f"{why}: {whole(n)}" for why, n in refused.items()) or "nobody"


def over(names: Sequence[str]) -> str:
    """Return the sets of people that something is summed over."""
    return f"by {series(names)}" if names else "everybody"


def sets(cells: Mapping[str, Any]) -> str:
    """Return how many sets can be derived and how small the smallest is."""
    number, smallest = cells["number"], cells["smallest"]
    if smallest is None:
        return "one set for each value in the data, of sizes that were not known before the run"
    if number == 1:
        return f"one set of about {smallest:,} people"
    return f"{whole(number, 'some')} sets, the smallest of about {smallest:,} people"


def columns(names: Sequence[str]) -> str:
    """Return names of columns, a numbered row of them as its first and last.

    >>> columns(["sex", *(f"part_{i}" for i in range(9))]), columns(["PC1", "PC2"])
    ('sex, part_0 to part_8', 'PC1, PC2')
    """
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(name.rstrip("0123456789"), []).append(name)
    told: list[str] = []
    for stem, row in stems.items():
        numbers = sorted(int(name[len(stem) :]) for name in row if name != stem)
        told += [f"{stem}{numbers[0]} to {stem}{numbers[-1]}"] if len(numbers) > 4 else row
    return ", ".join(told)


def span(numbers: Sequence[int]) -> str:
    """Return how many variants some models use.

    >>> span([5, 5]), span([1]), span([4, 6])
    ('5 variants each time', '1 variant each time', '4 to 6 variants')
    """
    low, high = min(numbers, default=0), max(numbers, default=0)
    if low == high:
        return f"{count(low, 'variant')} each time"
    return f"{low:,} to {high:,} variants"


def count(number: int | None, noun: str, plural: str = "") -> str:
    """Return a number of things.

    >>> count(1, "site"), count(4, "site"), count(3, "person", "people")
    ('1 site', '4 sites', '3 people')
    """
    return f"{whole(number)} {noun if number == 1 else plural or noun + 's'}"


def series(words: Sequence[Any]) -> str:
    """Return words as a list in a sentence.

    >>> series(["a", "b", "c"])
    'a, b and c'
    """
    texts = [str(word) for word in words]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def some(words: Sequence[Any], most: int = 6) -> str:
    """Return a list in a sentence that names `most` and counts the rest.

    >>> some(["a", "b", "c", "d"], 2)
    'a, b and 2 others'
    """
    rest = len(words) - most
    if rest <= 0:
        return series(words)
    return series([*words[:most], f"{rest:,} other{'s'[: rest != 1]}"])


def minus(text: str) -> str:
    """Return a number with a true minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def group(name: str) -> str:
    """Return the name of a group of an audit as it stands in a sentence; another as it is.

    >>> group("site=FIN"), group("sex=male"), group("site=FIN, sex=male")
    ('site FIN', 'sex: male', 'site FIN, sex: male')
    """
    head, comma, tail = name.rpartition(", ")
    if not name.startswith("site="):
        head, comma, tail = "", "", name
    elif not comma or "=" not in tail:
        head, comma, tail = name, "", ""
    site = f"site {head.removeprefix('site=')}" if head else ""
    return f"{site}{comma}{tail.replace('=', ': ', 1)}"


def _unsigned_zero(text: str) -> str:
    return minus(text if float(text) else text.removeprefix("-"))


METRICS: Final[Mapping[str, str]] = {
    "auc": "AUC",
    "o_e": "Observed to expected",
    "calibration_slope": "Calibration slope",
    "brier": "Brier score",
}


def metric(name: str) -> str:
    """Return the name of a figure; one that is not known as it is."""
    return METRICS.get(name, name)


def odds(epsilon: float) -> str:
    """Return what an epsilon allows likelihoods to differ by, in words.

    >>> odds(1.0), odds(30.0)
    ('2.7 times', 'more than 1,000,000 times')
    """
    if epsilon > log(1e6):
        return "more than 1,000,000 times"
    return f"{exp(epsilon):.2g} times" if epsilon < log(99) else f"{exp(epsilon):,.0f} times"
