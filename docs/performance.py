"""What docs/performance.md is made of: measurements, limits, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.limits import GOALS, LIMITS
from benchmarks.report import read_kept
from benchmarks.server import PAGE
from pipelines.config.settings import Settings, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

INTERVALS = (1, 5, 15, 60)  # minutes


def gather_performance(kept: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values of the page's template, by default with what performance.json keeps."""
    source = {name: field.default for name, field in Source.model_fields.items()}
    return {
        "kept": read_kept() if kept is None else kept,
        "limits": LIMITS,
        "goals": GOALS,
        "source": source,
        "page": PAGE,
        "poll_interval": Settings.model_fields["poll_interval_minutes"].default,
        "retention": Settings.model_fields["raw_retention_days"].default,
        "capacities": [find_capacity(minutes, source) for minutes in INTERVALS],
    }


def split_fleets(rows: Sequence[Row]) -> list[tuple[int, int, list[Row]]]:
    """Return (threads, sessions, rows) of each fleet, in their order."""
    fleets: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        fleets.setdefault((row["threads"], row["sessions"]), []).append(row)
    return [(*fleet, members) for fleet, members in fleets.items()]


def show_costs(row: Row) -> list[str]:
    """Return the cells of a contestant's costs; of a disqualified one only why."""
    if row["fault"]:
        return [f"disqualified: {row['fault']}", *[""] * 7]
    ratios = [f"{row[key]:.1f}" if row[key] else "" for key in ("ratio_wall", "ratio_cpu")]
    wall, cpu = f"{row['median_wall_s']:.1f}", f"{row['median_cpu_s']:.1f}"
    return [
        wall,
        ratios[0],
        cpu,
        ratios[1],
        *(f"{row[key]:.1f}" if key in row else "" for key in ("median_fetch_s", "median_after_s")),
        f"{row['median_peak_mb']:.0f}",
        f"{len(row['wall_s'])}",
    ]


def find_capacity(minutes: int, source: Mapping[str, Any]) -> dict[str, float]:
    """Return what the requests of one poll interval can list, at the default limits."""
    requests = minutes * 60 * source["max_requests_per_second"]
    largest = minutes * 60 * 1000 / source["min_page_interval_ms"]
    return {
        "minutes": minutes,
        "requests": requests,
        "threads": requests * PAGE,
        "sessions": requests,
        "largest_session": min(largest, source["max_pages_per_session"]) * PAGE,
    }


def find_rows(rows: Sequence[Row], contestant: str) -> list[Row]:
    """Return the rows of one contestant."""
    return [row for row in rows if row["contestant"] == contestant]


FILTERS = {
    "count": "{:,.0f}".format,
    "fleets": split_fleets,
    "costs": show_costs,
    "of": find_rows,
}
