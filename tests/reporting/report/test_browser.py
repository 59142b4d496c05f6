"""The page in a browser: drawn, sorted, printed, read aloud, and unharmed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.browser import Watched, needs_browser, open_browser
from tests.reporting.report.fleet import publish_fleet
from tests.reporting.report.pages import HARMFUL, draw_report, harm, move, publish_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, needs_browser]
DRAWN = """
    document.querySelectorAll("figure.chart svg").length
    === document.querySelectorAll("figure.chart").length
"""
# Texts of charts that leave their chart or lie on one another, and cells or tables too wide.
CUT = """() => {
    const found = [];
    for (const svg of document.querySelectorAll("figure.chart svg")) {
        const room = svg.getBoundingClientRect(), boxes = [];
        for (const text of svg.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (!box.width || getComputedStyle(text).opacity === "0") continue;
            const isCut = box.left < room.left - 1 || box.right > room.right + 1;
            if (isCut) found.push(text.textContent);
            for (const [other, at] of boxes) {
                const wide = Math.min(box.right, at.right) - Math.max(box.left, at.left);
                const high = Math.min(box.bottom, at.bottom) - Math.max(box.top, at.top);
                if (wide > 1 && high > 4) found.push(`${text.textContent} on ${other}`);
            }
            boxes.push([text.textContent, box]);
        }
    }
    for (const place of document.querySelectorAll(".wide, td, .cards dd, .changes dd")) {
        const excess = place.scrollWidth - place.clientWidth;
        if (excess > 1) found.push(`${excess}: ${place.innerText}`);
    }
    return found;
}"""
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
    "flow",
    "concurrency",
    "stop_reasons",
    "durations",
    "survival_by_role",
    "survival_by_version",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return reports of a fleet that moves, of a large one, and of one that means harm."""
    homes = {name: tmp_path_factory.mktemp(name) for name in ("moving", "harmful", "large")}
    publish_world(homes["moving"], move())
    publish_world(homes["harmful"], harm())
    publish_fleet(homes["large"])
    return {name: draw_report(home) for name, home in homes.items()}


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


@pytest.mark.parametrize("watched", ["moving", "large"], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_barriers(watched: Watched, width: int, scheme: Literal["light", "dark"]) -> None:
    """Nothing serious stands in anyone's way, and the page is never wider than the window."""
    watched.page.set_viewport_size({"width": width, "height": 900})
    watched.page.emulate_media(color_scheme=scheme)
    assert watched.find_barriers() == []
    assert watched.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("watched", ["large"], indirect=True)
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut(watched: Watched, width: int) -> None:
    """No text of a chart leaves it or lies on another, and no table is wider than its place."""
    page = watched.page
    page.set_viewport_size({"width": width, "height": 900})
    page.reload()
    page.wait_for_function(DRAWN)
    page.evaluate("document.querySelectorAll('details').forEach((found) => found.open = true)")
    assert page.evaluate(CUT) == []
    for name in ("attention", "sessions", "versions", "failing"):
        assert page.locator(f"#{name}-table tbody tr").first.is_visible()


@pytest.mark.parametrize("watched", ["large"], indirect=True)
def test_a_span_tells_its_counts(watched: Watched) -> None:
    """Pointing at an area shows its time and each of its counts."""
    veil = watched.page.locator("#status_over_time svg .mark-rect path").nth(40)
    veil.hover(force=True)
    shown = watched.page.locator("#vg-tooltip-element").inner_text().split()
    assert {"UTC", "threads", "running", "idle", "archived", "other"} <= set(shown)


@pytest.mark.parametrize("watched", ["large"], indirect=True)
def test_an_old_page_says_so(watched: Watched) -> None:
    """The page warns if its data are older than polls come; one that is new does not."""
    page = watched.page
    assert "These numbers are" in page.locator("#old").inner_text()
    as_of = page.locator("time[data-stale-after]").get_attribute("datetime")
    assert as_of is not None
    page.clock.install(time=datetime.fromisoformat(as_of) + timedelta(minutes=20))
    page.reload()
    assert page.locator("#old").is_hidden()
    assert page.locator("#age").inner_text() == "20 min ago"


@pytest.mark.parametrize("watched", ["large"], indirect=True)
def test_long_tables_unfold(watched: Watched) -> None:
    """Of a long table ten rows are shown, and all of them at a press."""
    rows = watched.page.locator("#sessions-table tbody tr:visible")
    assert rows.count() == 10
    watched.page.get_by_role("button", name="Show all 60 rows").click()
    assert rows.count() == 60


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
    assert "<script>w" in str(shown)
    assert watched.page.evaluate("typeof window.pwned") == "undefined"
    assert watched.complaints == []
    assert watched.requests == [watched.page.url]
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 1280
