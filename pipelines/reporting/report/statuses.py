"""The report's charts of statuses: now, over time, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from pipelines.reporting.formats import format_range, format_value
from pipelines.reporting.palette import CLOSED, classify
from pipelines.reporting.report.labels import label
from pipelines.reporting.report.steps import stack_statuses
from pipelines.reporting.report.style import (
    INK,
    Figure,
    chart,
    color_statuses,
    leave_room,
    make_figure,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.reporting.report.sections import Row, Sections

LONGEST_STATUS = 22


def draw_status_now(sections: Sections) -> Figure | None:
    """Return a bar per status, with its number beside it."""
    rows = [
        {
            "label": label(row["status"], LONGEST_STATUS),
            "status": classify(row["status"]),
            "threads": row["threads"],
            "shown": f"{row['threads']:,} · {format_value(row['share'] or 0, 'share')}",
        }
        for row in sections["status_now"].rows
    ]
    if not any(row["threads"] for row in rows):
        return None
    bars = chart(rows).encode(
        x=alt.X("threads:Q", axis=None, scale=leave_room(row["threads"] for row in rows)),
        y=alt.Y("label:N", title=None, sort=None),
        tooltip=[alt.Tooltip("label:N", title="status"), alt.Tooltip("shown:N", title="threads")],
    )
    color = color_statuses((row["status"] for row in rows), None)
    layers = bars.mark_bar(size=18, cornerRadiusEnd=2).encode(color=color)
    texts = bars.mark_text(align="left", dx=6).encode(text="shown:N")
    total = sections["status_now"].rows[0]["n"]
    return make_figure(
        "status_now",
        f"{format_value(total, 'number')} threads by their status now",
        "Number of threads in each status.",
        alt.layer(layers, texts),
    )


def draw_status_over_time(sections: Sections) -> Figure | None:
    """Return all threads by status, stacked."""
    description = "Number of threads in each status at the end of each span of time, stacked."
    rows = sections["status_over_time"].rows
    return draw_stack("status_over_time", "Threads over time", description, rows)


def draw_open_over_time(sections: Sections) -> Figure | None:
    """Return the threads in statuses that are not closed, stacked."""
    rows = [row for row in sections["status_over_time"].rows if row["status"] not in CLOSED]
    description = "The same without closed threads."
    return draw_stack("open_over_time", "The same, open statuses alone", description, rows)


def draw_stack(name: str, title: str, description: str, rows: Sequence[Row]) -> Figure | None:
    """Return counts by status over time; none of a single span, in which nothing can move."""
    if len({row["starts_at"] for row in rows}) < 2:  # noqa: PLR2004 - as it says
        return None
    return make_figure(name, title, description, stack_statuses(rows))


def list_shares(sections: Sections) -> list[Row]:
    """Return the statuses with their share of all time, and how it reads."""
    return [
        {
            "label": label(row["status"], LONGEST_STATUS),
            "status": classify(row["status"]),
            "share": row["share"],
            "low": row["share_low"],
            "high": row["share_high"],
            "end": max(row["share"], row["share_high"]),
            "shown": f"{format_value(row['share'], 'share')}"
            f" · {format_value(row['seconds_each'], 'duration')} each",
            "bounds": format_range(row["share_low"], row["share_high"], "share"),
            "threads": format_value(row["threads"], "number"),
        }
        for row in sections["time_in_status"].rows
        if row["share"] is not None
    ]


def draw_time_in_status(sections: Sections) -> Figure | None:
    """Return a bar per status: its share of all time, with the bounds of the estimate."""
    rows = list_shares(sections)
    if not rows:
        return None
    base = chart(rows).encode(
        y=alt.Y("label:N", title=None, sort=None),
        tooltip=[
            alt.Tooltip("label:N", title="status"),
            alt.Tooltip("shown:N", title="share of all time"),
            alt.Tooltip("bounds:N", title="between"),
            alt.Tooltip("threads:N", title="threads that had it"),
        ],
    )
    x = alt.X("share:Q", axis=None, scale=leave_room((row["end"] for row in rows), 2.3))
    color = color_statuses((row["status"] for row in rows), None)
    bars = base.mark_bar(size=18, cornerRadiusEnd=2).encode(x=x, color=color)
    bounds = base.encode(x="low:Q", x2="high:Q")
    # The line must be visible on a bar of any colour.
    halo = bounds.mark_rule(color="var(--c-card)", strokeWidth=6)
    line = bounds.mark_rule(color=INK, strokeWidth=2)
    texts = base.mark_text(align="left", dx=8).encode(x="end:Q", text="shown:N")
    return make_figure(
        "time_in_status",
        "Share of the time in each open status, and its bounds ─",
        "Share of the time of all threads together in each status that is not closed.",
        alt.layer(bars, halo, line, texts),
    )
