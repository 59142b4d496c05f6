"""The notebook: its numbers are the analyses', and no data can harm whoever opens it."""

from __future__ import annotations

import html
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import duckdb
import polars.selectors as cs
import pytest
from playwright.sync_api import Page, expect

from notebooks.threads import app
from pipelines.reporting.palette import COLORS
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.duckdb_file import open_tables
from pipelines.warehouse.opening import PUBLISHED
from tests.browser import Watched, needs_browser, open_browser
from tests.builders import at
from tests.support import ROOT, read_table
from tests.warehouse.cases import terminated
from tests.warehouse.worlds import World, fill, parsed_analyses, simulate, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow  # together they take long

READ = ("thread_durations", "attention", "ingestion_health", "agent_versions", "session_summary")
HOSTILE = (
    "<script>document.title = 'pwned'</script><img src=x onerror=\"document.title = 'pwned'\">",
    "![picture](https://elsewhere.example/a.png) [link](javascript:document.title='pwned')",
    "https://elsewhere.example/b.png",
    "http://elsewhere.example/c.svg",
    "//elsewhere.example/d.png",
    '{"image": "https://elsewhere.example/e.png"}',
    "<marimo-button data-label='\"x\"'></marimo-button>",
    "'; DROP TABLE selected; --",
    '"\n\x00\u202eback to front\u202c',
    "long " + "x" * 10_000,
    "long " + "x" * 10_001,
    "$x^2$ {datum.value} `code`",
    "(none)",
    "",
)


def write_copy(home: Path, world: World, *names: str) -> None:
    """Write the copy of a world that a publication leaves; only with the analyses named."""
    (home / PUBLISHED).unlink(missing_ok=True)
    with open_tables(home / PUBLISHED) as connection:
        fill(connection, world)
        for name, analysis in parsed_analyses().items():
            if name in names:
                build_analysis(connection, analysis)


def make_hostile_world() -> World:
    """Return a world in which every text of a server is hostile; each name has two threads."""
    world = World()
    listed = []
    for number, text in enumerate(HOSTILE):
        named: dict[str, Any] = {
            "agent_id": text,
            "agent_name": text,
            "agent_model": text,
            "name": text,
        }
        listed += [
            state(f"{number} {text}", text, stop_reason_type="requires_action", **named),
            state(f"{number} closed", "terminated", 0, 10 + number, role=text, **named),
        ]
    world.poll(100, *listed, label=HOSTILE[0])
    world.poll(130, *listed[:4], session_id=HOSTILE[2], error_message=HOSTILE[0])
    return world


def run(
    home: Path, monkeypatch: pytest.MonkeyPatch, **picked: Any
) -> tuple[str, Mapping[str, Any]]:
    """Run every cell; return all that they show, as text, and the variables."""
    monkeypatch.setenv("SESSION_THREADS_HOME", str(home))
    names = ("source", "session", "agent", "days")
    picked = {"days": (None, None)} | picked if picked else {}
    picks = {name: SimpleNamespace(value=picked.get(name)) for name in names if picked}
    outputs, variables = app.run(defs=picks)
    return " ".join(getattr(output, "text", "") for output in outputs), variables


@pytest.fixture(scope="module")
def world() -> World:
    """Return an ordinary world, with a source that did not list what had closed before."""
    world = simulate(5, 150, sources=2, sessions=2, polls=12)
    agent = {"agent_id": "agent_a", "agent_name": "Alpha"}
    late = [state(f"late{n}", "running", 5 * n, 5 * n, **agent) for n in range(40)]
    world.poll(210, *late, source="late", session_id="sess_late")
    ended = [late[n] | terminated(f"late{n}", 5 * n, 211 + n) for n in range(20)]
    world.poll(250, *ended, *late[20:], source="late", session_id="sess_late")
    return world


