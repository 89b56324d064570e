"""Whether one person's consent covers one purpose on one day: pure, and deny by default.

What is decided here, and DUO leaves open:

- A withdrawal ends every permission given on or before its date. A permission
  dated later is a new one. Restrictions outlive a withdrawal: only more
  consent, never a withdrawal, may open anything.
- Of several permissions the newest date is in force; a newer form replaces the
  older one. Permissions of one date must all cover the purpose, but any of the
  diseases of several DS terms suffices.
- Modifiers are conjunctive and bind from their date on, whatever permission
  came later.
- A term dated after `as_of` does not count yet. A code that is unknown or
  deprecated refuses at any date: nobody here can say what the person meant.
- GSO is met by every study of this package, since each reads genotypes; it
  stays an obligation for what is made of the results. NMDS lets a purpose pass
  that is narrower than any research, with the obligation; for general research
  a person decides, and methods research is refused.
- CC widens to care, which is no purpose here: it neither grants nor restricts.
- NPU, NCU and NPUNCU need to be told who asks; without that a person decides.
- Free-text values (US, PS, IS, RS, GS) are never compared: a person finds them
  met, and says so in `Request.met`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final, Literal

from equipoise.consent.terms import DEPRECATED, Purpose, Term, day, find, wider

Outcome = Literal["admit", "admit with obligations", "needs a person", "refuse"]

OUTCOMES: Final[tuple[Outcome, ...]] = (
    "admit",
    "admit with obligations",
    "needs a person",
    "refuse",
)
REASONS: Final = (
    "covered",
    "withdrawn",
    "unknown code",
    "deprecated code",
    "no permission",
    "not yet given",
    "other disease",
    "not for this purpose",
    "ancestry only",
    "ancestry prohibited",
    "expired",
    "commercial use",
    "methods research",
    "published too early",
    "needs a person",
)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one person; `reason` is one of `REASONS`, `obligations` is sorted."""

    outcome: Outcome
    reason: str
    obligations: tuple[str, ...] = ()

    @property
    def admits(self) -> bool:
        """Say whether the person's data may be used."""
        return self.outcome in ("admit", "admit with obligations")


@dataclass(frozen=True, slots=True)
class Request:
    """What is known about who asks; None where it is not known.

    `met` holds (shorthand, value) of the conditions that a person at the site
    found met by this request: of IRB, COL, US, PS, IS, RS and GS.
    """

    commercial: bool | None = None
    for_profit: bool | None = None
    methods_research: bool | None = None
    publication: date | None = None
    met: frozenset[tuple[str, str]] = frozenset()


_ADMIT: Final = Decision("admit", "covered")
_PERSON: Final = Decision("needs a person", "needs a person")
_NOTHING_KNOWN: Final = Request()
_NO_ANCESTORS: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


def decide(
    terms: Sequence[Term],
    purpose: Purpose,
    as_of: date,
    request: Request = _NOTHING_KNOWN,
    ancestors: Mapping[str, frozenset[str]] = _NO_ANCESTORS,
) -> Decision:
    """Give the decision for one person, whose terms may come in any order.

    `ancestors` maps a disease to all the wider diseases above it; without it a
    disease is only itself.

    >>> signed = date(2020, 1, 1)
    >>> decide([Term("GRU", "", signed)], Purpose("HMB"), date(2026, 1, 1)).outcome
    'admit'
    >>> decide([Term("HMB", "", signed)], Purpose("GRU"), date(2026, 1, 1)).reason
    'not for this purpose'
    >>> decide([Term("HMB", "", signed), Term("PUB", "", signed)], Purpose("HMB"), signed)
    Decision(outcome='admit with obligations', reason='covered', obligations=('PUB: publish the results',))
    """
    words = {term.code for term in terms}
    now = [(entry.shorthand, t) for t in terms if (entry := find(t.code)) and t.date <= as_of]
    withdrawn = max((t.date for code, t in now if code == "WITHDRAWN"), default=date.min)
    given = [(c, t) for c, t in now if _is_permission(c) and t.date > withdrawn]
    if withdrawn > date.min and not given:
        return _refuse("withdrawn")
    if words & DEPRECATED:
        return _refuse("deprecated code")
    if any(find(word) is None for word in words):
        return _refuse("unknown code")
    if not given:
        later = any(_is_permission(t.code) and t.date > as_of for t in terms)
        return _refuse("not yet given" if later else "no permission")
    newest = max(t.date for _, t in given)
    in_force = [(c, t.value) for c, t in given if t.date == newest]
    grant = _cover(in_force, purpose, ancestors)
    return _strictest([grant, *_modify(now, purpose, as_of, request)])


def _is_permission(code: str) -> bool:
    entry = find(code)
    return entry is not None and entry.kind == "permission"


def _refuse(reason: str) -> Decision:
    return Decision("refuse", reason)


def _oblige(text: str) -> Decision:
    return Decision("admit with obligations", "covered", (text,))


