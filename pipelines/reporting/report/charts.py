"""The report's charts: sections as Vega-Lite specifications, which the page draws.

What servers send is used as values alone: none of it becomes the name of a field or part of an
expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from pipelines.reporting.report.style import (
    CLOSED,
    INK,
    STATUSES,
    TIME_LABEL,
    Figure,
    chart,
    classify,
    color_statuses,
    label,
    make_figure,
    pick_even_ticks,
    scale_durations,
    tick_durations,
)
from pipelines.reporting.report.survival import draw_survival_by_role, draw_survival_by_version
from pipelines.reporting.report.tables import format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.reporting.report.sections import Row, Sections


def draw_charts(sections: Sections) -> dict[str, Figure]:
    """Return name -> figure of every chart that has something to show."""
    drawn = (draw(sections) for draw in CHARTS)
    return {figure.name: figure for figure in drawn if figure}


def draw_status_now(sections: Sections) -> Figure | None:
    """Return a bar per status, with its number beside it."""
    rows = [
        {
            "label": label(row["status"]),
            "status": classify(row["status"]),
            "threads": row["threads"],
            "shown": f"{row['threads']:,} · {format_value(row['share'] or 0, 'share')}",
        }
        for row in sections["status_now"].rows
    ]
    if not any(row["threads"] for row in rows):
        return None
    bars = chart(rows).encode(
        x=alt.X("threads:Q", axis=None, scale=leave_room(rows)),
        y=alt.Y("label:N", title=None, sort=None),
    )
    layers = bars.mark_bar(size=18, cornerRadiusEnd=2).encode(color=color_statuses(rows, None))
    texts = bars.mark_text(align="left", dx=6).encode(text="shown:N")
    return make_figure(
        "status_now",
        "Threads in each status now",
        "Number of threads in each status.",
        alt.layer(layers, texts),
    )


def leave_room(rows: Sequence[Row]) -> alt.Scale:
    """Return a scale that leaves space for the number of the longest bar."""
    return alt.Scale(domain=[0, 1.7 * max(row["threads"] for row in rows)], nice=False)


def draw_status_over_time(sections: Sections) -> Figure | None:
    """Return all threads by status, stacked."""
    rows = list_counts(sections)
    description = "Number of threads in each status at the end of each span of time, stacked."
    return draw_stack("status_over_time", "Threads over time", description, rows)


def draw_open_over_time(sections: Sections) -> Figure | None:
    """Return the threads in statuses that are not closed, stacked."""
    rows = [row for row in list_counts(sections) if row["status"] not in CLOSED]
    description = "The same without closed threads."
    return draw_stack("open_over_time", "The same, open statuses alone", description, rows)


def list_counts(sections: Sections) -> list[Row]:
    """Return the counts of status_over_time as steps: the last span has an end, too."""
    counts = sections["status_over_time"].rows
    steps = [(row["starts_at"], row) for row in counts]
    steps += [(row["ends_at"], row) for row in counts if row["ends_at"] == counts[-1]["ends_at"]]
    return [
        {
            "at": round(moment.timestamp() * 1000),
            "status": row["status"],
            "rank": STATUSES.index(row["status"]),
            "threads": row["threads"],
        }
        for moment, row in steps
    ]


def draw_stack(name: str, title: str, description: str, rows: list[Row]) -> Figure | None:
    """Return counts by status over time as stacked steps."""
    if not rows:
        return None
    areas = chart(rows, height=230).mark_area(
        interpolate="step-after", stroke="var(--card)", strokeWidth=0.5
    )
    time = alt.X(
        "at:T",
        title="time (UTC)",
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(tickCount=5, labelExpr=TIME_LABEL, labelOverlap=True, grid=False),
    )
    stacked = areas.encode(
        x=time,
        y=alt.Y("threads:Q", title="threads", stack="zero", axis=alt.Axis(tickCount=4)),
        color=color_statuses(rows, alt.Legend()),
        order=alt.Order("rank:Q"),
    )
    return make_figure(name, title, description, stacked)


def draw_time_in_status(sections: Sections) -> Figure | None:
    """Return a bar per status, with the bounds of the estimate."""
    rows = [
        {
            "label": label(row["status"]),
            "status": classify(row["status"]),
            "low": row["seconds_low"],
            "high": row["seconds_high"],
            "seconds": row["seconds"],
            "time": format_value(row["seconds"], "duration"),
            "at_least": format_value(row["seconds_low"], "duration"),
            "at_most": format_value(row["seconds_high"], "duration"),
        }
        for row in sections["time_in_status"].rows
    ]
    longest = max((row["high"] for row in rows), default=0)
    if not longest:
        return None
    base = chart(rows).encode(y=alt.Y("label:N", title=None, sort=None))
    x = alt.X(
        "seconds:Q",
        title="time of all threads together",
        scale=alt.Scale(domain=[0, longest], nice=False),
        axis=tick_durations(pick_even_ticks(longest)),
    )
    bars = base.mark_bar(size=18, cornerRadiusEnd=2).encode(
        x=x,
        color=color_statuses(rows, None),
        tooltip=[alt.Tooltip("label:N", title="in"), "time:N", *BOUNDS],
    )
    bounds = base.encode(x="low:Q", x2="high:Q")
    # The line must be visible on a bar of any colour.
    halo = bounds.mark_rule(color="var(--card)", strokeWidth=6)
    line = bounds.mark_rule(color=INK, strokeWidth=2)
    return make_figure(
        "time_in_status",
        "Time in each open status, and its bounds ─",
        "Time that all threads together spent in each status that is not closed, with its bounds.",
        alt.layer(bars, halo, line),
    )


BOUNDS = (alt.Tooltip("at_least:N", title="at least"), alt.Tooltip("at_most:N", title="at most"))


def draw_durations(sections: Sections) -> Figure | None:
    """Return a line per role and agent version from the median lifetime to the 95th percentile."""
    rows = [
        {"label": label(row["label"]), "n": f"{row['n']:,}"}
        | {p: row[p] for p in ("p50", "p90", "p95")}
        | {f"{p}_read": format_value(row[p], "duration") for p in ("p50", "p90", "p95")}
        for row in sections["durations"].rows
        if row["n"]
    ]
    if not rows:
        return None
    x = scale_durations([row[p] for row in rows for p in ("p50", "p95")], "lifetime")
    tooltip = [alt.Tooltip("label:N", title="threads of"), alt.Tooltip("n:N", title="closed")]
    tooltip += [alt.Tooltip(f"{p}_read:N", title=p) for p in ("p50", "p90", "p95")]
    base = chart(rows).encode(y=alt.Y("label:N", title=None, sort=None), tooltip=tooltip)
    line = base.mark_rule(strokeWidth=5, color="var(--soft)").encode(x=x("p50"), x2="p95:Q")
    dots = [
        base.mark_point(filled=True, size=80, opacity=1, shape=shape, color=color).encode(x=x(p))
        for p, shape, color in (
            ("p50", "circle", "var(--series-1)"),
            ("p90", "diamond", "var(--series-2)"),
        )
    ]
    return make_figure(
        "durations",
        "Lifetime of closed threads: median ●, 90th percentile ◆, line to the 95th",
        "Median, 90th and 95th percentile of the lifetime of closed threads, by role and version.",
        alt.layer(line, *dots),
    )


CHARTS: tuple[Callable[[Sections], Figure | None], ...] = (
    draw_status_now,
    draw_status_over_time,
    draw_open_over_time,
    draw_time_in_status,
    draw_durations,
    draw_survival_by_role,
    draw_survival_by_version,
)
