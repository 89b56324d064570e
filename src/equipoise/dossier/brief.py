"""The answer in brief: what the figures come to, in plain sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.dossier import findings
from equipoise.dossier.leaks import worst
from equipoise.dossier.manhattan import GENOME_WIDE
from equipoise.dossier.words import (
    count,
    decimal,
    group,
    interval,
    metric,
    odds,
    of_hundred,
    percent,
    region,
    series,
    some,
    whole,
    within,
)
from equipoise.fairness.verdict import (
    EQUIVALENCE_SHOWN,
    GAP_SHOWN,
    INCONCLUSIVE,
    NOT_ESTIMABLE,
)

Figure = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question that a reader has, and its answer, sentence by sentence; the first is bold."""

    question: str
    head: str
    more: tuple[str, ...] = ()


def answers(results: Mapping[str, Any]) -> tuple[Answer, ...]:
    """Return what the dossier comes to, in the order of its sections."""
    if results["model"] is None:
        return (found(results), noised(results["disclosure"]), left(results["disclosure"]))
    return (
        works(results["evaluation"]),
        for_whom(results),
        alike(results["audit"]),
        rests_on(results),
        unsure(results),
        left(results["disclosure"]),
    )


def found(results: Mapping[str, Any]) -> Answer:
    """Return what the scan of a study without a model found."""
    question, scan = "What was found?", results["association"]
    beyond = [row for row in scan["top"] if row["neg_log_10_p_value"] > GENOME_WIDE]
    if not scan["tested"]:
        return Answer(question, "Nothing could be tested.")
    tested = f"{count(scan['tested'], 'variant')} tested."
    if not beyond:
        return Answer(
            question, "No link beyond what a genome-wide search may find by chance.", (tested,)
        )
    best = beyond[0]
    at = f"{best['chromosome']}:{best['base_pair_location']:,}"
    many = "or more " if len(beyond) == len(scan["top"]) else ""
    head = (
        f"A link with the trait at {at}."
        if len(beyond) == 1
        else (f"Links with the trait at {len(beyond)} {many}variants, the strongest at {at}.")
    )
    return Answer(question, head, (tested,))


def noised(disclosure: Mapping[str, Any]) -> Answer:
    """Return what the noise in the totals comes to."""
    told = within(disclosure, "privacy")
    if not told:
        return Answer("Is there noise in it?", "No: totals are exact.")
    more = (
        f"Whatever was published would have been at most {odds(told['epsilon'])} as likely had one"
        f" person's data been empty, but for a chance of {told['delta']:g}.",
        "There is no model: what it takes would have been noise.",
    )
    head = f"Yes: noise was added to every total, epsilon {told['epsilon']:g}, delta {told['delta']:g}."
    return Answer("Is there noise in it?", head, more)


def works(evaluation: Mapping[str, Any]) -> Answer:
    """Return whether the model tells people with the trait from people without it."""
    question = "Does the model work?"
    auc: Figure = evaluation["overall"]["auc"]
    if auc["value"] is None:
        return Answer(question, "This study cannot tell.", (f"Reason: {_reason(auc)}.",))
    pairs = (
        "In pairs of one person with the trait and one without, the person with it gets the higher"
        f" score in {of_hundred(auc['value'])} pairs (AUC {decimal(auc['value'])}, 95 % interval"
        f" {interval(auc)}; a toss of a coin gives 0.5)."
    )
    return Answer(question, _verdict(auc), (pairs, *_beside(evaluation), *_calibrated(evaluation)))


def _verdict(auc: Figure) -> str:
    low, high = auc["low"], auc["high"]
    if low is None or high is None:
        return "Its accuracy is known without an interval."
    if low > 0.5:
        return "Yes, better than chance, on people whom it was not trained on."
    if high < 0.5:
        return "No: it does worse than chance."
    return "Not shown: what was seen could be chance."


