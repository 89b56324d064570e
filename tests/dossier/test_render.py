"""The dossier: says what the results say, to anyone, and fetches nothing."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dossier import extremes, fakes
from dossier.fakes import FEW, NOTES, ROOT_HASH, results, study
from dossier.scans import scan, untested
from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.dossier.render import render

RIGHT_TO_LEFT = chr(0x202E)
NASTY = "</title></style></script>--><script src=//evil.example>x</script>\"'><img onerror=a src=b>"
NASTY += "{{7*7}}&lt;" + "w" * 300
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
LIMIT = 1_500_000


class Page(HTMLParser):
    """A page as a reader sees it: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside: dict[str, list[str]] = {"style": [], "script": []}
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
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]].append(data)
        else:
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
    assert len(html.encode()) < LIMIT


def test_it_fetches_nothing_and_runs_its_own_script_alone(html: str, page: Page) -> None:
    assert not {"iframe", "object", "embed", "img", "link", "base", "form", "image", "use"} & {
        tag for tag, _ in page.tags
    }
    fetching = {"src", "srcset", "xlink:href", "action", "data", "poster", "ping", "style"}
    for _, attrs in page.tags:
        assert not fetching & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]
        assert (attrs.get("href") or "#").startswith("#")
    assert not re.search(r"@import|url\(|expression\(", html)
    assert set(re.findall(r"https?:[^\s\"']+", html)) == {"http://www.w3.org/2000/svg"}
    (policy,) = [a["content"] for a in page.named("meta") if "http-equiv" in a]
    own = page.inside["script"][-1]
    assert re.findall(r"(\S+)-src ([^;]+)", str(policy)) == [
        ("default", "'none'"),
        ("style", digest(page.inside["style"][0])),
        ("script", digest(own)),
    ]
    assert "unsafe" not in str(policy)
    assert not re.search(r"\beval\b|new Function|innerHTML|insertAdjacent|document\.write", own)


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_it_can_be_read_by_ear_and_by_keyboard(page: Page) -> None:
    assert page.named("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels.count(2) == 12
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    anchors = {attrs["href"] for attrs in page.named("a")}
    assert anchors == {f"#{attrs['id']}" for attrs in page.named("h2")}
    assert len(page.named("caption")) == len(page.named("table")) >= 12
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.named("th"))
    drawings = [str(a["aria-label"]) for a in page.named("div") if a.get("role") == "img"]
    assert len(drawings) == 8
    assert all(re.search(r"\d", told) for told in drawings)
    outer = [a for a in page.named("svg") if not {"inner", "diamond"} & {a.get("class")}]
    assert all(attrs.get("aria-hidden") == "true" for attrs in outer)
    regions = [a for a in page.named("div") if "tabindex" in a]
    names = [a["aria-label"] for a in regions]
    assert len(names) == len(set(names)) == len(page.named("table"))


def leaves(value: Any, wrap: bool) -> Any:
    """Return a copy whose every text, the names of sites and reasons included, is hostile."""
    if isinstance(value, str):
        return NASTY + value if wrap else value
    if isinstance(value, Mapping):
        return {leaves(k, k in NAMES): leaves(v, k not in FIXED) for k, v in value.items()}
    if isinstance(value, list):
        return [leaves(item, wrap) for item in value]
    return value


NAMES = {*fakes.SITES, "other", "withdrawn", "other disease", "Hardy-Weinberg"}
FIXED = {"verdict", "design", "kind", "metric"}
"""Words of our own, which the dossier knows."""


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in FIXED:
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def test_hostile_text_in_every_field_stays_text(page: Page) -> None:
    asked, found = leaves(study(), True), leaves(results(), True)
    asked["trait"]["type"] = "binary"
    hostile = Page(render(asked, found, scan(chromosomes=(NASTY,))))
    assert hostile.shape == page.shape
    said = " ".join([hostile.text, *(str(v) for _, a in hostile.tags for v in a.values())])
    cut = {"A", "T", "C"}  # long alleles are cut
    other = {"a@example.org", "e@example.org", fakes.LOCUS}  # told in parts, and with commas
    unseen = {text for text in {*texts(found), *found["participants"]} if text not in said}
    groups = {text for text in unseen if "site=" in text or "sex=" in text}
    assert {text.removeprefix(NASTY) for text in unseen - groups} <= cut | other
    assert NASTY + "a@ example.org" in said


@settings(max_examples=15)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_leaves_the_shape_as_it_is(text: str) -> None:
    found = results()
    found["study"]["question"] = found["people"][0]["name"] = text
    found["disclosure"]["releases"][0]["step"] = text
    found["participants"][f"x{text}"] = found["participants"].pop("TSI")
    assert page_of(found).shape == page_of(results()).shape


def test_marks_that_turn_the_direction_of_a_text_are_spelt_out() -> None:
    found = results()
    found["people"][0]["name"] = f"ann{RIGHT_TO_LEFT}tfel"
    found["audit"]["findings"][0]["group"] = f"site=a{RIGHT_TO_LEFT}b"
    html = render(study(), found, scan(chromosomes=(f"2{RIGHT_TO_LEFT}2",)))
    assert RIGHT_TO_LEFT not in html
    assert "ann[U+202E]tfel" in html


