"""The page: its numbers, its limits, and that no text of a server's does harm."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pipelines.reporting.palette import STATUSES
from tests.reporting.report.pages import (
    HARMFUL,
    Outline,
    draw_report,
    harm,
    move,
    publish_world,
    widen,
)
from tests.support import read_table
from tests.warehouse.worlds import World, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.warehouse.worlds import Row


pytestmark = pytest.mark.slow  # together they take long


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, str]:
    """Return a world that moves, the data directory of it, and its report."""
    world = move()
    home = publish_world(tmp_path_factory.mktemp("moving") / "home", world)
    return world, home, draw_report(home).read_text(encoding="utf-8")


def draw(world: World, home: Path) -> str:
    """Return the report of a world."""
    return draw_report(publish_world(home, world)).read_text(encoding="utf-8")


def read_headline(page: str) -> dict[str, str]:
    """Return the numbers at the head of a page."""
    found = re.findall(r'data-headline="(\w+)">(.*?)</dd>', page)
    return {name: re.sub("<.*?>", "", text) for name, text in found}


def test_headline(moving: tuple[World, Path, str]) -> None:
    """Every number at the head of the page is that of a count made otherwise."""
    world, home, page = moving
    listed = [row for row in world.threads.values() if row["missing_since"] is None]
    query = "SELECT severity, count(*) AS threads FROM analytics.attention GROUP BY severity"
    rows = read_table(home / "threads.duckdb", query)
    waiting = {row["severity"]: row["threads"] for row in rows}
    newest = max(poll["started_at"] for poll in world.polls)
    assert len(listed) < len(world.threads)
    assert read_headline(page) == {
        "threads": str(len(listed)),
        "open": str(sum(row["is_open"] for row in listed)),
        "attention": str(waiting["high"] + waiting["medium"]),
        "as_of": f"{newest:%H:%M}",
        "coverage": f"{count_complete(world.polls)} of 6",
    }
    assert count_complete(world.polls) == 5
    assert f"{waiting['high']} of high severity; + {waiting['low']} minor" in page


def count_complete(polls: list[Row]) -> int:
    """Return the number of sessions whose last poll was complete."""
    newest: dict[tuple[str, str], Row] = {}
    for poll in sorted(polls, key=lambda poll: poll["started_at"]):
        if poll["outcome"] != "overtaken":
            newest[poll["source"], poll["session_id"]] = poll
    return sum(poll["outcome"] == "complete" for poll in newest.values())


def test_statuses(moving: tuple[World, Path, str]) -> None:
    """The table beside the chart counts each status, also those that nobody documents."""
    world, _, page = moving
    counts = Counter(
        row["status"] or "(none)" for row in world.threads.values() if not row["missing_since"]
    )
    rows = Outline(page).tables["status_now"][1:]
    assert {status: int(threads) for status, threads, _ in rows if threads != "0"} == counts
    assert "hibernating" in counts


def test_every_status_has_a_colour(moving: tuple[World, Path, str]) -> None:
    """Every status that the server documents has one colour, no other's, in light and in dark."""
    _, home, page = moving
    query = "SELECT status FROM statuses"
    documented = {row["status"] for row in read_table(home / "threads.duckdb", query)}
    colours = re.findall(r"--c-status-(\w+): (#\w+)", page)
    assert documented <= set(STATUSES) == {name for name, _ in colours}
    assert len(set(colours)) == len(colours) == 2 * len(STATUSES)


def test_over_time_ends_in_the_present(moving: tuple[World, Path, str]) -> None:
    """The curve of statuses over time ends with as many threads as there are now."""
    world, _, page = moving
    listed = [row for row in world.threads.values() if row["missing_since"] is None]
    assert read_values(page)["status_over_time"][-1]["total"] == len(listed)


def read_values(page: str) -> dict[str, list[Row]]:
    """Return chart -> the values in its specification."""
    found = re.findall(
        r'<figure class="chart" id="(\w+)">.*?<script type="application/json">(.*?)</script>',
        page,
        flags=re.DOTALL,
    )
    return {
        name: next(iter(json.loads(text)["datasets"].values()))
        if "datasets" in json.loads(text)
        else json.loads(text)["data"]["values"]
        for name, text in found
    }


def test_failing_session(moving: tuple[World, Path, str]) -> None:
    """A session whose newest poll failed is named below, with what went wrong."""
    _, _, page = moving
    _, row = Outline(page).tables["failing"]
    assert row[0].endswith("sess_0")
    assert "503: come back later" in row


def test_session_taken_out(tmp_path: Path) -> None:
    """A failing session that was taken out of the configuration alarms nobody a day later."""
    world = World()
    world.poll(60, state("a", "running"), session_id="out")
    world.poll(75, session_id="out", outcome="gone", error_message="404")
    for minutes in (75, 75 + 24 * 60 + 15):
        world.poll(minutes, state("b", "running"), session_id="kept")
    page = draw(world, tmp_path / "home")
    headline = read_headline(page)
    assert (headline["threads"], headline["coverage"]) == ("1", "1 of 1")
    assert "failing" not in Outline(page).tables
    assert "<strong>1 session</strong> polled no longer" in page