def _strictest(decisions: Iterable[Decision]) -> Decision:
    """Give the first of the strictest decisions, with the obligations of all if it admits."""
    found = list(decisions)
    worst = max(found, key=lambda decision: OUTCOMES.index(decision.outcome))
    if not worst.admits:
        return worst
    obligations = {text for decision in found for text in decision.obligations}
    return Decision(worst.outcome, worst.reason, tuple(sorted(obligations)))


def _cover(
    in_force: Iterable[tuple[str, str]],
    purpose: Purpose,
    ancestors: Mapping[str, frozenset[str]],
) -> Decision:
    """Admit if each kind of permission in force covers the purpose."""
    diseases: dict[str, set[str]] = {}
    for code, value in in_force:
        diseases.setdefault(code, set()).add(value)
    for code in sorted(diseases):
        if code not in wider(purpose.code):
            return _refuse(_why_not(code, purpose))
        if code == "DS" and purpose.disease is not None:
            line = {purpose.disease} | ancestors.get(purpose.disease, frozenset())
            if not line & diseases[code]:
                return _refuse("other disease")
    return _ADMIT


def _why_not(code: str, purpose: Purpose) -> str:
    if code == "POA":
        return "ancestry only"
    if code == "DS" and purpose.code == "HMB":
        return "other disease"
    return "not for this purpose"


def _modify(
    now: Iterable[tuple[str, Term]], purpose: Purpose, as_of: date, request: Request
) -> Iterable[Decision]:
    """Give what each modifier says; one without a rule refuses by KeyError, never passes."""
    for code, term in sorted(now, key=lambda pair: pair[0]):
        entry = find(code)
        if entry is not None and entry.kind == "modifier":
            yield _RULES[code](_Case(code, term.value, purpose, as_of, request))


@dataclass(frozen=True, slots=True)
class _Case:
    """One modifier and what it is to be held against."""

    code: str
    value: str
    purpose: Purpose
    as_of: date
    request: Request


def _ancestry(case: _Case) -> Decision:
    if case.purpose.code == "POA":
        return _refuse("ancestry prohibited")
    if case.purpose.code == "GRU":
        return _oblige("NPOA: no ancestry research")
    return _ADMIT


def _methods(case: _Case) -> Decision:
    if case.request.methods_research:
        return _refuse("methods research")
    if case.purpose.code == "GRU" and case.request.methods_research is None:
        return _PERSON
    return _oblige("NMDS: no development of general methods")


def _commerce(case: _Case) -> Decision:
    asked: list[bool | None] = []
    if case.code in ("NPU", "NPUNCU"):
        asked.append(case.request.for_profit)
    if case.code in ("NCU", "NPUNCU"):
        asked.append(case.request.commercial)
    if any(asked):
        return _refuse("commercial use")
    if None in asked:
        return _PERSON
    return _oblige(f"{case.code}: {_COMMERCE[case.code]}")


def _moratorium(case: _Case) -> Decision:
    until = day(case.value)
    if until is None:
        return _PERSON
    if until <= case.as_of:
        return _ADMIT
    if case.request.publication is not None and case.request.publication < until:
        return _refuse("published too early")
    return _oblige(f"MOR: publish nothing before {until.isoformat()}")


def _time_limit(case: _Case) -> Decision:
    """Take the date as the last day of use; a number of months is for a person to read."""
    last = day(case.value)
    if last is None:
        return _PERSON
    if last < case.as_of:
        return _refuse("expired")
    return _oblige(f"TS: use ends after {last.isoformat()}")


def _found_met(case: _Case) -> Decision:
    if (case.code, case.value) in case.request.met:
        return _oblige(f"{case.code}: {_CONDITIONS[case.code]}")
    return _PERSON


def _collaborate(case: _Case) -> Decision:
    if (case.code, case.value) in case.request.met:
        return _ADMIT
    return _oblige("COL: agree on collaboration with the first investigators")


_COMMERCE: Final = {
    "NPU": "use by non-profit bodies only",
    "NCU": "no commercial use",
    "NPUNCU": "use by non-profit bodies only, no commercial use",
}
_CONDITIONS: Final = {
    "IRB": "keep the ethics approval valid",
    "GS": "use in the named region only",
    "US": "use by the approved users only",
    "PS": "use in the approved project only",
    "IS": "use in the approved institution only",
    "RS": "research of the named type only",
}
_RULES: Final[Mapping[str, Callable[[_Case], Decision]]] = {
    "NPOA": _ancestry,
    "NMDS": _methods,
    "MOR": _moratorium,
    "TS": _time_limit,
    "COL": _collaborate,
    "CC": lambda _: _ADMIT,
    "PUB": lambda _: _oblige("PUB: publish the results"),
    "RTN": lambda _: _oblige("RTN: give derived data back"),
    "GSO": lambda _: _oblige("GSO: use in studies of genetic data only"),
    **dict.fromkeys(_COMMERCE, _commerce),
    **dict.fromkeys(_CONDITIONS, _found_met),
}
