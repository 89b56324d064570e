"""The dossier in a real browser: it asks for nothing, is usable by all, and prints whole."""

import base64
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser.chromium import Page, chromium, program
from dossier import extremes, fakes, scans
from equipoise.dossier.render import render

pytestmark = [
    pytest.mark.skipif(program() is None, reason="Chromium is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="pipes are handed over as on Unix"),
    pytest.mark.xdist_group("chromium"),
]
SECTIONS = 12
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
MANHATTAN = "document.querySelector('#manhattan .frame')"
LEAD = "22:31,000,000"
"""Where the strongest variant of the scan lies."""


def axe() -> Path:
    """Return where axe-core's script is; skip where it is not installed."""
    named = os.environ.get("EQUIPOISE_AXE")
    spec = importlib.util.find_spec("axe_core_python")
    places = [Path(named)] if named else []
    if spec and spec.origin:
        places.append(Path(spec.origin).with_name("axe.min.js"))
    for place in places:
        if place.is_file():
            return place
    pytest.skip("axe-core is not installed: set EQUIPOISE_AXE to its axe.min.js")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a dossier like the demo's and the extreme ones, as files."""
    folder = tmp_path_factory.mktemp("dossiers")
    made = {"demo": render(fakes.study(), fakes.results(), scans.scan())}
    for name, content in extremes.EXTREMES.items():
        scanned = scans.scan(900, ("1", "2", "10", "X"))
        scanned = scans.untested() if name == "nothing estimable" else scanned
        made[name] = render(fakes.study(), content(), scanned)
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, "utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def requests(page: Page) -> list[str]:
    sent = [e for e in page.events if e["method"] == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]


def trouble(page: Page) -> list[dict[str, Any]]:
    return [event for event in page.events if event["method"] in TROUBLE]


def tip(page: Page, frame: str = MANHATTAN) -> str:
    return str(page.run(f"{frame}.querySelector('.tip').textContent"))


@pytest.mark.parametrize("name", ["demo", *extremes.EXTREMES])
@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_overflows_fails_or_leaves_the_page(
    page: Page, pages: dict[str, Path], name: str, width: int
) -> None:
    page.open(pages[name], width)
    assert page.run("document.documentElement.scrollWidth") == width
    # What is wider than the window, but for tables in regions of their own, and hidden links.
    wide = page.run(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && "
        f"e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 99))"
    )
    assert wide == []
    assert trouble(page) == []
    assert requests(page) == [pages[name].as_uri()]


@pytest.mark.parametrize("attempt", ["fetch('https://example.org/')", "eval('1')"])
def test_the_policy_forbids_the_network_and_code_from_text(
    page: Page, pages: dict[str, Path], attempt: str
) -> None:
    page.open(pages["demo"])
    said = page.run(
        "new Promise(tell => { document.addEventListener('securitypolicyviolation',"
        " e => tell(e.effectiveDirective)); const s = document.createElement('script');"
        f" s.textContent = `{attempt}`; document.body.append(s); setTimeout(() => tell('allowed'), 2000) }})"
    )
    assert said == "script-src-elem"  # a script of unknown text does not even start
    assert requests(page) == [pages["demo"].as_uri()]
    fetched = "fetch('https://example.org/').then(() => 'came', () => 'refused')"
    assert page.run(fetched) == "refused"


@pytest.mark.parametrize("name", ["demo", "nothing estimable", "twenty sites"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing_serious(
    page: Page, pages: dict[str, Path], name: str, width: int
) -> None:
    script = axe().read_text("utf-8")
    page.open(pages[name], width)
    page.run(script + "; 0")
    tags = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']"
    found = page.run(
        f"axe.run(document, {{runOnly: {tags}}}).then(r => r.violations.map(v =>"
        " [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html)]))"
    )
    assert [row for row in found if row[0] in ("serious", "critical")] == []


def test_points_can_be_gone_through_by_keyboard(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["demo"])
    page.run(f"{MANHATTAN}.focus()")
    page.press("ArrowRight")
    assert tip(page).startswith(f"{LEAD} A (A): −log₁₀ p 94.4")
    page.press("ArrowRight")
    assert "−log₁₀ p 20" in tip(page)
    page.press("Home")
    assert "94.4" in tip(page)
    page.press("Escape")
    assert tip(page) == ""


def test_every_drawing_speaks_by_keyboard(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["demo"])
    frames = page.run(
        "[...document.querySelectorAll('.frame')].map(f => [!!f.querySelector('[data-tip]'), f.tabIndex])"
    )
    assert sum(marked for marked, _ in frames) >= 6  # map, calibration, ROC, three of the audit
    assert all(focus == 0 for marked, focus in frames if marked)
    page.run("document.querySelector('.forest .frame').focus()")
    page.press("ArrowRight")
    said = tip(page, "document.querySelector('.forest .frame')")
    assert said == "site CEU, AUC: gap +0.02 (95 % interval −0.07 to +0.11), inconclusive"


def test_a_tab_reaches_each_drawing_and_its_focus_is_seen(
    page: Page, pages: dict[str, Path]
) -> None:
    page.open(pages["demo"])
    seen = set()
    for _ in range(90):
        page.press("Tab")
        seen.add(page.run("document.activeElement.className.toString()"))
        if not page.run("document.activeElement === document.body"):  # past the last one
            assert page.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"frame", "scroll", "skip"} <= seen


def axes(page: Page) -> dict[str, float]:
    page.run("document.querySelector('#manhattan').scrollIntoView()")
    return dict(
        page.run("document.querySelector('#manhattan .axes').getBoundingClientRect().toJSON()")
    )


def points(page: Page) -> int:
    return int(
        page.run("document.querySelector('#manhattan .points').getAttribute('d').split('M').length")
    )


def test_a_drag_zooms_and_a_button_goes_back(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["demo"])
    before, box = points(page), axes(page)
    y = box["y"] + 40
    page.mouse("mousePressed", box["x"] + box["width"] * 0.4, y, held=True)
    page.mouse("mouseMoved", box["x"] + box["width"] * 0.5, y, held=True)
    page.mouse("mouseMoved", box["x"] + box["width"] * 0.6, y, held=True)
    page.mouse("mouseReleased", box["x"] + box["width"] * 0.6, y)
    assert points(page) < before / 3
    page.run("[...document.querySelectorAll('#manhattan button')].at(-1).click()")
    assert points(page) == before


def test_the_mouse_and_a_finger_get_the_point_below_them(
    page: Page, pages: dict[str, Path]
) -> None:
    page.open(pages["demo"])
    box = axes(page)
    middle = 300 * 50_000 + 16_000_000
    low, high = (16e6, 16e6 + 599 * 50_000)
    margin = (high - low) * 0.01
    share = (middle - low + margin) / (high - low + 2 * margin)
    top = 94.4 * 1.04
    spot = (box["x"] + share * box["width"], box["y"] + (1 - 94.4 / top) * box["height"])
    page.mouse("mouseMoved", spot[0] + 3, spot[1] + 3)
    assert tip(page).startswith(LEAD)
    page.mouse("mouseMoved", 1, 1)
    assert tip(page) == ""
    page.send(
        "Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": spot[0], "y": spot[1]}]
    )
    page.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert tip(page).startswith(LEAD)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("22:31000000", f"{LEAD} A (A): −log₁₀ p 94.4, effect of one copy +0.1, frequency 0.1."),
        ("chr22: 31,000,000", f"{LEAD} A (A): −log₁₀ p 94.4"),
        ("31000000", f"{LEAD} A (A)"),
        (
            "22:31,000,001",
            f"Not among the points drawn. Every variant with −log₁₀ p above 3 is, so it is weaker, or was not tested: see association.tsv. The nearest point is {LEAD}.",
        ),
        ("22:30,900,000-31,100,000", "of the points drawn lie in this region"),
        ("7:1", "Not understood"),
        ("<img src=x>", "Not understood"),
    ],
    ids=["variant", "with chr", "position", "not drawn", "region", "no chromosome", "hostile"],
)
def test_a_variant_is_found(page: Page, pages: dict[str, Path], asked: str, told: str) -> None:
    page.open(pages["demo"])
    page.run("document.querySelector('#variant').focus()")
    page.send("Input.insertText", text=asked)
    page.press("Enter")
    assert told in page.run("document.querySelector('.found').textContent")
    assert trouble(page) == []


