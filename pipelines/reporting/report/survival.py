"""The report's survival curves: how many threads are still open after a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from pipelines.reporting.report.style import (
    SERIES,
    Figure,
    chart,
    label,
    make_figure,
    scale_durations,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipelines.reporting.report.sections import Row, Sections

SHORT = 12
PERCENT = alt.Axis(format="%", tickCount=5)
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4]]


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
