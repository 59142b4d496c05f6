"""Reports to look at: of a moving fleet, a wide one, one that means harm, and of nothing."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

from pipelines.reporting.report.file import REPORTS, write_report
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import publish_all
from tests.warehouse.worlds import World, fill, parsed_analyses, simulate, state

if TYPE_CHECKING:
    from pathlib import Path

HARMFUL = (
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 2</script>",
    "<!--<script>",
    '"><img src=x onerror="window.pwned = 3">',
    "' onmouseover='window.pwned = 4",
    "`${window.pwned = 5}`",
    "'); window.pwned = 6; ('",
    "{{ 7 * 7 }}{% include 'report.css' %}",
    "datum['pwned'].x[0]\\.y",
    "__proto__",
    "\u202egnp.exe\u2066 \u2028 \x07 \x1b[31m",
    "x" * 10_000,
)


def publish_world(home: Path, world: World) -> Path:
    """Publish a world in a data directory, and return that."""
    with DuckdbFile(home).write() as connection:
        fill(connection, world)
    publish_all(home, parsed_analyses())
    return home


def move() -> World:
    """Return a fleet that moved, in which the newest poll of a session failed."""
    world = simulate(seed=7, size=160, sources=2, sessions=3, polls=30, odd=0.03)
    failed = {"source": "source_0", "session_id": "sess_0", "outcome": "failed"}
    world.poll(620, **failed, error_message="503: come back later")
    return world


def widen() -> World:
    """Return a fleet with more of everything than the report shows."""
    world = World()
    for number in range(201):
        thread = state(f"t{number}", "blocked", agent_id=f"agent_{number}", agent_version=1)
        world.poll(1, thread, session_id=f"sess_{number}")
    late = state("t0", "archived", updated=24_000, archived_at=None)
    world.poll(24_060, late, session_id="sess_0")
    return world


def harm() -> World:
    """Return a fleet whose every text means harm."""
    world = World()
    children = [
        state(
            f"{text[:2000]}{number}",
            "archived" if version == 2 else [text, "blocked"][number % 2],
            updated=1 + number,
            name=text,
            role=text,
            agent_id=text,
            agent_name=text,
            agent_model=text,
            agent_version=version,
            stop_reason_type=["requires_action", text][version - 1],
        )
        for version in (1, 2)
        for number, text in enumerate(HARMFUL)
    ]
    for number, text in enumerate(HARMFUL):
        world.poll(100, *children, session_id=f"sess_{number}", label=text)
        fails = {"outcome": "failed", "error_message": text}
        world.poll(200 + number, session_id=f"sess_{number}", label=text, **fails)
    fields = {"json_type": "string", "value": None, "examples": 1, "run_id": "run-1"}
    first_seen_at = world.polls[0]["started_at"]
    world.drift = [fields | {"path": text, "first_seen_at": first_seen_at} for text in HARMFUL]
    return world


class Outline(HTMLParser):
    """What a page consists of: its elements in order, and table -> rows of cell texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = self.tables[str(dict(attrs)["id"]).removesuffix("-table")] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Note the text of a cell."""
        if (
            self._rows
            and self._rows[-1]
            and self.elements[-1][0] in {"td", "bdi", "i", "span", "button"}
        ):
            self._rows[-1][-1] += data.strip()


def draw_report(home: Path, out: Path | None = None) -> Path:
    """Write the report of what a data directory has published; return its path."""
    return write_report(DuckdbFile(home), home / REPORTS, out)
