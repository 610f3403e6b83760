"""The report in a browser without a network: drawn, silent, usable by keyboard, by axe-core's rules, and in print."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from comagic.cli.report.language import Language
from comagic.cli.report.page import make_page
from comagic.load.figures import Figures
from tests.support.browser import Browser
from tests.support.processes import ROOT
from tests.support.report_figures import SECTIONS, sample_figures

DRAWN = "[...document.querySelectorAll('[data-chart]')].filter(c => c.querySelectorAll('svg path').length > 5).length"
FOCUSED = "document.activeElement.tagName.toLowerCase() + (document.activeElement.getAttribute('href') ?? '')"
AXE = ROOT / "tests" / "data" / "axe" / "axe.min.js"
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for the tests of this file."""
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


def write(folder: Path, language: str = "en", figures: Figures | None = None, **more: Any) -> Path:
    """Writes a report of sample figures."""
    shown = {"are_names_shown": False, "moment": datetime(2026, 11, 30, 5), "notes": [], **more}
    file = folder / f"report_{language}.html"
    file.write_text(make_page(figures or sample_figures(), Language(language), **shown), "utf-8")
    return file


def open_report(browser: Browser, file: Path, width: int = 1280, is_dark: bool = False) -> None:
    browser.show(width, is_dark)
    browser.open(file)


@pytest.mark.parametrize("language", ["en", pytest.param("ru", marks=pytest.mark.expensive(2))])
def test_every_chart_is_drawn_and_nothing_requested_or_logged(browser: Browser, place: Path, language: str) -> None:
    open_report(browser, write(place, language))
    assert browser.run(DRAWN) == len(SECTIONS)
    for width in WIDTHS:
        for is_dark in (False, True):
            browser.show(width, is_dark)
            assert browser.run(DRAWN) == len(SECTIONS)
            assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.requests() == []
    assert browser.complaints() == []
    assert "harmed" not in browser.run("document.title")


def test_page_allows_no_other_script_style_or_request(browser: Browser, place: Path) -> None:
    open_report(browser, write(place))
    assert browser.run("fetch('https://example.com').then(() => 'sent', () => 'refused')") == "refused"
    browser.run("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert browser.run("window.ran ?? 0") == 0
    browser.run("document.body.append(Object.assign(new Image(), {src: 'https://example.com/x.png'}))")
    assert len([text for text in browser.complaints() if "Content Security Policy" in text]) >= 3


def test_keyboard_reaches_sections_and_opens_every_table(browser: Browser, place: Path) -> None:
    open_report(browser, write(place))
    browser.press("Tab")
    assert browser.run(FOCUSED) == "a#headlines"
    reached = []
    while (focused := browser.run(FOCUSED)) != "body":
        reached.append(focused)
        if focused == "summary":
            browser.press("Enter")
            assert browser.run("document.activeElement.parentElement.open")
        browser.press("Tab")
    assert [one for one in reached if one.startswith("a#")][2:] == [*(f"a#{name}" for name in SECTIONS), "a#trust"]
    assert reached.count("summary") == reached.count("div") == len(SECTIONS)  # each with a table that scrolls


@pytest.mark.parametrize(("width", "is_dark"), [(1280, False), pytest.param(390, True, marks=pytest.mark.expensive(2))])
def test_axe_finds_no_violation(browser: Browser, place: Path, width: int, is_dark: bool) -> None:
    open_report(browser, write(place, "ru"), width, is_dark)
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.run(AXE.read_text("utf-8"))
    found = browser.run("axe.run().then(({violations, passes}) => ({violations, passes: passes.length}))")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert found["passes"] > 20


def test_charts_have_patterns_and_a_text_for_screen_readers(browser: Browser, place: Path) -> None:
    open_report(browser, write(place))
    assert browser.run("""document.querySelectorAll('#days svg pattern path:not([d=""])').length""") > 0
    labels = browser.run("[...document.querySelectorAll('[data-chart]')].map(c => c.getAttribute('aria-label'))")
    assert labels[1] == (
        "When calls are missed. The worst hour: Monday, 07:00\u201308:00, 7 of 8 incoming calls were missed."
    )


@pytest.mark.expensive(2)
def test_page_is_printed_in_light_colours_with_its_charts(browser: Browser, place: Path) -> None:
    open_report(browser, write(place), is_dark=True)
    assert browser.print().startswith(b"%PDF")
    browser.send("Emulation.setEmulatedMedia", media="print", features=[])
    browser.settle()
    assert browser.run(DRAWN) == len(SECTIONS)
    assert browser.run("document.querySelector('#days svg').getAttribute('width')") == "640"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.complaints() == []
