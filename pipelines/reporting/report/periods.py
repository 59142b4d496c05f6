"""The newest period beside the one before: what was created, closed and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.reporting.formats import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.reporting.formats import Kind
    from pipelines.reporting.report.sections import Row

NAMES = {604800: "week", 86400: "day", 3600: "hour"}


class Change(msgspec.Struct, frozen=True):
    """A figure of the newest period, the same of the one before, and how it changed."""

    title: str
    value: str
    before: str
    change: str


def name_period(rows: Sequence[Row]) -> str | None:
    """Return how long the periods are; None if the polls do not cover two."""
    return NAMES[rows[0]["width"]] if rows else None


def compare_periods(rows: Sequence[Row]) -> list[Change]:
    """Return each figure of the newest period beside that of the one before."""
    if not rows:
        return []
    now, before = rows
    return [
        compare("created", "number", now, before),
        compare("closed", "number", now, before),
        compare("failed_share", "share", now, before, "failed, of the closed"),
        compare("median_lifetime", "duration", now, before, "median lifetime of children"),
        compare("p95_lifetime", "duration", now, before, "95th percentile"),
    ]


def compare(field: str, kind: Kind, now: Row, before: Row, title: str = "") -> Change:
    """Return a figure beside the previous one; shares differ by points, others by a factor."""
    value, previous = now[field], before[field]
    if value is None or not previous:
        change = ""
    elif kind == "share":
        change = f"{100 * (value - previous):+.1f} points"
    else:
        change = format_value(value / previous - 1, "change")
    return Change(title or field, format_value(value, kind), format_value(previous, kind), change)