@pytest.mark.parametrize(("minutes", "stale"), [(20.0, 1), (40.0, 0)])
def test_stale_session(tmp_path: Path, minutes: float, stale: int) -> None:
    """A session is stale after as long as the configuration says, in the footer and the table."""
    world = World(settings={"stale_after_minutes": minutes})
    world.poll(60, state("a", "running"), session_id="late")
    for now in (60, 90):
        world.poll(now, state("b", "running"), session_id="kept")
    page = draw(world, tmp_path / "home")
    assert f"<strong>{stale} session{'s' * (stale != 1)}</strong> stale" in page
    assert f"more than {minutes:.0f}m 00s older" in page
    assert ("failing" in Outline(page).tables) == bool(stale)


def test_same_copy_same_bytes(moving: tuple[World, Path, str], tmp_path: Path) -> None:
    """The same published copy gives the same page, but for the time at which it was made."""
    _, home, page = moving
    again = draw_report(home, tmp_path / "again.html").read_text(encoding="utf-8")
    pages = [re.sub(r'<time id="made".*?</time>', "", text) for text in (page, again)]
    assert pages[0] == pages[1] != page


def test_limits_are_named(tmp_path: Path) -> None:
    """Long tables and histories are cut, and the page says of how many it shows how many."""
    page = draw(widen(), tmp_path / "home")
    tables = Outline(page).tables
    text = " ".join(page.split())
    assert (len(tables["attention"]), len(tables["sessions"])) == (1 + 50, 1 + 200)
    assert "50 of 200 in this page; <code>session-threads show attention</code>" in text
    assert "200 of 201 in this page; <code>session-threads show session_summary</code>" in text
    values = read_values(page)
    spans = values["status_over_time"]
    assert 70 < len(spans) <= 151
    assert (spans[-1]["archived"], spans[-1]["blocked"]) == (1, 200)


def test_who_waits_comes_first(tmp_path: Path) -> None:
    """Of many that gave up and one that asks, the table begins with the one somebody can help."""
    ended = {"archived_at": None, "stop_reason_type": "refusal"}
    given_up = [state(f"g{n}", "terminated", 0, 10, **ended) for n in range(2100)]
    world = World()
    world.poll(900, *given_up, state("asks", "idle", 0, 899, stop_reason_type="requires_action"))
    page = draw(world, tmp_path / "home")
    tables = Outline(page).tables
    assert len(tables["attention"]) == 1 + 50
    assert [row[:2] for row in tables["attention"][1:3]] == [
        ["low", "needs you"],
        ["low", "gave up"],
    ]
    assert read_headline(page)["attention"] == "0"
    assert "0 of high severity; + 2,101 minor" in page
    shares = {status: share for status, _, share in tables["status_now"][1:]}
    assert (shares["idle"], shares["running"]) == ("<0.1%", "0.0%")


def test_nothing_yet(tmp_path: Path) -> None:
    """A copy in which nothing was polled gives a page that says so, in place of empty charts."""
    page = draw(World(), tmp_path / "home")
    tags = Counter(tag for tag, _ in Outline(page).elements)
    assert (tags["figure"], tags["table"]) == (0, 0)
    assert read_headline(page)["as_of"] == "never"
    for said in ("No session was polled yet", "No thread is known yet", "No thread is closed yet"):
        assert said in page
    assert "The server says nothing of tokens or costs." in page


def test_text_stays_text(tmp_path: Path) -> None:
    """Whatever servers and settings say becomes text: no element, no attribute, no template."""
    page = draw(harm(), tmp_path / "home")
    outline = Outline(page)
    figures = [attributes for tag, attributes in outline.elements if tag == "figure"]
    scripts = [attributes for tag, attributes in outline.elements if tag == "script"]
    assert len(scripts) == len(figures) + 2
    assert len(figures) == 10
    assert not {tag for tag, _ in outline.elements} & {"img", "iframe", "object", "link", "base"}
    names = {name for _, attributes in outline.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "49" not in {cell for row in outline.tables["sessions"] for cell in row}
    for text in HARMFUL[:10]:
        assert any(text in row[0] for row in outline.tables["sessions"])
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u2028\x07\x1b]", page.split("<script")[0])
    assert "x" * 500 not in page
    lines = {value["label"] for value in read_values(page)["survival_by_role"]}
    assert len(lines) <= 5 < len(HARMFUL)  # a server may send any number of roles


def test_page_is_alone(moving: tuple[World, Path, str]) -> None:
    """The page asks for nothing from elsewhere, and its policy forbids that and compiling text."""
    _, _, page = moving
    elements = Outline(page).elements
    assert not [a for _, a in elements if "src" in a or not str(a.get("href", "#")).startswith("#")]
    (policy,) = [
        str(a["content"]) for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split(";")[1]
