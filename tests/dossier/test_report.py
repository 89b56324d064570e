"""The report: says what the results say, to anyone, and runs and fetches nothing."""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dossier.fakes import NOTES, ROOT_HASH, auc, results, scan, study, untested
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier.report import render

ROOT = Path(__file__).resolve().parents[2]
NASTY = (
    "</title></style>--><script src=//evil.example>x</script>\"'><img onerror=a src=b>{{7*7}}&lt;"
)
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Page(HTMLParser):
    """A page as a reader sees it: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attrs)) for tag, attrs in self.tags]

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render(study(), results(), scan())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def page_of(changed: Mapping[str, Any], scanned: Statistics | None = None) -> Page:
    return Page(render(study(), changed, scanned or untested()))


def test_every_tag_is_closed_in_order(html: str, page: Page) -> None:
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert page.open == []


def test_it_runs_nothing_and_fetches_nothing(html: str, page: Page) -> None:
    active = {"script", "iframe", "object", "embed", "img", "link", "base", "form", "image", "use"}
    assert not active & {tag for tag, _ in page.tags}
    fetching = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "ping"}
    for _, attrs in page.tags:
        assert not fetching & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]
    assert not re.search(r"@import|url\(|https?:|expression\(", html)
    (policy,) = [a["content"] for a in page.named("meta") if "http-equiv" in a]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_it_can_be_read_by_ear_and_by_keyboard(page: Page) -> None:
    assert page.named("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert len(page.named("caption")) == len(page.named("table")) >= 5
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.named("th"))
    (drawing,) = [a for a in page.named("div") if a.get("role") == "img"]
    assert "600 variants" in str(drawing["aria-label"])
    assert all(attrs.get("aria-hidden") == "true" for attrs in page.named("svg"))
    regions = [a for a in page.named("div") if "tabindex" in a]
    assert all(a["tabindex"] == "0" and a["role"] == "region" for a in regions)
    names = [a["aria-label"] for a in regions]
    assert len(names) == len(set(names)) == len(page.named("table"))


def leaves(value: Any, wrap: bool) -> Any:
    """Return a copy whose every text, the names of sites and reasons included, is hostile."""
    if isinstance(value, str):
        return NASTY + value if wrap else value
    if isinstance(value, Mapping):
        return {leaves(k, wrap and k in NAMES): leaves(v, wrap) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [leaves(item, wrap) for item in value]
    return value


NAMES = {"CEU", "FIN", "GBR", "TSI", "other", "withdrawn", "other disease"}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)


def test_hostile_text_in_every_field_stays_text(page: Page) -> None:
    asked, found = leaves(study(), True), leaves(results(), True)
    asked["trait"]["type"] = "binary"
    scanned = scan(chromosomes=(NASTY,))
    hostile = Page(render(asked, found, scanned))
    assert hostile.shape == page.shape
    said = " ".join([hostile.text, *(str(v) for _, a in hostile.tags for v in a.values())])
    unseen = {text for text in {*texts(found), *found["participants"]} if text not in said}
    assert {text.removeprefix(NASTY) for text in unseen} == {"a@example.org"}  # told in two parts
    assert NASTY + "a@ example.org" in said


@settings(max_examples=25)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_leaves_the_shape_as_it_is(text: str) -> None:
    found = results()
    found["study"]["question"] = found["people"][0]["name"] = text
    found["disclosure"]["releases"][0]["step"] = text
    found["participants"][f"x{text}"] = found["participants"].pop("TSI")
    assert page_of(found).shape == page_of(results()).shape


def test_what_is_withheld_is_said_in_words(page: Page) -> None:
    assert re.search(r"FIN not shown 81 other: fewer than 5", page.text)
    assert re.search(r"All sites not shown 315", page.text)
    assert re.search(r"TSI 83 83 nobody", page.text)
    assert "None" not in page.text
    assert "nan" not in page.text


def test_recruited_people_are_added_up_where_every_site_shows_them() -> None:
    found = results()
    found["participants"]["FIN"] |= {"recruited": 92, "refused": {"other": 11}}
    assert "All sites 350 315" in page_of(found).text


def test_illustrative_consents_are_marked_where_the_counts_are_and_said_once(html: str) -> None:
    assert html.count(NOTES[0]) == 1
    assert html.index("How many people took part") < html.index(NOTES[0]) < html.index('id="found"')
    assert re.search(rf'note illustrative" role="note"><strong>{re.escape(NOTES[0])}', html)
    assert "The consents are illustrative" in html


def test_a_study_with_real_consents_is_not_called_illustrative() -> None:
    found = results()
    for counts in found["participants"].values():
        counts["notes"] = []
    assert "llustrative" not in page_of(found).text


def test_a_note_of_some_sites_names_them() -> None:
    found = results()
    found["participants"]["CEU"]["notes"] = ["Read on paper."]
    found["participants"]["GBR"]["notes"] = ["Read on paper.", "Read on paper."]
    said = page_of(found).text
    assert said.count("Read on paper.") == 1
    assert "Read on paper. (CEU and GBR)" in said
    assert f"{NOTES[0]} (FIN and TSI)" in said


REASON = "not estimable: fewer than 5 people with or without the trait"


@pytest.mark.parametrize("none", [(), ("CEU",), ("CEU", "FIN", "GBR", "TSI")])
@pytest.mark.parametrize("overall", [True, False])
def test_an_auc_is_a_figure_or_a_reason(none: tuple[str, ...], overall: bool) -> None:
    found = results()
    for site in found["evaluation"]["by"]["site"]:
        found["evaluation"]["by"]["site"][site]["auc"] = auc(None if site in none else 0.98)
    if not overall:
        found["evaluation"]["overall"]["auc"] = auc(None, bound=None)
    read = page_of(found)
    assert read.text.count(REASON) == len(none) + (not overall)
    assert read.text.count("0.98 0.90 to 1.00") == 4 - len(none)
    assert ("0.99 0.96 to 1.00" in read.text) is overall
    assert ("at most 0.0031" in read.text) is overall
    assert len(read.named("circle")) == 4 - len(none) + overall


def test_an_auc_of_unknown_size_says_so() -> None:
    found = results()
    found["evaluation"]["by"]["site"]["FIN"]["auc"]["n"] = None
    assert f"FIN not shown not shown {REASON}" in page_of(found).text


def test_it_says_what_the_results_say(page: Page) -> None:
    for said in (
        "22:24,367,099 T (C) 0.211 +0.444 0.015 94.4",
        "22:24,295,427 T (C) −0.182",
        "22:24,367,099 T (C) +0.130",
        "it used 2 to 3 variants",
        "association (linear) 1 1,709,740 by fold GSTT1_null, genotype, sex",
        "census (census) 1 5 by fold nothing but who is there",
        "everybody: one set of about 315 people",
        "by fold: 5 sets, the smallest of about 63 people",
        "by trait: one set for each value in the data",
        "11 of 12 allowed columns were used (2 windows in all)",
        "figures after the step discrimination",
        "health research, ancestry not included (HMB)",
        "once sex is accounted for",
        f"Entries 24 Root {ROOT_HASH}",
        "equipoise verify DIR --root ROOT",
    ):
        assert said in page.text
    assert page.text.count(" 94.4") == 1
    assert "22:24,366,744" not in page.text  # the sixth association


def test_it_says_how_the_sums_were_protected() -> None:
    asked = study()
    masked = Page(render(asked, results(), untested())).text
    asked["protection"]["kind"] = "clear"
    clear = Page(render(asked, results(), untested())).text
    asked["protection"]["kind"] = "new"
    new = Page(render(asked, results(), untested())).text
    assert "saw the total over all sites and no site’s own sums" in masked
    assert "Nothing hid a site’s own sums" in clear
    assert "the protection named new" in new


def test_a_run_that_found_nothing_has_a_report_too() -> None:
    found = results()
    found["association"] = {"tested": 0, "withheld": 600, "top": []}
    found["score"] = {"variants": [], "variants_by_fold": []}
    found["disclosure"] |= {"columns": (), "figures": ()}
    asked = study()
    asked["covariates"] = {"columns": [], "components": 0}
    read = Page(render(asked, found, untested()))
    assert read.open == []
    assert not [a for a in read.named("div") if a.get("role") == "img"]
    assert "No variant could be tested, so there is nothing to draw." in read.text
    assert "600 variants were withheld" in read.text
    assert "No variant was chosen" in read.text
    assert "nothing of this budget was used" in read.text


def test_a_scan_of_several_chromosomes_has_a_report() -> None:
    read = page_of(results(), scan(800, ("1", "2", "X")))
    assert read.open == []
    assert {"1", "2", "X"} <= {text.strip() for text in read.texts}


def test_the_inputs_are_left_as_they_were() -> None:
    asked, found = study(), results()
    before = deepcopy((asked, found))
    assert render(asked, found, scan()) == render(asked, found, scan())
    assert (asked, found) == before


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in NAMES:
                yield key
            yield from keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from keys(item)


def test_the_documentation_names_every_key_of_the_results() -> None:
    told = set(re.findall(r"`([^`\s]+)`", (ROOT / "docs" / "results.md").read_text("utf-8")))
    words = {part for name in told for part in re.split(r"[.\[\]{}<>,]+", name)}
    missing = set(keys(results())) - words - {"census", "total"}
    assert not missing
