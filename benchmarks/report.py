"""What was measured, kept and shown: docs/performance.json, a picture of it, and a table to print.

docs/generate.py makes docs/performance.md of the same file: page, picture and numbers agree.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
import vl_convert
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Rows = Sequence[Mapping[str, Any]]

DOCS = Path(__file__).parents[1] / "docs"
KEPT = DOCS / "performance.json"
WIDTH = 150  # also where the output goes to a file
SECTIONS = ("comparison", "comparison_large", "growth", "latency")
COLUMNS = {
    "threads": "threads",
    "sessions": "sessions",
    "poll": "poll",
    "contestant": "contestant",
    "median_wall_s": "wall s",
    "ratio_wall": "ratio",
    "median_cpu_s": "CPU s",
    "ratio_cpu": "ratio",
    "median_fetch_s": "fetch s",
    "median_after_s": "after s",
    "median_peak_mb": "peak MB",
    "fault": "disqualified",
}
PANELS = {"median_wall_s": "seconds of wall clock", "median_cpu_s": "seconds of CPU"}


def describe_machine() -> dict[str, Any]:
    """Return what the numbers depend on besides the code."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "measured_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "python": platform.python_version(),
        "duckdb": version("duckdb"),
        "load_average": round(os.getloadavg()[2], 1),
    }


def read_kept() -> dict[str, Any]:
    """Return section -> what was measured of it last, None if nothing was."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return dict.fromkeys(SECTIONS) | kept


def save(section: str, rows: Rows) -> None:
    """Keep a section's rows in place of the previous ones; draw comparisons anew."""
    kept = read_kept() | {section: {"machine": describe_machine(), "rows": list(rows)}}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    KEPT.write_text(f"{text}\n", encoding="utf-8")
    if section.startswith("comparison"):
        picture = draw_comparison(rows)
        KEPT.with_name(f"performance_{section}.svg").write_text(picture, encoding="utf-8")


def print_rows(rows: Rows, columns: Mapping[str, str] | None = None) -> None:
    """Print one line per row: all its values, or those of the columns under their titles."""
    columns = columns or {key: key for key in rows[0]}
    table = Table(*columns.values())
    for row in rows:
        table.add_row(*(show(row[key]) for key in columns))
    Console(width=WIDTH).print(table)


def show(value: object) -> str:
    """Return a cell's text."""
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def draw_comparison(rows: Rows) -> str:
    """Return the medians of those who were right as an SVG picture: a line of panels per fleet."""
    frame = pl.DataFrame(
        [{key: row[key] for key in COLUMNS} for row in rows if not row["fault"]],
        infer_schema_length=None,
    )
    fleets = frame.select("threads", "sessions").unique(maintain_order=True).rows()
    lines = [
        alt.hconcat(
            *(
                draw_panel(
                    frame.filter(threads=threads, sessions=sessions),
                    column,
                    f"{threads:,} threads in {sessions:,} sessions: {title}",
                )
                for column, title in PANELS.items()
            )
        )
        for threads, sessions in fleets
    ]
    # A browser's font may be wider than the one that the labels were measured with.
    padding = {"left": 40, "right": 12, "top": 12, "bottom": 12}
    chart = alt.vconcat(*lines, background="white", padding=padding)
    chart = chart.configure_legend(orient="bottom").configure_axis(labelLimit=260)
    return vl_convert.vegalite_to_svg(chart.to_json())


def draw_panel(frame: pl.DataFrame, column: str, title: str) -> alt.Chart:
    """Return a column's bars: for each contestant one per poll."""
    polls = frame["poll"].unique(maintain_order=True).to_list()
    drawn: alt.Chart = (
        alt.Chart(frame, title=title, width=330)
        .mark_bar()
        .encode(
            x=alt.X(f"{column}:Q", title=None),
            y=alt.Y("contestant:N", sort=None, title=None),
            yOffset=alt.YOffset("poll:N", sort=polls),
            color=alt.Color("poll:N", sort=polls, title="poll"),
        )
    )
    return drawn
