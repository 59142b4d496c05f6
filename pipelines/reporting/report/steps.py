"""Charts of counts over time: steps as wide as the span that each count is of."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import altair as alt

from pipelines.reporting.formats import format_value
from pipelines.reporting.palette import STATUSES
from pipelines.reporting.report.axes import scale_time
from pipelines.reporting.report.style import INK, chart, color_statuses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pipelines.reporting.report.sections import Row

HEIGHT = 230
COUNT_AXIS = alt.Axis(tickCount=4, tickMinStep=1, format=",d")


def milliseconds(moment: datetime) -> int:
    """Return an instant as charts count it."""
    return round(moment.timestamp() * 1000)


def name_span(row: Row) -> str:
    """Return the span of time that a row is of, as a tooltip shows it."""
    starts, ends = (format_value(row[name], "moment") for name in ("starts_at", "ends_at"))
    same_day = starts[:10] == ends[:10]
    return f"{starts} to {ends[11:] if same_day else ends} UTC"


def stack_statuses(rows: Sequence[Row]) -> alt.TopLevelMixin:
    """Return counts by status, stacked; pointing at a span tells all of its counts."""
    spans = list_spans(rows)
    present = [status for status in STATUSES if status in spans[0]]
    areas = (
        chart([*spans, spans[-1] | {"at": spans[-1]["until"]}], HEIGHT)
        .transform_fold([*present], as_=["status", "threads"])
        .transform_calculate(rank=f"indexof({present}, datum.status)")
        .mark_area(interpolate="step-after", stroke="var(--c-card)", strokeWidth=0.5)
        .encode(
            x=scale_time("at"),
            y=alt.Y("threads:Q", title="threads", stack="zero", axis=COUNT_AXIS),
            color=color_statuses(present, alt.Legend()),
            order=alt.Order("rank:Q"),
        )
    )
    tooltip = [alt.Tooltip("span:N", title="at the end of")]
    tooltip += [alt.Tooltip("total:Q", title="threads", format=",")]
    tooltip += [alt.Tooltip(f"{status}:Q", format=",") for status in reversed(present)]
    return alt.layer(areas, point_at(spans, tooltip))


def list_spans(rows: Iterable[Row]) -> list[Row]:
    """Return a row for each span, with its counts by status."""
    spans = []
    for _, group in groupby(rows, key=lambda row: row["starts_at"]):
        members = list(group)
        counts = {row["status"]: row["threads"] for row in members}
        spans.append(place_span(members[0]) | {"total": sum(counts.values())} | counts)
    return spans


def place_span(row: Row) -> dict[str, Any]:
    """Return where a span of time lies, and how it reads."""
    starts, ends = milliseconds(row["starts_at"]), milliseconds(row["ends_at"])
    return {"at": starts, "until": ends, "span": name_span(row)}


def point_at(spans: list[Row], tooltip: list[alt.Tooltip]) -> alt.Chart:
    """Return what shows a tooltip for each span: a veil over it, seen while it is pointed at."""
    pointed = alt.selection_point(
        name="pointed", fields=["at"], on="pointerover", clear="pointerout", empty=False
    )
    veil: alt.Chart = (
        chart(spans, HEIGHT)
        .mark_rect(color=INK)
        .encode(
            x=scale_time("at"),
            x2="until:T",
            y=alt.value(0),
            y2=alt.value(HEIGHT),
            opacity=alt.condition(pointed, alt.value(0.14), alt.value(0)),
            tooltip=tooltip,
        )
        .add_params(pointed)
    )
    return veil
