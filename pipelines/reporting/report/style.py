"""The style of the charts in the report and the notebook: fonts, axes, and colours of statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import msgspec

from pipelines.reporting.palette import SERIES, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipelines.reporting.report.sections import Row

LINE_HEIGHT = 28
INK, MUTED, LINE = "var(--c-ink)", "var(--c-muted)", "var(--c-line)"
FONT = "system-ui, sans-serif"
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4]]
CONFIG = {
    "background": "transparent",
    "font": FONT,
    "aria": False,  # the page names each chart, and has its numbers in a table
    "mark": {"aria": False},
    "padding": {"left": 0, "right": 8, "top": 4, "bottom": 6},
    "view": {"stroke": "transparent"},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": LINE,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelPadding": 6,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "axisY": {"grid": False, "labelLimit": 200},
    "axisYQuantitative": {"grid": True},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 0,
        "columns": 3,
        "symbolStrokeWidth": 2,
    },
    "text": {"color": INK, "fontSize": 12},
    "title": {"color": INK, "fontSize": 14, "anchor": "start", "fontWeight": 600},
}
STYLE = {"config": CONFIG, "autosize": {"type": "fit-x", "contains": "padding"}}


class Figure(msgspec.Struct, frozen=True):
    """A chart as the page shows it: `description` is for those who do not see it."""

    name: str
    title: str
    description: str
    spec: dict[str, Any]


def chart(rows: list[Row], height: int | None = None) -> alt.Chart:
    """Return a chart as wide as its place; without a height it has a line for each row."""
    high = LINE_HEIGHT * len(rows) if height is None else height
    return alt.Chart(alt.InlineData(values=rows), width="container", height=high)


def make_figure(name: str, title: str, description: str, drawn: alt.TopLevelMixin) -> Figure:
    """Return a chart as a figure, in the report's style."""
    return Figure(name, title, description, drawn.to_dict() | STYLE)


def color_statuses(statuses: Iterable[str], legend: alt.Legend | None) -> alt.Color:
    """Return the colour of each status, the same in every chart; the legend names those present."""
    found = set(statuses)
    present = [status for status in STATUSES if status in found]
    colors = [f"var(--c-status-{status})" for status in present]
    return alt.Color("status:N", scale=alt.Scale(domain=present, range=colors), legend=legend)


def color_series(labels: Sequence[str]) -> alt.Scale:
    """Return the colours of lines that are no statuses."""
    colors = [f"var(--c-series-{1 + i % SERIES})" for i, _ in enumerate(labels)]
    return alt.Scale(domain=list(labels), range=colors)


def leave_room(values: Iterable[float], room: float = 1.7) -> alt.Scale:
    """Return a scale that leaves space for the text beside the longest bar."""
    return alt.Scale(domain=[0, room * max(values)], nice=False)
