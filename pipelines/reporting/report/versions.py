"""The table of versions: what stands below each figure, its interval and the one it is beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.reporting.formats import format_range, format_value
from pipelines.reporting.wording import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.reporting.formats import Kind


def describe_version(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the lines below its figures."""
    beside = f"v{row['compared_with']}"
    interval = (row["lifetime_low_seconds"], row["lifetime_high_seconds"])
    compared = (row["lifetime_compared_low_seconds"], row["lifetime_compared_high_seconds"])
    n, sessions = (format_value(row[f"{name}_compared"], "number") for name in ("n", "sessions"))
    return {
        **row,
        "version": f"v{row['version']}",
        "created": format_range(row["created_from"], row["created_until"], "instant"),
        "failed_lines": [
            *say_interval((row["failed_share_low"], row["failed_share_high"]), "share"),
            f"{beside}: {format_value(row['failed_share_compared'], 'share')}",
            *say_interval(
                (row["failed_share_compared_low"], row["failed_share_compared_high"]), "share"
            ),
        ],
        "lifetime_lines": [
            *say_interval(interval, "duration"),
            f"{beside}: {format_value(row['lifetime_compared_seconds'], 'duration')}",
            *say_interval(compared, "duration"),
        ],
        "version_lines": [f"beside {beside}"],
        "n_lines": [
            f"in {count(row['sessions'], 'session')}",
            f"{beside}: {n} in {sessions}",
        ],
        "created_lines": [
            f"{beside}: "
            + format_range(row["created_from_compared"], row["created_until_compared"], "instant")
        ],
    }


def say_interval(ends: tuple[float | None, float | None], kind: Kind) -> list[str]:
    """Return a confidence interval as a line; none if it is not known."""
    return [] if None in ends else [f"({format_range(*ends, kind)})"]
