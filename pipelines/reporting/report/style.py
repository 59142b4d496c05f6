"""The style of the report's charts: colours, axes, and durations on them.

Colours are variables of the page's style sheet, so that one chart serves light, dark and paper.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import altair as alt
import msgspec

from pipelines.files import list_statuses
from pipelines.reporting.report.tables import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.reporting.report.sections import Row

# From the ground of a stack to its top: closed threads below those that move.
CLOSED = list_statuses(closed=True)[::-1]
STATUSES = (*CLOSED, "other", *list_statuses(closed=False)[::-1])
SERIES = 5
NICE_S = (
    *(0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 6 * 3600, 12 * 3600),
    *(86400 * part * 10**power for power in range(8) for part in (1, 2, 5)),
)
TICKS = 6
LINE_HEIGHT = 28
# Lifetimes that differ by more than this factor are drawn on a logarithmic scale.
SKEWED = 30
DURATION_LABEL = """
    datum.value < 60 ? datum.value + 's'
    : datum.value < 3600
        ? floor(datum.value / 60) + 'm' + (datum.value % 60 ? ' ' + datum.value % 60 + 's' : '')
    : datum.value < 86400
        ? floor(datum.value / 3600) + 'h'
            + (datum.value % 3600 ? ' ' + (datum.value % 3600) / 60 + 'm' : '')
    : format(datum.value / 86400, ',') + 'd'
"""
TIME_LABEL = """
    utchours(datum.value) || utcminutes(datum.value)
        ? utcFormat(datum.value, '%H:%M')
        : utcFormat(datum.value, '%-d %b')
"""
INK, MUTED, LINE = "var(--ink)", "var(--muted)", "var(--line)"
FONT = "system-ui, sans-serif"
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
    "axisY": {"grid": False, "labelLimit": 150},
    "axisYQuantitative": {"grid": True},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 220,
        "columns": 3,
        "symbolStrokeWidth": 2,
    },
    "text": {"color": INK, "fontSize": 12},
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


def label(text: str) -> str:
    """Return a text as a chart can show it, whoever wrote it: some texts break Vega."""
    short = shorten(text)
    return f"{short}\N{NO-BREAK SPACE}" if short == "__proto__" else short


def classify(status: str) -> str:
    """Return the status whose colour is used: undocumented ones share one."""
    return status if status in STATUSES else "other"


def color_statuses(rows: Sequence[Row], legend: alt.Legend | None) -> alt.Color:
    """Return the colour of each status, the same in every chart; the legend names those present."""
    present = [status for status in STATUSES if any(row["status"] == status for row in rows)]
    colors = [f"var(--status-{status})" for status in present]
    return alt.Color("status:N", scale=alt.Scale(domain=present, range=colors), legend=legend)


def scale_durations(seconds: Sequence[float], title: str) -> Callable[[str], alt.X]:
    """Return what makes the x axis of a field in seconds; logarithmic for skewed values."""
    longest, middle = max(seconds), statistics.median(seconds)
    if longest > SKEWED * middle > 0:
        scale = alt.Scale(type="symlog", constant=middle / 10, domain=[0, longest], nice=False)
        ticks, title = pick_rising_ticks(middle / 10, longest), f"{title} (logarithmic)"
    else:
        scale = alt.Scale(domain=[0, longest], nice=False)
        ticks = pick_even_ticks(longest)
    return lambda field: alt.X(f"{field}:Q", title=title, scale=scale, axis=tick_durations(ticks))


def tick_durations(ticks: Sequence[float]) -> alt.Axis:
    """Return an axis with these ticks, which read as durations."""
    return alt.Axis(
        values=list(ticks), labelExpr=DURATION_LABEL, labelOverlap=True, labelSeparation=8
    )


def pick_even_ticks(longest: float) -> list[float]:
    """Return a few multiples of a round duration."""
    years = math.ceil(longest / TICKS / NICE_S[-1]) * NICE_S[-1]
    step = next((nice for nice in NICE_S if longest <= TICKS * nice), years)
    return [step * i for i in range(int(longest / step) + 1)]


def pick_rising_ticks(shortest: float, longest: float) -> list[float]:
    """Return a few round durations, each a multiple of the one before."""
    within = [nice for nice in NICE_S if shortest <= nice <= longest]
    return [0, *within[:: math.ceil(len(within) / TICKS) or 1]]
