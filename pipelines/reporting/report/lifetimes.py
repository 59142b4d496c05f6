"""The report's charts of lifetimes: percentiles, and how many are still open after a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from pipelines.reporting.formats import format_value
from pipelines.reporting.report.axes import scale_durations
from pipelines.reporting.report.labels import label_groups
from pipelines.reporting.report.style import DASHES, Figure, chart, color_series, make_figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipelines.reporting.report.sections import Row, Sections

STEP = 44
BELOW = 9
SHORT = 12
PERCENT = alt.Axis(format="%", tickCount=5)
PERCENTILES = ("p50", "p90", "p95")


def draw_durations(sections: Sections) -> Figure | None:
    """Return a line per role and agent version from the median lifetime to the 95th percentile."""
    found = [row for row in sections["durations"].rows if row["n"]]
    rows = [
        {"label": label, "n": f"{row['n']:,}", "title": f"{label}  (n = {row['n']:,})"}
        | {p: max(row[p], 0.001) for p in PERCENTILES}
        | {f"{p}_read": format_value(row[p], "duration") for p in PERCENTILES}
        for label, row in zip(label_groups(found), found, strict=True)
    ]
    if not rows:
        return None
    longest = max(row["p95"] for row in rows)
    x = scale_durations([row["p50"] for row in rows], longest, "lifetime", 1 / 4)
    tooltip = [alt.Tooltip("label:N", title="threads of"), alt.Tooltip("n:N", title="closed")]
    tooltip += [alt.Tooltip(f"{p}_read:N", title=p) for p in PERCENTILES]
    base = chart(rows, STEP * len(rows)).encode(
        y=alt.Y("title:N", title=None, sort=None, axis=None), tooltip=tooltip
    )
    # Names stand above their lines: beside them there is no room on a phone.
    names = base.mark_text(align="left", baseline="bottom", dy=2).encode(
        text="title:N", x=alt.value(0)
    )
    line = base.mark_rule(strokeWidth=5, color="var(--c-soft)", yOffset=BELOW)
    dots = [
        base.mark_point(
            filled=True, size=90, opacity=1, shape=shape, color=color, yOffset=BELOW
        ).encode(x=x(p))
        for p, shape, color in (
            ("p50", "circle", "var(--c-series-1)"),
            ("p90", "diamond", "var(--c-series-2)"),
        )
    ]
    return make_figure(
        "durations",
        "Lifetime of closed threads: median ●, 90th percentile ◆, line to the 95th",
        "Median, 90th and 95th percentile of the lifetime of closed threads, by role and version.",
        alt.layer(names, line.encode(x=x("p50"), x2="p95:Q"), *dots),
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
    shown = [
        f"{text} (n = {row['n']:,})" for text, row in zip(label_groups(points), points, strict=True)
    ]
    rows = [
        point for text, row in zip(shown, points, strict=True) for point in list_points(row, text)
    ]
    longest = max((row["t"] for row in rows), default=0)
    if longest <= 0:
        return None
    medians = [row["t50"] or longest for row in points]
    x = scale_durations(medians, longest, "time since creation", 1 / 40)("t")
    labels = list(dict.fromkeys(shown))
    color = alt.Color("label:N", scale=color_series(labels), legend=name_curves(labels))
    base = chart(rows, 260).encode(x=x, color=color)
    y = alt.Y("low:Q", title="share still open", scale=alt.Scale(domain=[0, 1]), axis=PERCENT)
    band = base.mark_area(interpolate="step-after", opacity=0.12).encode(y=y, y2="high:Q")
    curve = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        y=alt.Y("open:Q"),
        strokeDash=alt.StrokeDash("label:N", scale=alt.Scale(domain=labels, range=DASHES)),
    )
    tooltip = [
        alt.Tooltip("label:N", title="threads of"),
        alt.Tooltip("after:N", title="after"),
        alt.Tooltip("open:Q", title="still open", format=".1%"),
    ]
    dots = base.mark_point(size=120, opacity=0, filled=True).encode(y="open:Q", tooltip=tooltip)
    description = "Kaplan-Meier estimate of the share of threads still open, with 95 % bands."
    return make_figure(name, title, description, alt.layer(band, curve, dots))


def name_curves(labels: Sequence[str]) -> alt.Legend:
    """Return a legend whose lines fit on a phone."""
    columns = 2 if max(map(len, labels)) <= SHORT else 1
    return alt.Legend(columns=columns, symbolType="stroke", symbolOpacity=1, symbolSize=400)


def list_points(row: Row, label: str) -> Iterable[Row]:
    """Return a row of survival as a point, after the curve's beginning if it is the first."""
    time = round(row["t_seconds"], 3)
    low, high = (fall_back(row, bound) for bound in ("low", "high"))
    after = format_value(time, "duration")
    if row["is_first"] and time > 0:
        yield {"label": label, "t": 0, "after": "0s", "open": 1, "low": 1, "high": 1}
    yield {
        "label": label,
        "t": time,
        "after": after,
        "open": round(row["survival"], 4),
        "low": low,
        "high": high,
    }


def fall_back(row: Row, bound: str) -> float:
    """Return a bound of the confidence band; at the ends of the scale it has none."""
    value: float | None = row[f"ci_{bound}"]
    return round(float(row["survival"]) if value is None else value, 4)
