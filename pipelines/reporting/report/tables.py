"""The report's tables: which columns each has, and what a cell shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pipelines.reporting.wording import Duration, to_printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipelines.reporting.report.sections import Section

Kind = Literal["text", "prose", "word", "number", "share", "duration", "moment"]
LONGEST = 80
LONGEST_PROSE = 400
SMALLEST_SHARE = 0.0005
NOTHING = "–"  # noqa: RUF001 - as tables have it


class Column(msgspec.Struct, frozen=True):
    """A column: its field and title, and how a value is written; `id` is the field below."""

    field: str
    title: str
    kind: Kind = "number"
    id: str | None = None


class Cell(msgspec.Struct, frozen=True):
    """A cell: its text, a second line, and what it is sorted by, None of a text."""

    text: str
    detail: str
    order: float | None


class Layout(msgspec.Struct, frozen=True):
    """How a section becomes a table: `analysis` has all rows, `empty` is shown if there is none."""

    caption: str
    analysis: str
    empty: str
    columns: tuple[Column, ...]


class Table(msgspec.Struct, frozen=True):
    """A table as the page shows it, with some of the section's `total` rows."""

    name: str
    layout: Layout
    rows: list[list[Cell]]
    total: int


LIFETIMES = tuple(Column(name, name, "duration") for name in ("p50", "p75", "p90", "p95", "p99"))
SESSION = Column("session", "session", "text", id="session_id")
LAYOUTS: Mapping[str, Layout] = {
    "attention": Layout(
        "Threads that need someone",
        "attention",
        "Nothing needs anyone now.",
        (
            Column("severity", "severity", "word"),
            Column("reason", "reason", "word"),
            SESSION,
            Column("thread", "thread", "text", id="thread_id"),
            Column("quiet_seconds", "quiet for", "duration"),
            Column("threshold_seconds", "usual up to", "duration"),
            Column("agent", "agent", "text"),
            Column("status", "status", "text"),
        ),
    ),
    "status_now": Layout(
        "Threads in each status",
        "status_distribution",
        "No thread is known yet.",
        (
            Column("status", "status", "text"),
            Column("threads", "threads"),
            Column("share", "share", "share"),
        ),
    ),
    "time_in_status": Layout(
        "Time spent in each open status",
        "time_in_status",
        "No thread was seen in an open status yet.",
        (
            Column("status", "status", "text"),
            Column("threads", "threads"),
            Column("seconds", "time", "duration"),
            Column("seconds_low", "at least", "duration"),
            Column("seconds_high", "at most", "duration"),
            Column("share", "share", "share"),
        ),
    ),
    "durations": Layout(
        "Lifetimes of closed threads",
        "duration_percentiles",
        "No thread is closed yet.",
        (
            Column("label", "threads of", "text"),
            Column("n", "closed"),
            Column("n_open", "open"),
            *LIFETIMES,
            Column("max", "longest", "duration"),
            Column("km_p50", "p50 with open ones", "duration"),
            Column("km_p90", "p90 with open ones", "duration"),
        ),
    ),
    "survival": Layout(
        "When threads are closed, open ones counted as open until now",
        "survival",
        "No lifetime is known yet.",
        (
            Column("label", "threads of", "text"),
            Column("n", "threads"),
            Column("t75", "one in four", "duration"),
            Column("t50", "half", "duration"),
            Column("t25", "three in four", "duration"),
            Column("t10", "nine in ten", "duration"),
        ),
    ),
    "sessions": Layout(
        "Sessions",
        "session_summary",
        "No session was polled yet.",
        (
            SESSION,
            Column("attention", "need attention"),
            Column("threads", "threads"),
            Column("open", "open"),
            Column("running", "running"),
            Column("idle", "idle"),
            Column("blocked", "blocked"),
            Column("peak_concurrency", "peak open"),
            Column("last_outcome", "last poll", "word"),
            Column("last_updated_at", "last change (UTC)", "moment"),
            Column("source", "source", "text"),
        ),
    ),
    "versions": Layout(
        "Versions of agents beside the largest that began earlier",
        "agent_versions",
        "No agent has threads of two versions yet.",
        (
            Column("agent_name", "agent", "text", id="agent"),
            Column("failures", "failures", "word"),
            Column("speed", "speed", "word"),
            Column("version", "version"),
            Column("compared_with", "beside"),
            Column("n", "threads"),
            Column("n_compared", "beside"),
            Column("failed_share", "failed", "share"),
            Column("failed_share_compared", "beside", "share"),
            Column("lifetime_seconds", "typical lifetime", "duration"),
            Column("lifetime_compared_seconds", "beside", "duration"),
            Column("common_age_seconds", "by the age of", "duration"),
            Column("created_from", "created from (UTC)", "moment"),
            Column("created_until", "to", "moment"),
            Column("created_from_compared", "beside from", "moment"),
            Column("created_until_compared", "to", "moment"),
            Column("role", "role", "word"),
        ),
    ),
    "failing": Layout(
        "Sessions whose numbers are old",
        "ingestion_health",
        "No session is behind, and no last poll failed.",
        (
            SESSION,
            Column("source", "source", "text"),
            Column("last_outcome", "last poll", "word"),
            Column("failure_streak", "failures in a row"),
            Column("last_complete_poll", "last complete poll (UTC)", "moment"),
            Column("lag_seconds", "behind by", "duration"),
            Column("threads", "threads"),
            Column("last_error", "last error", "prose"),
        ),
    ),
    "quality": Layout(
        "What is odd in the data",
        "data_quality",
        "Nothing odd was found.",
        (
            Column("check", "check", "word"),
            Column("source", "source", "text"),
            Column("rows", "found"),
            Column("example", "for example", "text"),
        ),
    ),
}


def make_table(name: str, section: Section) -> Table:
    """Return a section as a table."""
    layout = LAYOUTS[name]
    rows = [[make_cell(column, row) for column in layout.columns] for row in section.rows]
    return Table(name, layout, rows, section.total)


def make_cell(column: Column, row: Mapping[str, Any]) -> Cell:
    """Return the cell of a row in a column."""
    value = row[column.field]
    text = format_value(value, column.kind)
    detail = format_value(row[column.id], "text") if column.id else ""
    return Cell(text, "" if detail == text else detail, find_order(value))


def format_value(value: Any, kind: Kind) -> str:  # noqa: ANN401 - of any column
    """Return a value as people write it."""
    return NOTHING if value is None else READERS[kind](value)


def find_order(value: object) -> float | None:
    """Return what a value is sorted by; None of a text, which is sorted as it reads."""
    if isinstance(value, datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return a text cut to what fits on a page, its invisible characters shown."""
    return to_printable(text if len(text) <= longest else f"{text[: longest - 1]}…")


def read_share(share: float) -> str:
    """Return a share in per cent; few of many are not shown as none."""
    return "<0.1%" if 0 < share < SMALLEST_SHARE else f"{share:.1%}"


READERS: Mapping[Kind, Callable[[Any], str]] = {
    "text": shorten,
    "prose": lambda value: shorten(value, LONGEST_PROSE),
    "word": lambda value: shorten(value.replace("_", " ")),
    "number": "{:,}".format,
    "share": read_share,
    "duration": lambda value: str(Duration(value)),
    "moment": lambda value: f"{value.astimezone(UTC):%Y-%m-%d %H:%M}",
}
