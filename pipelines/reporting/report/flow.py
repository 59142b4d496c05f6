"""The report's charts of what comes and goes: threads created, closed, open; why turns end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from pipelines.reporting.formats import format_value
from pipelines.reporting.report.axes import scale_time
from pipelines.reporting.report.labels import label
from pipelines.reporting.report.steps import COUNT_AXIS, HEIGHT, place_span, point_at
from pipelines.reporting.report.style import Figure, chart, color_series, leave_room, make_figure

if TYPE_CHECKING:
    from pipelines.reporting.report.sections import Row, Sections

NAMES_OF_SPANS = {60: "minute", 3600: "hour", 86400: "day", 604800: "week"}


def list_flow(sections: Sections, *names: str) -> list[Row]:
    """Return the spans of time that are over, with some of their numbers; none if it is one."""
    rows = [
        place_span(row) | {name: row[name] for name in names}
        for row in sections["flow"].rows
        if row["is_over"]
    ]
    return rows if len(rows) > 1 else []


def draw_flow(sections: Sections) -> Figure | None:
    """Return how many threads were created and closed in each span of time, as two lines."""
    rows = list_flow(sections, "created", "closed")
    if not rows:
        return None
    width = sections["flow"].rows[0]["width"]
    each = NAMES_OF_SPANS.get(width, format_value(width, "duration"))
    lines = (
        chart([*rows, rows[-1] | {"at": rows[-1]["until"]}], HEIGHT)
        .transform_fold(["created", "closed"], as_=["event", "threads"])
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=scale_time("at"),
            y=alt.Y("threads:Q", title=f"threads in each {each}", axis=COUNT_AXIS),
            color=alt.Color("event:N", scale=color_series(["created", "closed"])),
        )
    )
    tooltip = [alt.Tooltip("span:N", title="in")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=",") for name in ("created", "closed")]
    return make_figure(
        "flow",
        f"Created and closed in each {each}",
        "Number of threads that were created, and that were closed, in each span of time.",
        alt.layer(lines, point_at(rows, tooltip)),
    )


def draw_concurrency(sections: Sections) -> Figure | None:
    """Return how many threads were open at once, at most, in each span of time."""
    rows = list_flow(sections, "peak")
    if not rows:
        return None
    values = [*rows, rows[-1] | {"at": rows[-1]["until"]}]
    area = (
        chart(values, HEIGHT)
        .mark_area(
            interpolate="step-after",
            color="var(--c-series-1)",
            opacity=0.25,
            line={"color": "var(--c-series-1)", "strokeWidth": 2, "interpolate": "step-after"},
        )
        .encode(x=scale_time("at"), y=alt.Y("peak:Q", title="open at once", axis=COUNT_AXIS))
    )
    tooltip = [
        alt.Tooltip("span:N", title="in"),
        alt.Tooltip("peak:Q", title="open at most", format=","),
    ]
    return make_figure(
        "concurrency",
        "Threads open at once, at most",
        "Largest number of threads that were open at one time, in each span of time.",
        alt.layer(area, point_at(rows, tooltip)),
    )


def draw_stop_reasons(sections: Sections) -> Figure | None:
    """Return a bar per reason for which a turn ended, with its number beside it."""
    rows = [
        {
            "label": label(row["reason"].replace("_", " "), 24),
            "threads": row["threads"],
            "shown": f"{row['threads']:,} · {format_value(row['share'], 'share')}",
        }
        for row in sections["stop_reasons"].rows
    ]
    if not rows:
        return None
    base = chart(rows).encode(
        x=alt.X("threads:Q", axis=None, scale=leave_room(row["threads"] for row in rows)),
        y=alt.Y("label:N", title=None, sort=None),
        tooltip=[alt.Tooltip("label:N", title="reason"), alt.Tooltip("shown:N", title="threads")],
    )
    bars = base.mark_bar(size=18, cornerRadiusEnd=2, color="var(--c-series-1)")
    texts = base.mark_text(align="left", dx=6).encode(text="shown:N")
    total = format_value(sections["stop_reasons"].rows[0]["n"], "number")
    return make_figure(
        "stop_reasons",
        f"Why the last turn of {total} threads ended",
        "Number of threads by the reason for which their last turn ended.",
        alt.layer(bars, texts),
    )