def test_a_variant_is_found_among_chromosomes(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["twenty sites"])
    page.run("document.querySelector('#variant').value = '10:16000000'")
    page.run("document.querySelector('.tools').requestSubmit()")
    assert page.run("document.querySelector('.found').textContent").startswith("10:16,000,000")
    assert "chromosome 10" in page.run(f"{MANHATTAN}.querySelector('.title.below').textContent")


def test_findings_are_sorted_both_ways(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["demo"])
    column = (
        "[...document.querySelectorAll('.sortable tbody tr')].map(r => r.cells[4]?.textContent)"
    )
    before = page.run(column)
    for way in ("ascending", "descending"):
        page.run("document.querySelectorAll('.sortable th button')[4].focus()")
        page.press("Enter")
        heads = page.run(
            "[...document.querySelectorAll('.sortable thead th')].map(h => h.ariaSort)"
        )
        assert heads.count(way) == 1
        gaps = [float(g.replace("−", "-")) for g in page.run(column) if g]
        assert gaps == sorted(gaps, reverse=way == "descending")
    assert sorted(map(str, page.run(column))) == sorted(map(str, before))


def test_it_is_whole_without_its_script(page: Page, pages: dict[str, Path]) -> None:
    page.open(pages["demo"], script=False)
    tree = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert roles.count("heading") >= SECTIONS
    assert roles.count("image") == 8
    assert "button" not in roles
    page.send("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
@pytest.mark.parametrize("name", ["demo", "forty loci"])
def test_it_prints_whole(page: Page, pages: dict[str, Path], name: str, tmp_path: Path) -> None:
    page.open(pages[name])
    titles = page.run("[...document.querySelectorAll('h2')].map(h => h.textContent.trim())")
    (tmp_path / "a.pdf").write_bytes(base64.b64decode(page.printed()))
    told = subprocess.run(
        ["pdftotext", str(tmp_path / "a.pdf"), "-"], capture_output=True, check=True, text=True
    )
    text = " ".join(told.stdout.split())
    assert len(titles) == SECTIONS
    assert [t for t in titles if " ".join(t.split()) not in text] == []
    assert not re.search(r"Zoom|Find a variant|To the answer in brief", text)
    size = subprocess.run(
        ["pdfinfo", str(tmp_path / "a.pdf")], capture_output=True, check=True, text=True
    )
    assert "A4" in size.stdout


def test_the_same_points_are_drawn_with_the_script_and_without(
    page: Page, pages: dict[str, Path]
) -> None:
    steps = "document.querySelector('#manhattan .points').getAttribute('d')"
    page.open(pages["demo"], script=False)
    page.open(pages["demo"])
    drawn = page.run(steps)
    html = pages["demo"].read_text("utf-8")
    still = re.search(r'class="points band0" d="([^"]+)"', html)
    assert still
    pairs = [np.array(re.findall(r"M([\d.]+),([\d.]+)", d), float) for d in (still[1], drawn)]
    # Both round to 0.1 of a thousandth of the drawing; the page's -log10 p has two decimals.
    np.testing.assert_allclose(pairs[0], pairs[1], atol=0.3)
