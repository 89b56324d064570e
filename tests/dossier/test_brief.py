"""The answer in brief and the limits: sentences that follow from the figures."""

from typing import Any

import pytest

from dossier import extremes, fakes
from equipoise.dossier.brief import alike, answers, for_whom, left, unsure, works
from equipoise.dossier.leaks import membership, worst
from equipoise.dossier.limits import limits


def evaluation(low: float | None, value: float | None, high: float | None) -> dict[str, Any]:
    found = fakes.evaluation()
    found["overall"]["auc"] |= {"low": low, "value": value, "high": high}
    return found


@pytest.mark.parametrize(
    ("ends", "head"),
    [
        ((0.96, 0.99, 1.0), "Yes, better than chance"),
        ((0.51, 0.55, 0.6), "Yes, better than chance"),
        ((0.45, 0.55, 0.65), "Not shown"),
        ((0.5, 0.55, 0.6), "Not shown"),
        ((0.3, 0.4, 0.49), "No: it does worse than chance"),
        ((None, 0.7, None), "Its accuracy is known without an interval"),
        ((None, None, None), "This study cannot tell."),
    ],
)
def test_whether_it_works_follows_from_the_interval(ends: Any, head: str) -> None:
    assert works(evaluation(*ends)).head.startswith(head)


@pytest.mark.parametrize(
    ("single", "said"),
    [
        ((0.95, 0.98, 0.99), "The intervals overlap: it is not shown"),
        ((0.7, 0.8, 0.9), "less than the model"),
        ((0.9996, 0.9999, 1.0), "more than the model"),
    ],
)
def test_the_best_single_variant_stands_beside_the_model(single: Any, said: str) -> None:
    found = fakes.evaluation()
    names = dict(zip(("low", "value", "high"), single, strict=True))
    found["best_single_variant"]["overall"]["auc"] |= names
    assert said in " ".join(works(found).more)


def test_probabilities_off_on_average_are_called_so() -> None:
    found = fakes.evaluation()
    found["overall"]["o_e"] = {"value": 1.5, "low": 1.2, "high": 1.9}
    assert (
        "150 were there (95 % interval 120 to 190), so its probabilities are too low"
        in " ".join(works(found).more)
    )


def test_the_verdict_on_fairness_follows_from_the_findings() -> None:
    assert "no audit" in alike(None).head
    audit = fakes.audit()
    assert alike(audit).head == "No: 7 gaps between groups are shown."
    assert "AUC of site TSI" in alike(audit).more[0]
    rows = audit["findings"]
    audit["findings"] = [r for r in rows if r["verdict"] != "gap shown"]
    assert alike(audit).head.startswith("No gap is shown, but that is not the same as no gap.")
    audit["findings"] = [r for r in rows if r["verdict"] == "equivalence shown"]
    assert alike(audit).head.startswith("Yes, within the margins")
    audit["findings"] = []
    assert "no findings" in alike(audit).head


def test_sites_without_a_figure_and_outside_the_training_are_named() -> None:
    said = " ".join(for_whom(fakes.results()).more)
    assert "could not be measured on its own at FIN" in said
    found = fakes.results()
    found["evaluation"]["by"]["site"]["TSI"]["external"] = True
    found["evaluation"]["by"]["site"]["GBR"]["auc"]["value"] = 0.91
    said = " ".join(for_whom(found).more)
    assert "from 0.91 (GBR) to 0.98 (CEU)" in said
    assert "TSI took no part in the training" in said


def test_few_people_with_the_trait_are_called_few() -> None:
    found = fakes.results()
    assert unsure(found).head == "Much: 58 people with the trait are few."
    found["evaluation"]["overall"]["auc"]["events"] = 250
    assert not unsure(found).head.startswith("Much")
    found["evaluation"]["overall"]["auc"]["events"] = None
    assert "withheld" in unsure(found).head


def test_every_run_has_every_answer() -> None:
    for make in extremes.EXTREMES.values():
        found = answers(make())
        assert len(found) == 6
        assert all(answer.head.endswith(".") for answer in found)


@pytest.mark.parametrize(
    ("strict", "loose", "said"),
    [
        (0.9999, 1.0, "with near certainty whether that person is among the 9 people"),
        (0.5, 0.9, "find out about 50 of 100 members while wrongly naming 1 in 1,000"),
        (0.02, 0.31, "only poorly"),
    ],
)
def test_the_membership_figure_is_put_in_words(strict: float, loose: float, said: str) -> None:
    row = {"set": "cases", "people": 9, "power_5": loose, "power_01": strict}
    assert said in membership(row)


def test_the_smallest_set_is_the_one_told_of() -> None:
    disclosure = fakes.disclosure()
    assert "“cases of the smallest fold”" in worst(disclosure)
    assert "near certainty" in " ".join(left(disclosure).more)
    disclosure["membership"]["sets"] = []
    assert worst(disclosure) == ""
    assert left(disclosure).more == ()


def test_limits_follow_from_the_content() -> None:
    usual = " ".join(limits(fakes.study(), fakes.results(), True))
    for said in ("not a medical device", "illustrative", "Only 58 people", "by site and by sex"):
        assert said in usual
    held_out = " ".join(limits(fakes.study(), extremes.forty_loci(), False))
    assert "Each site was left out of training once" in held_out
    assert "can be derived by subtraction" in held_out
    assert "illustrative" not in held_out
    bare = " ".join(limits(fakes.study(), extremes.no_audit(), False))
    assert "No audit was asked for" in bare
    assert "No allowance was made for ancestry" in bare