@pytest.mark.parametrize("name", extremes.EXTREMES)
def test_every_kind_of_run_has_a_whole_dossier(name: str) -> None:
    html = render(study(), extremes.EXTREMES[name](), untested())
    read = Page(html)
    assert read.open == []
    assert len(read.named("h2")) == 12
    assert not re.search(r"\b(None|nan|Undefined|True|False|inf)\b", read.text)
    assert not re.search(r"[a-z)]\.[A-Z][a-z]", read.text)  # a sentence begins after a space
    assert not re.search(r"\b1 (variants|sites|regions|people|rounds)\b", read.text)
    assert len(html.encode()) < LIMIT
    assert "race" not in re.findall(r"[a-z]+", read.text.casefold())


def test_what_is_withheld_is_said_in_words(page: Page) -> None:
    assert re.search(r"FIN not shown 81 other: fewer than 5", page.text)
    assert re.search(r"All sites not shown 315", page.text)
    assert re.search(r"TSI 83 83 nobody", page.text)
    assert f"FIN 81 not shown not estimable: {FEW}" in page.text
    assert "34 fewer than 5 8.0 % not shown not shown" in page.text
    assert page.text.count(f"not estimable {FEW}") == 8
    labels = [str(a["data-tip"]) for a in page.named("g") if "data-tip" in a]
    assert sum(label.endswith(": 1 to 4 people or withheld") for label in labels) == 6


def test_recruited_people_are_added_up_where_every_site_shows_them() -> None:
    found = results()
    found["participants"]["FIN"] |= {"recruited": 92, "refused": {"other": 11}}
    assert "All sites 350 315" in page_of(found).text


def test_illustrative_consents_are_marked_at_the_top_and_where_the_counts_are(html: str) -> None:
    assert html.index("Illustrative consents.") < html.index("<nav")
    assert html.index('id="consent"') < html.index(NOTES[0]) < html.index("How many people took")
    assert html.count(NOTES[0]) == 1
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


def test_it_says_what_the_results_say(page: Page) -> None:
    for said in (
        "22:24,367,099 T (C) 0.211 +0.444 0.015 94.4",
        "22:24,367,028 T (C) −0.765",
        "These models used 23 to 24 variants",
        "association (linear) 1 1,709,740 by fold GSTT1_null, genotype, sex",
        "census (census) 1 5 by fold nothing but who is there",
        "everybody one set of about 315 people",
        "by fold 5 sets, the smallest of about 63 people",
        "by trait one set for each value in the data",
        "by fold 11 12 352",
        "everybody 41 46 389",
        "figures after the step performance",
        "health research, ancestry not included (HMB)",
        "once sex, PC1 and PC2 are accounted for? Left out, though asked for: PC3 and PC4.",
        "Removed: Hardy-Weinberg 2 0.3 %",
        "controls within 3 ancestry strata (120, 80 and 57 people without the trait)",
        "PC3 3.99 no not separated from the components that follow",
        "All sites 315 58 0.99 (0.96 to 1.00) 0.98 (0.95 to 0.99) 0.98 (0.78 to 1.18)",
        "site TSI AUC gap shown 0.97 −0.21 −0.33 to −0.09 0.17",
        "λ = 1.02",
        "22:24,266,954–24,431,203 23 3.10 93 % 1.20 90 %",
        "cases of the smallest fold 9 over 99 % 100 % 1.00",
        "equipoise explain DIR --participant ID",
        f"Entries 24 Root {ROOT_HASH}",
        "equipoise verify DIR --root ROOT",
    ):
        assert said in page.text.replace("\N{NO-BREAK SPACE}", " "), said


def test_it_says_how_the_sums_were_protected() -> None:
    asked = study()
    told = []
    for kind in ("masked", "clear", "new"):
        asked["protection"]["kind"] = kind
        told.append(Page(render(asked, results(), untested())).text)
    assert "saw the total over all sites and no site’s own sums" in told[0]
    assert "Nothing hid a site’s own sums" in told[1]
    assert "the protection named new" in told[2]


def test_sums_of_a_site_that_can_be_derived_are_warned_of() -> None:
    warning = "Each site’s own sums can be worked out"
    assert warning not in page_of(results()).text
    said = page_of(extremes.forty_loci()).text
    assert f"{warning}." in said
    assert "Reason given by the study: “to see how it does elsewhere”." in said


def test_the_same_inputs_give_the_same_page_and_stay_as_they_were() -> None:
    asked, found = study(), results()
    before = deepcopy((asked, found))
    assert render(asked, found, scan()) == render(asked, found, scan())
    assert (asked, found) == before


def test_contributions_of_everybody_are_not_said_to_be_of_some() -> None:
    changed = results()
    changed["explanation"] |= {"apart": False}
    for part in changed["explanation"]["parts"]:
        part |= {"predicted_with": None, "share_with": None}
    told = page_of(changed).text
    assert "over everybody: too few are predicted" in told
    assert "Predicted with the trait" not in told
