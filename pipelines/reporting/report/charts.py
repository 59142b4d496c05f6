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
    SERIES,
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
from pipelines.reporting.report.tables import format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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


def draw_survival_by_role(sections: Sections) -> Figure | None:
    """Return the survival curves of the roles."""
    return draw_survival(sections, "all", "survival_by_role", "Still open after a time, by role")


def draw_survival_by_version(sections: Sections) -> Figure | None:
    """Return the survival curves of agent versions."""
    title = "Still open after a time, by agent version"
    return draw_survival(sections, "agent_version", "survival_by_version", title)


def draw_survival(sections: Sections, dimension: str, name: str, title: str) -> Figure | None:
    """Return a dimension's survival curves: falling steps, each in its 95 % confidence band."""
    points = [row for row in sections["survival"].rows if row["dimension"] == dimension]
    rows = [point for row in points for point in list_points(row)]
    times = [row["t"] for row in rows if row["t"] > 0]
    if not times:
        return None
    x = scale_durations(times, "time since creation")("t")
    labels = list(dict.fromkeys(row["label"] for row in rows))
    colors = alt.Scale(
        domain=labels, range=[f"var(--series-{1 + i % SERIES})" for i, _ in enumerate(labels)]
    )
    color = alt.Color("label:N", scale=colors, legend=name_curves(labels))
    base = chart(rows, height=260).encode(x=x, color=color)
    y = alt.Y("low:Q", title="share still open", scale=alt.Scale(domain=[0, 1]), axis=PERCENT)
    band = base.mark_area(interpolate="step-after", opacity=0.12).encode(y=y, y2="high:Q")
    curve = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        y=alt.Y("open:Q"),
        strokeDash=alt.StrokeDash("label:N", scale=alt.Scale(domain=labels, range=DASHES)),
    )
    description = "Kaplan-Meier estimate of the share of threads still open, with 95 % bands."
    return make_figure(name, title, description, alt.layer(band, curve))


def name_curves(labels: Sequence[str]) -> alt.Legend:
    """Return a legend whose lines fit on a phone."""
    columns = 2 if max(map(len, labels)) <= SHORT else 1
    return alt.Legend(columns=columns, symbolType="stroke", symbolOpacity=1, symbolSize=400)


SHORT = 12
PERCENT = alt.Axis(format="%", tickCount=5)
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4]]


def list_points(row: Row) -> Iterable[Row]:
    """Return a row of survival as a point, after the curve's beginning if it is the first."""
    name, time = label(row["label"]), round(row["t_seconds"], 3)
    low, high = (fall_back(row, bound) for bound in ("low", "high"))
    if row["is_first"] and time > 0:
        yield {"label": name, "t": 0, "open": 1, "low": 1, "high": 1}
    yield {"label": name, "t": time, "open": row["survival"], "low": low, "high": high}


def fall_back(row: Row, bound: str) -> float:
    """Return a bound of the confidence band; at the ends of the scale it has none."""
    value: float | None = row[f"ci_{bound}"]
    return round(float(row["survival"]) if value is None else value, 4)


CHARTS: tuple[Callable[[Sections], Figure | None], ...] = (
    draw_status_now,
    draw_status_over_time,
    draw_open_over_time,
    draw_time_in_status,
    draw_durations,
    draw_survival_by_role,
    draw_survival_by_version,
)
