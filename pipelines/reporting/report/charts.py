"""The report's charts: sections as Vega-Lite specifications, which the page draws.

What servers send is used as values alone: none of it becomes the name of a field or part of an
expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.reporting.report.flow import draw_concurrency, draw_flow, draw_stop_reasons
from pipelines.reporting.report.lifetimes import (
    draw_durations,
    draw_survival_by_role,
    draw_survival_by_version,
)
from pipelines.reporting.report.statuses import (
    draw_open_over_time,
    draw_status_now,
    draw_status_over_time,
    draw_time_in_status,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.reporting.report.sections import Sections
    from pipelines.reporting.report.style import Figure

CHARTS: tuple[Callable[[Sections], Figure | None], ...] = (
    draw_status_now,
    draw_time_in_status,
    draw_status_over_time,
    draw_open_over_time,
    draw_flow,
    draw_concurrency,
    draw_stop_reasons,
    draw_durations,
    draw_survival_by_role,
    draw_survival_by_version,
)


def draw_charts(sections: Sections) -> dict[str, Figure]:
    """Return name -> figure of every chart that has something to show."""
    drawn = (draw(sections) for draw in CHARTS)
    return {figure.name: figure for figure in drawn if figure}
