"""What a dossier does not show: its limits, as far as the results tell them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from equipoise.dossier.words import count, group, percent, series, some, within
from equipoise.fairness.verdict import NOT_ESTIMABLE

HELD_OUT = "each site held out in turn"


def limits(study: Mapping[str, Any], results: Mapping[str, Any], illustrative: bool) -> list[str]:
    """Return the limits, the gravest first."""
    return [
        "This is research. It is not a medical device, and nothing here is advice for a patient.",
        *_people(results, illustrative),
        *_ancestry(results),
        *(_accuracy(results) if results["model"] else _no_model()),
        *(_audit(results["audit"]) if results["model"] else ()),
        *_scan(study),
        *_privacy(results["disclosure"]),
    ]


def _people(results: Mapping[str, Any], illustrative: bool) -> Iterator[str]:
    if illustrative:
        yield (
            "The consents are illustrative: they show how consent is checked and are not those of"
            " real people."
        )
    for name, site in results["participants"].items():
        if site.get("lost_at"):
            yield (
                f"{name} was lost on the way, at the step {site['lost_at']}: what was added up before"
                " has its people in it, and what was added up after that has not."
            )
    counts = results["participants"].values()
    recruited = [site["recruited"] for site in counts]
    admitted = sum(site["admitted"] or 0 for site in counts)
    if None not in recruited and sum(recruited):
        out = 1 - admitted / sum(recruited)
        if out > 0:
            yield (
                f"{percent(out)} of the people at the sites were left out. Who refuses may differ from"
                " who agrees, in ways that nobody here has measured."
            )


def _ancestry(results: Mapping[str, Any]) -> Iterator[str]:
    if results["model"]:
        yield (
            "The model speaks of people like those who took part. For people of other ancestry its"
            " accuracy is unknown and is usually lower; do not carry it over."
        )
    if results["ancestry"] is None:
        yield (
            "No allowance was made for ancestry: a link may be due to ancestry that goes with the trait."
        )
    elif not results["ancestry"]["kept"]:
        yield "No component of ancestry could be told apart from noise, so none was allowed for."


def _no_model() -> Iterator[str]:
    yield (
        "There is no model, and nothing was tried on people whom it was not made on: under noise this"
        " study counts and scans, and no more."
    )
    yield (
        "Variants were not tested for Hardy-Weinberg: the test takes counts for exact. Genotypes that"
        " were read badly at a site are not found by it here."
    )
    yield (
        "Noise makes every figure looser. Standard errors and p-values of the scan allow for it, to"
        " first order; which variants are withheld as rare is told by noised counts."
    )


def _accuracy(results: Mapping[str, Any]) -> Iterator[str]:
    evaluation = results["evaluation"]
    auc = evaluation["overall"]["auc"]
    if auc["value"] is None:
        yield "The accuracy of the model could not be estimated."
    elif auc["events"] is not None and auc["events"] < 100:
        yield (
            f"Only {count(auc['events'], 'person', 'people')} had the trait. One hundred or more are"
            " commonly asked for to measure how well a model predicts."
        )
    sites = evaluation["by"].get("site", {})
    outside = [name for name, figures in sites.items() if figures.get("external")]
    if evaluation["design"] == HELD_OUT:
        yield (
            "Each site was left out of training once. The sites were still chosen together: a new"
            " one may differ more than they do."
        )
    elif not outside:
        yield (
            "The model was tested on other people of the same sites. How it does at a site that took no"
            " part in training is not known."
        )
    if within(results, "model", "chosen").get("tuned_r2") is not None:
        yield (
            "The strength of the penalties was chosen on the people of training. The share of variance"
            " told beside it is of those people, and so too good; the accuracy figures are not."
        )
    calibration = within(results, "model", "calibration")
    if calibration.get("converged") is False:
        yield "The fit that turns scores into probabilities did not come to rest: take them as ranks."
    yield (
        "As many people with and without the trait as here need not be found elsewhere. Where the"
        " trait is rarer or more common, the probabilities are off until they are adjusted."
    )


def _audit(audit: Mapping[str, Any] | None) -> Iterator[str]:
    if audit is None:
        yield "No audit was asked for: whether some groups are served worse is not known."
        return
    found: Sequence[Mapping[str, Any]] = audit["findings"] or ()
    judged = {f["group"] for f in found if f["verdict"] != NOT_ESTIMABLE}
    none = list(dict.fromkeys(group(f["group"]) for f in found if f["group"] not in judged))
    if none:
        yield f"Nothing could be estimated for these groups: {some(none)}."
    if len(found) > 1:
        yield (
            f"The audit could make {count(audit.get('comparisons') or len(found), 'comparison')}, each with"
            " an interval of its own. By chance alone about 1 in 20 would show a gap where there is none."
        )
    groups: Sequence[str] = audit.get("groups") or ()
    if groups:
        yield f"Only groups by site and by {series(groups)} were compared; others were not looked at."


def _scan(study: Mapping[str, Any]) -> Iterator[str]:
    if study["trait"].get("type") == "binary":
        yield (
            "The scan fits a straight line to a trait that is yes or no. Its effects and p-values are"
            " approximate, most of all for rare traits and rare variants."
        )
    yield (
        "People are taken for unrelated. A strong link need not be a cause: neighbours on the genome"
        " are inherited together."
    )


def _noise(privacy: Mapping[str, Any]) -> str:
    return (
        f"Noise bounds what the totals tell about one person’s data: epsilon {privacy['epsilon']:g} at"
        f" delta {privacy['delta']:g} for this run. How many people take part, and why others do not, is"
        " published without noise; what studies of other names spent on the same people is not"
        " counted."
    )


def _privacy(disclosure: Mapping[str, Any]) -> Iterator[str]:
    privacy = within(disclosure, "privacy")
    yield (
        _noise(privacy)
        if privacy
        else (
            "Sums are exact. Exact totals tell something about the people in them, the more the fewer they"
            " are; small-count rules and budgets bound this and do not end it. No noise was added."
        )
    )
    if disclosure["sites_derivable"]:
        yield "Each site’s own sums can be derived by subtraction: this design gives that up knowingly."
    if within(disclosure, "membership").get("sets"):
        yield (
            "The membership figures come from theory and speak of allele frequencies alone; with"
            " genotypes at hand, `equipoise leakage` makes the attack. A published scan also gives the"
            " frequencies in the cases, who are fewer."
        )
    yield (
        "A centre that lies about a total is not found out by arithmetic. Every site does recompute"
        " each step that follows from the totals."
    )
