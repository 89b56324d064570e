"""The words of consent: the Data Use Ontology as data, one extension code, and the purpose asked for.

Codes and hierarchy follow the Data Use Ontology (DUO, EBISPOT/DUO; Lawson et
al. 2021, doi:10.1016/j.xgen.2021.100028); the labels are ours. Two departures, both
for deciding rather than for classifying: general research stands below "no
restriction", and ancestry research stands below general research, which allows
any research. Health research does not include it, as in DUO.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, Self

from equipoise.errors import ConsentError, InputError

Kind = Literal["permission", "modifier", "withdrawal"]


@dataclass(frozen=True, slots=True)
class Code:
    """One word of the vocabulary; `parent` is the next wider permission."""

    shorthand: str
    curie: str
    kind: Kind
    label: str
    parent: str | None = None


WITHDRAWN: Final = "WITHDRAWN"

VOCABULARY: Final[tuple[Code, ...]] = (
    Code("NRES", "DUO:0000004", "permission", "any use"),
    Code("GRU", "DUO:0000042", "permission", "any research", "NRES"),
    Code("HMB", "DUO:0000006", "permission", "health research, ancestry not included", "GRU"),
    Code("DS", "DUO:0000007", "permission", "research on the named disease", "HMB"),
    Code("POA", "DUO:0000011", "permission", "ancestry research and nothing else", "GRU"),
    Code("RS", "DUO:0000012", "modifier", "only research of the named type"),
    Code("NMDS", "DUO:0000015", "modifier", "no development of general methods"),
    Code("GSO", "DUO:0000016", "modifier", "only studies that use genetic data"),
    Code("NPUNCU", "DUO:0000018", "modifier", "only by non-profit bodies, no commercial use"),
    Code("PUB", "DUO:0000019", "modifier", "results must be published"),
    Code("COL", "DUO:0000020", "modifier", "must work with the first investigators"),
    Code("IRB", "DUO:0000021", "modifier", "an ethics approval must be shown"),
    Code("GS", "DUO:0000022", "modifier", "only in the named region"),
    Code("MOR", "DUO:0000024", "modifier", "nothing published before the named date"),
    Code("TS", "DUO:0000025", "modifier", "use ends on the named date"),
    Code("US", "DUO:0000026", "modifier", "only by approved users"),
    Code("PS", "DUO:0000027", "modifier", "only in the approved project"),
    Code("IS", "DUO:0000028", "modifier", "only in the approved institution"),
    Code("RTN", "DUO:0000029", "modifier", "derived data must be given back"),
    Code("CC", "DUO:0000043", "modifier", "use in care is allowed too"),
    Code("NPOA", "DUO:0000044", "modifier", "no ancestry research"),
    Code("NPU", "DUO:0000045", "modifier", "only by non-profit bodies"),
    Code("NCU", "DUO:0000046", "modifier", "no commercial use"),
    Code(WITHDRAWN, "EQP:WITHDRAWN", "withdrawal", "the person withdrew on this date"),
)

# Obsolete in DUO itself. The roots of its tree (DUO:0000001, DUO:0000017) say
# nothing that could be agreed to and are simply not in the vocabulary.
DEPRECATED: Final = frozenset(
    {"DUO:0000002", "DUO:0000003", "DUO:0000005", "DUO:0000014", "GRU-CC", "RU"}
)

PURPOSES: Final = ("GRU", "HMB", "DS", "POA")

NEVER: Final = frozenset({"UNDERWRITING", "EMPLOYMENT", "INSURANCE"})

# A bare WITHDRAWN is understood as well: a withdrawal must not fail by its spelling.
_BY_NAME: Final = {name: code for code in VOCABULARY for name in (code.shorthand, code.curie)}

_CURIE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*:\S+")
_ISO_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def find(code: str) -> Code | None:
    """Give the entry for a shorthand or a CURIE, or None for a word that is not in use.

    >>> find("DUO:0000006").shorthand
    'HMB'
    >>> find("DUO:00000044") is None      # one nought too many, as in DUO's own OWL file
    True
    """
    return _BY_NAME.get(code)


def wider(shorthand: str) -> tuple[str, ...]:
    """Give the permission itself and every wider one, narrowest first.

    >>> wider("DS")
    ('DS', 'HMB', 'GRU', 'NRES')
    """
    line: list[str] = []
    step: str | None = shorthand
    while step is not None:
        line.append(step)
        step = _BY_NAME[step].parent
    return tuple(line)


def day(text: str) -> date | None:
    """Give the date written `YYYY-MM-DD`, or None for anything else.

    >>> day("2026-11-01"), day("20261101"), day("2026-02-30")
    (datetime.date(2026, 11, 1), None, None)
    """
    if not _ISO_DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Term:
    """One term of one person's consent, as written; `value` is empty where there is none."""

    code: str
    value: str
    date: date


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the data are asked for; `disease` is a CURIE for DS and None otherwise.

    Raises ConsentError for what is never a purpose, InputError for what is no
    purpose in this vocabulary.
    """

    code: str
    disease: str | None = None

    def __post_init__(self) -> None:
        _refuse_never(self.code)
        if self.code not in PURPOSES:
            raise InputError(
                f"not a purpose this package knows; expected one of {', '.join(PURPOSES)}, where DS"
                " is followed by a disease, such as DS MONDO:0005015; correct the purpose"
            )
        if (self.code == "DS") != (self.disease is not None) or (
            self.disease is not None and not _CURIE.fullmatch(self.disease)
        ):
            raise InputError(
                "a disease is named by DS and by DS only; expected a form like DS MONDO:0005015,"
                " or HMB alone; correct the purpose"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Give the purpose written in a study file.

        >>> Purpose.parse("DS MONDO:0005015")
        Purpose(code='DS', disease='MONDO:0005015')
        >>> Purpose.parse("DUO:0000006")
        Purpose(code='HMB', disease=None)
        >>> Purpose.parse("UNDERWRITING")
        Traceback (most recent call last):
        equipoise.errors.ConsentError: underwriting, insurance and employment are never a purpose, \
whatever people consented to; expected research or care; this study cannot run
        """
        for word in re.split(r"[^A-Za-z]+", text):
            _refuse_never(word)
        code, _, disease = text.strip().partition(" ")
        entry = find(code)
        return cls(code if entry is None else entry.shorthand, disease.strip() or None)

    def __str__(self) -> str:
        """Give the form that `parse` reads."""
        return self.code if self.disease is None else f"{self.code} {self.disease}"


def _refuse_never(word: str) -> None:
    if word.upper() in NEVER:
        raise ConsentError(
            "underwriting, insurance and employment are never a purpose, whatever people"
            " consented to; expected research or care; this study cannot run"
        )