@pytest.fixture(scope="module")
def published(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of that world."""
    home = tmp_path_factory.mktemp("ordinary")
    write_copy(home, world, *parsed_analyses())
    return home


def test_numbers_are_those_of_the_analyses(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every thread picked, each frame holds what its analysis says of all of them."""
    text, shown = run(published, monkeypatch)
    (present,) = read_table(published / PUBLISHED, "SELECT max(as_of) AS at FROM source_as_of")
    assert f"Data as of {present['at']:%Y-%m-%d %H:%M} UTC" in text

    def read(analysis: str) -> list[dict[str, Any]]:
        query = f"FROM analytics.{analysis} WHERE dimension = 'all'"
        return read_table(published / PUBLISHED, query)

    now = {row["status"]: row["threads"] for row in read("status_distribution") if row["threads"]}
    assert dict(shown["statuses"].select("status", "threads").rows()) == now
    assert shown["statuses"]["share"].sum() == pytest.approx(1)
    moved = shown["over_time"].group_by("status", maintain_order=True).last()
    ended = {status: threads for status, _, threads in moved.rows() if threads}
    assert ended == now

    columns = ["role", "n", "n_open", "p50", "p90", "p99", "max"]
    closed = [row for row in read("duration_percentiles") if row["basis"] == "closed"]
    expected = sorted(tuple(row[column] for column in columns) for row in closed)
    assert shown["percentiles"].rows() == expected
    assert sum(shown["lifetimes"]["threads"]) == sum(row["n"] for row in closed)

    names = ("survival", "at_risk", "ci_low", "ci_high")
    curves = {
        (row["role"], row["t_seconds"]): tuple(row[name] for name in names)
        for row in read("survival")
    }
    points = {
        (row["role"], row["seconds"]): tuple(row[name] for name in names)
        for row in shown["survival"].to_dicts()
        if row["at_risk"] is not None
    }
    late = "SELECT count(*) AS threads FROM analytics.thread_durations WHERE entry_seconds > 0"
    assert read_table(published / PUBLISHED, late) == [{"threads": 40}]
    assert len(points) > 30
    assert points == curves

    spent = {row["status"]: row for row in read("time_in_status") if row["status"][0] != "("}
    assert set(shown["time_in_status"]["status"]) == set(spent)
    for row in shown["time_in_status"].to_dicts():
        own = spent[row["status"]]
        assert row["threads"] == own["threads"]
        assert row["time"] == pytest.approx(own["seconds"])
        assert own["seconds_low"] - 1e-3 <= row["low"] <= row["time"] <= row["high"] + 1e-3

    (waiting,) = read_table(
        published / PUBLISHED, "SELECT count(*) AS threads FROM analytics.attention"
    )
    assert len(shown["attention"]) == waiting["threads"] > 0


@pytest.mark.parametrize(
    ("picked", "belongs"),
    [
        ({"source": "source_1"}, lambda row: row["source"] == "source_1"),
        ({"session": "sess_2"}, lambda row: row["session_id"] == "sess_2"),
        ({"agent": "agent_a"}, lambda row: row["agent_id"] == "agent_a"),
        ({"agent": "(none)"}, lambda row: not row["agent_id"] and not row["agent_name"]),
        (
            {"days": (at(0).date(), at(0).date()), "session": "sess_1"},
            lambda row: row["session_id"] == "sess_1" and row["created_at"].date() == at(0).date(),
        ),
        ({"session": "'; DROP TABLE threads; --"}, lambda _: False),
    ],
)
def test_picks(
    world: World,
    published: Path,
    monkeypatch: pytest.MonkeyPatch,
    picked: dict[str, Any],
    belongs: Callable[[dict[str, Any]], bool],
) -> None:
    """Exactly the threads of the picked source, session, agent and days are shown."""
    text, shown = run(published, monkeypatch, **picked)
    expected = {key for key, row in world.threads.items() if belongs(row)}
    found = shown["connection"].execute("SELECT source, session_id, thread_id FROM selected")
    assert set(found.fetchall()) == expected
    assert ("pick something else" in text) == (not expected)


def test_hostile_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name can be picked, however long or odd; what is shown of it is short and visible."""
    write_copy(tmp_path, make_hostile_world(), *READ)
    text, shown = run(tmp_path, monkeypatch)
    assert "<script>document" not in text
    assert set(shown["agent"].options.values()) == {None, *HOSTILE}
    assert all(len(label) < 80 and label.isprintable() for label in shown["agent"].options)
    for frame in ("statuses", "over_time", "time_in_status", "attention", "by_session"):
        for column in shown[frame].select(cs.string()):
            assert column.str.len_chars().max() < 80
            assert all(value.isprintable() and "://" not in value for value in column)


@pytest.mark.parametrize(
    ("rows", "explained"),
    [
        (None, "nothing is published yet. Run `session-threads run` first"),
        (b"this is no database at all", "cannot be opened"),
        ([], "No thread is loaded yet"),
        ([state("only")], "Which of them need you?"),
        ([state("undated") | {"created_at": None, "updated_at": None}], "Which of them need you?"),
        ([state("only", "terminated")], "No time was seen"),
    ],
)
def test_little_data(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[dict[str, Any]] | bytes | None,
    explained: str,
) -> None:
    """A copy that is missing, damaged, empty or almost so is explained where it cannot be shown."""
    if isinstance(rows, bytes):
        (tmp_path / PUBLISHED).write_bytes(rows)
    elif rows is not None:
        world = World()
        if rows:
            world.poll(10, *rows)
        write_copy(tmp_path, world, *READ)
    text, shown = run(tmp_path, monkeypatch)
    assert explained in html.unescape(text)
    assert bool(rows and not isinstance(rows, bytes)) == ("by_session" in shown)


def test_copy_of_an_older_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a copy that lacks tables it is said what brings them."""
    with duckdb.connect(str(tmp_path / PUBLISHED)) as connection:
        connection.execute("CREATE TABLE threads (thread_id VARCHAR)")
    text, _ = run(tmp_path, monkeypatch)
    assert "lacks tables of this version: run" in text


@contextmanager
def serve_notebook(home: Path) -> Iterator[str]:
    """Serve the notebook as an app, with a separate configuration; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--headless", "--no-token", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "marimo", "run", "notebooks/threads.py", *options],
        cwd=ROOT,
        env=os.environ | {"SESSION_THREADS_HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(OSError), urlopen(f"{url}/health"):  # noqa: S310 - loopback
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watched, Path]]:
    """Open the hostile world's notebook in a browser; give the page and the data directory."""
    home = tmp_path_factory.mktemp("hostile")
    write_copy(home, make_hostile_world(), *READ)
    with serve_notebook(home) as url, open_browser() as watched:
        watched.page.goto(url)
        watched.page.get_by_role("heading", name="Queries to start from").wait_for()
        watched.page.get_by_text("last_complete_poll").first.wait_for()
        yield watched, home


def expect_threads(page: Page, number: int) -> None:
    """Wait until the page tells this number of threads."""
    expect(page.locator("marimo-stat").first).to_have_text(f"threads{number}")


@pytest.mark.slow
@needs_browser
def test_page_is_drawn(opened: tuple[Watched, Path]) -> None:
    """Every chart has its marks, and nothing is asked of another host, whatever the names."""
    watched, _ = opened
    charts = watched.page.locator(".vega-embed")
    expect(charts).to_have_count(5)
    for chart in charts.all():
        expect(chart.locator("svg .role-mark path").first).to_be_attached()
    bars = watched.page.locator("svg .layer_0_marks path")  # of the statuses and their time
    colours = {bar.evaluate("bar => getComputedStyle(bar).fill") for bar in bars.all()}
    shared = (COLORS[f"status-{status}"][0] for status in ("terminated", "other"))
    assert colours == {f"rgb{tuple(bytes.fromhex(colour[1:]))}" for colour in shared}
    assert watched.page.title() == "session-threads"
    assert {urlsplit(url).hostname for url in watched.requests} <= {"127.0.0.1", None}
    assert [text for text in watched.complaints if "was preloaded using" not in text] == []


@pytest.mark.slow
@needs_browser
def test_page_can_be_read_by_everyone(opened: tuple[Watched, Path]) -> None:
    """Axe finds no serious barrier, but for what marimo draws around a notebook and its tables."""
    watched, _ = opened
    # The button of marimo's menu has no name; the feet of its tables say "No selection" in grey.
    known = ("button-name", "No selection")
    barriers = watched.find_barriers()
    assert [found for found in barriers if not any(part in found for part in known)] == []


@pytest.mark.slow
@needs_browser
def test_page_follows_what_is_picked_and_loaded(opened: tuple[Watched, Path]) -> None:
    """A pick changes the numbers; a new copy is shown when it is asked for, and the pick stays."""
    watched, home = opened
    page = watched.page
    everything = 2 * len(HOSTILE) + 4
    expect_threads(page, everything)
    page.get_by_label("session").select_option(index=1)
    expect_threads(page, 2 * len(HOSTILE))
    world = make_hostile_world()
    world.poll(200, *world.given[0][1], state("new"))
    write_copy(home, world, *READ)
    page.get_by_label("agent").select_option(label="every agent")
    expect_threads(page, 2 * len(HOSTILE))
    page.get_by_role("button", name="Open the newest copy").click()
    expect_threads(page, 2 * len(HOSTILE) + 1)
    assert [text for text in watched.complaints if "was preloaded using" not in text] == []


@pytest.mark.slow
@needs_browser
def test_no_request_leaves_the_page(opened: tuple[Watched, Path]) -> None:
    """A picture that a query of the reader's own brings in is not fetched from another host."""
    page = opened[0].page
    blocked = page.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener("securitypolicyviolation", e => resolve(e.blockedURI));
            setTimeout(() => resolve("nothing"), 5000);
            new Image().src = "https://elsewhere.example/z.png";
        })"""
    )
    assert blocked == "https://elsewhere.example/z.png"
