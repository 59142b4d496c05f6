"""The page in a browser: drawn, sorted, printed, read aloud, and unharmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.browser import Watched, needs_browser, open_browser
from tests.reporting.report.pages import HARMFUL, draw_report, harm, move, publish_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, needs_browser]
DRAWN = """
    document.querySelectorAll("figure.chart svg").length
    === document.querySelectorAll("figure.chart").length
"""
MARKS = """
    () => Object.fromEntries([...document.querySelectorAll("figure.chart")].map((figure) => [
        figure.id, figure.querySelectorAll("svg .role-mark path").length
    ]))
"""
CHARTS = {
    "status_now",
    "time_in_status",
    "status_over_time",
    "open_over_time",
    "durations",
    "survival_by_role",
    "survival_by_version",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return reports of a fleet that moves and of one that means harm."""
    worlds = {"moving": move(), "harmful": harm()}
    return {
        name: draw_report(publish_world(tmp_path_factory.mktemp(name), world))
        for name, world in worlds.items()
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Watched]:
    """Return one browser for all."""
    with open_browser() as watched:
        yield watched


@pytest.fixture
def watched(browser: Watched, reports: dict[str, Path], request: pytest.FixtureRequest) -> Watched:
    """Return the browser with a report opened in it, and all of its charts drawn."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.page.emulate_media(media="screen", color_scheme="light")
    browser.page.set_viewport_size({"width": 1280, "height": 900})
    browser.page.goto(reports[getattr(request, "param", "moving")].as_uri())
    browser.page.wait_for_function(DRAWN)
    return browser


def test_charts_are_drawn(watched: Watched) -> None:
    """Every chart has marks, in silence, and nothing but the file itself is asked for."""
    marks = watched.page.evaluate(MARKS)
    assert marks.keys() == CHARTS
    assert min(marks.values()) > 0
    assert watched.complaints == []
    assert watched.requests == [watched.page.url]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_barriers(watched: Watched, width: int, scheme: Literal["light", "dark"]) -> None:
    """Nothing serious stands in anyone's way, and the page is never wider than the window."""
    watched.page.set_viewport_size({"width": width, "height": 900})
    watched.page.emulate_media(color_scheme=scheme)
    assert watched.find_barriers() == []
    assert watched.page.evaluate("document.documentElement.scrollWidth") == width


def test_colours_follow_the_scheme(watched: Watched) -> None:
    """Charts turn dark with the page, without being drawn anew."""
    colours = []
    for scheme in ("light", "dark"):
        watched.page.emulate_media(color_scheme=scheme)
        colours.append(
            watched.page.evaluate(
                """() => getComputedStyle(
                    document.querySelector("#status_now svg .role-axis-label text")).fill"""
            )
        )
    assert colours == ["rgb(23, 32, 42)", "rgb(231, 236, 241)"]


def test_tables_sort(watched: Watched) -> None:
    """A column's title sorts by mouse and by keyboard, numbers as numbers, and says so."""
    header = watched.page.locator("#sessions-table th", has_text="need attention")
    before = read_column(watched, 1)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert read_column(watched, 1) == sorted(before, reverse=True)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert read_column(watched, 1) == sorted(before)
    assert len(set(before)) > 2


def read_column(watched: Watched, index: int) -> list[int]:
    """Return the numbers in a column of the table of sessions."""
    cells: list[Any] = watched.page.locator(
        f"#sessions-table tbody td:nth-child({index + 1})"
    ).all_inner_texts()
    return [int(cell) for cell in cells]


def test_print(watched: Watched) -> None:
    """On paper all is light, open, and as wide as the sheet."""
    watched.page.emulate_media(media="print", color_scheme="dark")
    watched.page.set_viewport_size({"width": 720, "height": 1000})
    watched.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert watched.page.evaluate(
        """() => [
            getComputedStyle(document.body).backgroundColor,
            document.querySelectorAll("details:not([open])").length,
            document.documentElement.scrollWidth,
        ]"""
    ) == ["rgb(255, 255, 255)", 0, 720]


@pytest.mark.parametrize("watched", ["harmful"], indirect=True)
def test_no_harm(watched: Watched) -> None:
    """Names that mean harm are drawn and pointed at, and none of them runs."""
    marks = watched.page.locator("#durations svg .mark-symbol path")
    shown = set()
    for index in range(len(HARMFUL)):
        marks.nth(index).hover(force=True)
        shown.add(watched.page.locator("#vg-tooltip-element").text_content())
    assert len(shown) == len(HARMFUL)
    assert "<script>window.pwned" in str(shown)
    assert watched.page.evaluate("typeof window.pwned") == "undefined"
    assert watched.complaints == []
    assert watched.requests == [watched.page.url]
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 1280