def _beside(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the model stands to the best single variant."""
    auc: Figure = evaluation["overall"]["auc"]
    single = within(evaluation, "best_single_variant", "overall").get("auc")
    if not single or single["value"] is None:
        return
    said = f"The best single variant alone reaches {decimal(single['value'])} ({interval(single)})"
    if None in (single["low"], single["high"], auc["low"], auc["high"]):
        yield f"{said}."
    elif auc["low"] > single["high"]:
        yield f"{said}, less than the model."
    elif auc["high"] < single["low"]:
        yield f"{said}, more than the model: the model is not worth its other variants."
    else:
        yield f"{said}. The intervals overlap: it is not shown that the model does better than that."


def _calibrated(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yield whether the probabilities are right on average."""
    ratio: Figure = within(evaluation, "overall", "o_e")
    if ratio.get("value") is None:
        return
    said = f"For every 100 people with the trait whom it expects, {100 * ratio['value']:.0f} were there"
    if ratio.get("low") is None or ratio.get("high") is None:
        yield f"{said}."
        return
    ends = f"95 % interval {100 * ratio['low']:.0f} to {100 * ratio['high']:.0f}"
    fits = ratio["low"] <= 1 <= ratio["high"]
    rest = "which agrees with probabilities that are right on average" if fits else ""
    rest = rest or (
        "so its probabilities are too low on average"
        if ratio["value"] > 1
        else "so its probabilities are too high on average"
    )
    yield f"{said} ({ends}), {rest}."


def for_whom(results: Mapping[str, Any]) -> Answer:
    """Return on whom the model was tried."""
    auc: Figure = results["evaluation"]["overall"]["auc"]
    sites: Mapping[str, Any] = results["evaluation"]["by"].get("site", {})
    events = f", {auc['events']:,} of them with the trait" if auc["events"] is not None else ""
    people = "an unknown number of" if auc["n"] is None else f"{auc['n']:,}"
    head = (
        f"It was tried on {people} people at {count(len(results['participants']), 'site')}{events}."
    )
    return Answer("For whom?", head, tuple(_by_site(sites)))


def _by_site(sites: Mapping[str, Any]) -> Iterator[str]:
    known = {name: f["auc"] for name, f in sites.items() if f["auc"]["value"] is not None}
    if len(known) > 1:
        low = min(known, key=lambda name: known[name]["value"])
        high = max(known, key=lambda name: known[name]["value"])
        if known[low]["value"] == known[high]["value"]:
            yield f"The AUC is {decimal(known[low]['value'])} at each site where it could be measured."
        else:
            yield (
                f"By site the AUC runs from {decimal(known[low]['value'])} ({low}) to"
                f" {decimal(known[high]['value'])} ({high})."
            )
    none = [name for name in sites if name not in known]
    if none:
        yield f"It could not be measured on its own at {some(none)}."
    outside = [name for name, figures in sites.items() if figures.get("external")]
    if outside:
        yield f"{some(outside)} took no part in the training at all."
    yield "For people elsewhere, and of other ancestry, it says nothing."


def alike(audit: Mapping[str, Any] | None) -> Answer:
    """Return whether the model does equally well for all groups."""
    question = "Is it equally good for everybody?"
    if audit is None:
        return Answer(question, "Not examined: the study asked for no audit.")
    found: Sequence[Mapping[str, Any]] = audit["findings"] or ()
    if not found:
        return Answer(question, "Not known: the audit has no findings.")
    number = findings.tally(found)
    gaps = [f for f in found if f["verdict"] == GAP_SHOWN]
    if gaps:
        head = f"No: {count(len(gaps), 'gap')} between groups {'is' if len(gaps) == 1 else 'are'} shown."
        names = [f"{metric(f['metric'])} of {group(f['group'])}" for f in gaps]
        more = (f"Shown for {some(names)}.",)
    elif number[EQUIVALENCE_SHOWN] == len(found):
        head, more = "Yes, within the margins of the study, for every group compared.", ()
    else:
        head = "No gap is shown, but that is not the same as no gap."
        more = ()
    rest = [
        f"{number[verdict]} {said}"
        for verdict, said in (
            (EQUIVALENCE_SHOWN, "within the margin"),
            (INCONCLUSIVE, "undecided, with too few people to tell"),
            (NOT_ESTIMABLE, "not estimable"),
        )
        if number[verdict]
    ]
    told = f"Of {count(len(found), 'finding')}, {series(rest)}." if rest else ""
    return Answer(question, head, (*more, *((told,) if told else ())))


def rests_on(results: Mapping[str, Any]) -> Answer:
    """Return what in the genome the model looks at."""
    question = "What does it look at?"
    model = results["model"]
    used = len(model["variants"])
    if not used:
        return Answer(question, "At no variant: none was chosen.", ())
    loci = model["loci"]
    head = f"At {count(used, 'variant')}" + (
        f" in {count(len(loci), 'region')} of the genome." if loci else "."
    )
    parts = [p for p in results["explanation"]["parts"] if p["share_with"] is not None]
    more: tuple[str, ...] = ()
    if parts:
        first = max(parts, key=lambda part: part["share_with"])
        share = percent(first["share_with"])
        said = f"In people predicted to have the trait, {share} of the evidence comes from"
        more = (f"{said} {_part(first)}.",)
    return Answer(question, head, more)


def _part(part: Mapping[str, Any]) -> str:
    if part["kind"] == "locus":
        return f"the region {region(part['part'])}"
    return f"the part “{part['part']}”"


def unsure(results: Mapping[str, Any]) -> Answer:
    """Return what the figures leave open."""
    overall = results["evaluation"]["overall"]["auc"]
    more = list(_unsure(results))
    events = overall["events"]
    if events is None:
        head = "Much: the number of people with the trait is itself withheld."
    elif events < 100:
        head = f"Much: {count(events, 'person', 'people')} with the trait are few."
    else:
        head = "What is listed here, and under “Limits”."
    return Answer("What is not sure?", head, tuple(more))


def _unsure(results: Mapping[str, Any]) -> Iterator[str]:
    sites: Mapping[str, Any] = results["evaluation"]["by"].get("site", {})
    wide = {
        name: f["auc"]["high"] - f["auc"]["low"]
        for name, f in sites.items()
        if f["auc"]["low"] is not None and f["auc"]["high"] is not None
    }
    if wide:
        name = max(wide, key=lambda site: wide[site])
        yield f"The figure of a single site is loose: at {name} the 95 % interval is {interval(sites[name]['auc'])}."
    slope = within(results, "evaluation", "overall", "calibration_slope")
    if slope.get("value") is None:
        yield f"Whether its probabilities are spread rightly could not be measured: {_reason(slope)}."
    if results["ancestry"] is None:
        yield "No allowance was made for ancestry."
    elif not results["ancestry"]["kept"]:
        yield "No component of ancestry was clear enough to be allowed for."


def left(disclosure: Mapping[str, Any]) -> Answer:
    """Return what left the sites, and what it tells about one person."""
    question = "What left the sites?"
    total = sum(release["values"] for release in disclosure["releases"])
    head = f"Sums over people: {whole(total)} numbers, and no genome, trait or consent of a person."
    more: list[str] = []
    if disclosure["sites_derivable"]:
        more.append("In this design each site’s own sums can be worked out by subtraction.")
    told = worst(disclosure)
    if told:
        more.append(told)
    return Answer(question, head, tuple(more))


def _reason(figure: Mapping[str, Any]) -> str:
    return str(figure.get("reason") or "no reason was given").rstrip(".")
