"""Deny by default: the table of cases, and the laws that hold for any consent."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.consent.decide import OUTCOMES, REASONS, Decision, Request, decide
from equipoise.consent.terms import DEPRECATED, VOCABULARY, Code, Purpose, Term

SIGNED = date(2020, 1, 1)
TODAY = date(2026, 1, 1)
ANCESTORS = {"X:2": frozenset({"X:1"}), "X:3": frozenset({"X:2", "X:1"})}


def terms(*texts: str) -> list[Term]:
    """Give terms from `CODE[=value][@date]`."""
    found: list[Term] = []
    for text in texts:
        body, _, when = text.partition("@")
        code, _, value = body.partition("=")
        found.append(Term(code, value, date.fromisoformat(when) if when else SIGNED))
    return found


def ask(purpose: str, *texts: str, request: Request | None = None) -> Decision:
    return decide(terms(*texts), Purpose.parse(purpose), TODAY, request or Request(), ANCESTORS)


@pytest.mark.parametrize(
    ("purpose", "consent", "reason"),
    [
        ("GRU", "NRES", "covered"),
        ("GRU", "GRU", "covered"),
        ("HMB", "GRU", "covered"),
        ("HMB", "DUO:0000042", "covered"),
        ("DS X:1", "HMB", "covered"),
        ("POA", "GRU", "covered"),
        ("POA", "POA", "covered"),
        ("DS X:1", "DS=X:1", "covered"),
        ("DS X:3", "DS=X:1", "covered"),
        ("DS X:1", "DS=X:3", "other disease"),
        ("DS X:9", "DS=X:1", "other disease"),
        ("DS X:1", "DS", "other disease"),
        ("HMB", "DS=X:1", "other disease"),
        ("GRU", "DS=X:1", "not for this purpose"),
        ("GRU", "HMB", "not for this purpose"),
        ("GRU", "POA", "ancestry only"),
        ("HMB", "POA", "ancestry only"),
        ("POA", "HMB", "not for this purpose"),
        ("POA", "DS=X:1", "not for this purpose"),
        ("HMB", "CC", "no permission"),
        ("HMB", "PUB", "no permission"),
        ("HMB", "GRU-CC", "deprecated code"),
        ("HMB", "hmb", "unknown code"),
        ("HMB", "DUO:0000001", "unknown code"),
        ("HMB", "HMB@2026-01-02", "not yet given"),
        ("HMB", "WITHDRAWN", "withdrawn"),
    ],
)
def test_a_purpose_is_at_or_below_the_grant_or_is_refused(
    purpose: str, consent: str, reason: str
) -> None:
    decision = ask(purpose, consent)
    assert decision == Decision("admit" if reason == "covered" else "refuse", reason)


def test_who_says_nothing_is_refused() -> None:
    assert ask("HMB") == Decision("refuse", "no permission")


@pytest.mark.parametrize(
    ("consent", "outcome", "reason"),
    [
        (("HMB", "EQP:WITHDRAWN@2020-01-01"), "refuse", "withdrawn"),
        (("HMB", "EQP:WITHDRAWN@2026-01-01"), "refuse", "withdrawn"),
        (("HMB", "EQP:WITHDRAWN@2026-01-02"), "admit", "covered"),
        (("HMB", "WITHDRAWN@2021-01-01", "HMB@2021-01-01"), "refuse", "withdrawn"),
        (("HMB", "WITHDRAWN@2021-01-01", "HMB@2021-01-02"), "admit", "covered"),
        (("HMB", "WITHDRAWN@2021-01-01", "HMB@2027-01-01"), "refuse", "withdrawn"),
        (("GRU", "WITHDRAWN@2021-01-01", "DS=X:1@2022-01-01"), "refuse", "other disease"),
        (("HMB@2021-01-01", "WITHDRAWN", "WITHDRAWN@2022-01-01"), "refuse", "withdrawn"),
        (("TS=2020-06-01", "WITHDRAWN@2021-01-01", "HMB@2022-01-01"), "refuse", "expired"),
    ],
)
def test_a_withdrawal_ends_what_came_before_it(
    consent: tuple[str, ...], outcome: str, reason: str
) -> None:
    decision = ask("HMB", *consent)
    assert (decision.outcome, decision.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("purpose", "consent", "admits"),
    [
        ("DS X:1", ("DS=X:8", "DS=X:1"), True),
        ("HMB", ("GRU", "DS=X:1"), False),
        ("DS X:1", ("GRU", "DS=X:1"), True),
        ("HMB", ("HMB", "POA"), False),
        ("POA", ("GRU", "POA"), True),
        ("HMB", ("GRU", "DS=X:1@2021-01-01"), False),
        ("HMB", ("DS=X:1", "GRU@2021-01-01"), True),
        ("HMB", ("DS=X:1@2027-01-01", "GRU"), True),
    ],
)
def test_the_newest_form_is_in_force_and_all_of_it(
    purpose: str, consent: tuple[str, ...], admits: bool
) -> None:
    assert ask(purpose, *consent).admits is admits


def test_no_ancestry_research_binds_ancestry_purposes_and_general_ones() -> None:
    assert ask("POA", "GRU", "NPOA").reason == "ancestry prohibited"
    assert ask("GRU", "GRU", "NPOA").obligations == ("NPOA: no ancestry research",)
    assert ask("HMB", "GRU", "NPOA") == Decision("admit", "covered")
    assert ask("POA", "GRU", "NPOA@2027-01-01").admits


@pytest.mark.parametrize("code", ["NPU", "NCU", "NPUNCU"])
def test_commerce_is_refused_when_known_and_asked_about_when_not(code: str) -> None:
    fair = Request(commercial=False, for_profit=False)
    firm = Request(commercial=True, for_profit=True)
    assert ask("HMB", "HMB", code).outcome == "needs a person"
    assert ask("HMB", "HMB", code, request=fair).outcome == "admit with obligations"
    assert ask("HMB", "HMB", code, request=firm).reason == "commercial use"


def test_half_an_answer_does_not_meet_both_conditions() -> None:
    half = Request(for_profit=False)
    assert ask("HMB", "HMB", "NPUNCU", request=half).outcome == "needs a person"
    assert ask("HMB", "HMB", "NPU", request=half).admits
    assert ask("HMB", "HMB", "NCU", request=half).outcome == "needs a person"


@pytest.mark.parametrize("code", ["US", "PS", "IS", "RS", "GS", "IRB"])
def test_a_condition_needs_a_person_until_one_finds_exactly_it_met(code: str) -> None:
    consent = ("HMB", f"{code}=here")
    met = Request(met=frozenset({(code, "here")}))
    other = Request(met=frozenset({(code, "Here"), (code, "")}))
    assert ask("HMB", *consent).outcome == "needs a person"
    assert ask("HMB", *consent, request=other).outcome == "needs a person"
    assert ask("HMB", *consent, request=met).outcome == "admit with obligations"
    assert ask("HMB", *consent, f"{code}=there", request=met).outcome == "needs a person"


@pytest.mark.parametrize("code", ["PUB", "RTN", "COL", "GSO", "NMDS"])
def test_promises_become_obligations(code: str) -> None:
    decision = ask("HMB", "HMB", code)
    assert decision.outcome == "admit with obligations"
    assert decision.obligations[0].startswith(f"{code}: ")


def test_methods_research_is_refused_or_asked_about() -> None:
    assert (
        ask("HMB", "HMB", "NMDS", request=Request(methods_research=True)).reason
        == "methods research"
    )
    assert ask("GRU", "GRU", "NMDS").outcome == "needs a person"
    assert ask("GRU", "GRU", "NMDS", request=Request(methods_research=False)).admits


def test_an_agreed_collaboration_leaves_no_obligation() -> None:
    agreed = Request(met=frozenset({("COL", "")}))
    assert ask("HMB", "HMB", "COL", request=agreed) == Decision("admit", "covered")


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("2025-12-31", "refuse"),
        ("2026-01-01", "admit with obligations"),
        ("2027-01-01", "admit with obligations"),
        ("24", "needs a person"),
        ("", "needs a person"),
    ],
)
def test_a_time_limit_ends_after_its_date(value: str, outcome: str) -> None:
    assert ask("HMB", "HMB", f"TS={value}").outcome == outcome


@pytest.mark.parametrize(
    ("value", "publication", "outcome"),
    [
        ("2026-01-01", None, "admit"),
        ("2026-06-01", None, "admit with obligations"),
        ("2026-06-01", date(2026, 5, 31), "refuse"),
        ("2026-06-01", date(2026, 6, 1), "admit with obligations"),
        ("soon", None, "needs a person"),
    ],
)
def test_a_moratorium_holds_until_its_date(
    value: str, publication: date | None, outcome: str
) -> None:
    decision = ask("HMB", "HMB", f"MOR={value}", request=Request(publication=publication))
    assert decision.outcome == outcome


def test_the_strictest_modifier_decides() -> None:
    assert ask("HMB", "HMB", "PUB", "US", "TS=2020-02-02").reason == "expired"
    assert ask("HMB", "HMB", "PUB", "US").outcome == "needs a person"
    assert len(ask("HMB", "HMB", "PUB", "RTN", "PUB").obligations) == 2


DAYS = st.dates(SIGNED, SIGNED + timedelta(days=6))
VALUES = st.sampled_from(["", "X:1", "X:2", "X:3", "2020-01-02", "2020-01-05", "here"])
CODES = st.sampled_from([name for code in VOCABULARY for name in (code.shorthand, code.curie)])
TERM = st.builds(Term, CODES, VALUES, DAYS)
GRANT = st.builds(Term, st.sampled_from(["NRES", "GRU", "HMB", "DS", "POA"]), VALUES, DAYS)
CONSENT = st.tuples(st.lists(GRANT, max_size=3), st.lists(TERM, max_size=4)).map(
    lambda pair: pair[0] + pair[1]
)
PURPOSE = st.sampled_from(["GRU", "HMB", "DS X:1", "DS X:2", "DS X:3", "POA"]).map(Purpose.parse)
MAYBE = st.none() | st.booleans()
MET = st.frozensets(st.tuples(st.sampled_from(["US", "IRB", "COL", "GS"]), VALUES), max_size=4)
REQUEST = st.builds(Request, MAYBE, MAYBE, MAYBE, st.none() | DAYS, MET)
RESTRICTION = TERM.filter(
    lambda term: (
        term.code
        not in {n for c in VOCABULARY if c.kind == "permission" for n in (c.shorthand, c.curie)}
    )
)


def rank(decision: Decision) -> int:
    return OUTCOMES.index(decision.outcome)


@given(CONSENT, PURPOSE, DAYS, REQUEST)
def test_every_answer_is_of_the_declared_form(
    consent: list[Term], purpose: Purpose, as_of: date, request_: Request
) -> None:
    decision = decide(consent, purpose, as_of, request_, ANCESTORS)
    assert decision.reason in REASONS
    assert (decision.reason == "covered") == decision.admits
    assert bool(decision.obligations) == (decision.outcome == "admit with obligations")


@settings(max_examples=150)
@given(CONSENT, RESTRICTION, PURPOSE, DAYS, REQUEST)
def test_adding_a_restriction_never_makes_it_more_permissive(
    consent: list[Term], more: Term, purpose: Purpose, as_of: date, request_: Request
) -> None:
    before = decide(consent, purpose, as_of, request_, ANCESTORS)
    after = decide([*consent, more], purpose, as_of, request_, ANCESTORS)
    assert rank(after) >= rank(before)
    if after.admits:
        assert set(before.obligations) <= set(after.obligations)


@settings(max_examples=150)
@given(CONSENT, DAYS, REQUEST)
def test_a_more_specific_purpose_is_never_less_admissible(
    consent: list[Term], as_of: date, request_: Request
) -> None:
    chain = [Purpose.parse(text) for text in ("GRU", "HMB", "DS X:1", "DS X:2", "DS X:3")]
    ranks = [rank(decide(consent, purpose, as_of, request_, ANCESTORS)) for purpose in chain]
    assert ranks == sorted(ranks, reverse=True)


@settings(max_examples=60)
@given(
    CONSENT, PURPOSE, DAYS, REQUEST, st.text(max_size=8) | st.sampled_from(sorted(DEPRECATED)), DAYS
)
def test_an_unknown_code_always_denies(
    consent: list[Term], purpose: Purpose, as_of: date, request_: Request, code: str, when: date
) -> None:
    strange = Term(f"{code}?" if code not in DEPRECATED else code, "", when)
    decision = decide([*consent, strange], purpose, as_of, request_, ANCESTORS)
    assert decision.outcome == "refuse"


@given(CONSENT, PURPOSE, DAYS, REQUEST)
def test_a_withdrawal_always_wins_on_its_date(
    consent: list[Term], purpose: Purpose, as_of: date, request_: Request
) -> None:
    withdrawn = [*consent, Term("EQP:WITHDRAWN", "", as_of)]
    assert decide(withdrawn, purpose, as_of, request_) == Decision("refuse", "withdrawn")


@given(st.permutations(terms("GRU", "DS=X:1@2021-01-01", "PUB", "NPOA", "WITHDRAWN")), PURPOSE)
def test_the_order_of_terms_is_irrelevant(consent: list[Term], purpose: Purpose) -> None:
    assert decide(consent, purpose, TODAY) == decide(sorted(consent, key=str), purpose, TODAY)


@given(st.lists(TERM.filter(lambda term: term.date > SIGNED), max_size=3), PURPOSE)
def test_terms_of_a_later_date_do_not_count(later: list[Term], purpose: Purpose) -> None:
    now = decide(terms("GRU", "PUB"), purpose, SIGNED)
    assert decide([*terms("GRU", "PUB"), *later], purpose, SIGNED) == now


@pytest.mark.parametrize(
    "code", [c for c in VOCABULARY if c.kind == "modifier"], ids=lambda c: c.shorthand
)
def test_shorthand_and_curie_mean_the_same(code: Code) -> None:
    short, curie = code.shorthand, code.curie
    assert ask("POA", "GRU", short) == ask("POA", "DUO:0000042", curie)
