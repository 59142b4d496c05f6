"""What is said of this machine's clock: beside the servers', and beside loaded polls."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelines import clock
from pipelines.reporting.wording import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FIX = "Set it (timedatectl set-ntp true)"
PAGE = "docs/operating.md, A wrong date"
# Longer than an answer takes to come, and than clocks differ that something keeps right.
MOST_SKEW_S = 60
# Without a server's clock, so long after the last run a clock is asked about.
LONG = timedelta(days=1)


def describe_skew(source: str, skew_seconds: float | None) -> str:
    """Return one line on how this machine's clock compares with a server's, None if it has none."""
    if skew_seconds is None:
        return f"source {source}: the server sends no Date to compare this machine's clock with"
    if abs(skew_seconds) <= MOST_SKEW_S:
        return f"source {source}: this machine's clock agrees with the server's"
    side = "ahead of" if skew_seconds > 0 else "behind"
    wrong = f"this machine's clock is {Duration(abs(skew_seconds))} {side} the server's"
    effect = ", whose time is recorded instead" if clock.find_error(skew_seconds) else ""
    return f"source {source}: {wrong}{effect}. {FIX}"


def describe_future(moment: datetime, now: datetime) -> str | None:
    """Return why a poll that began so cannot have; None if it can."""
    if moment <= now + clock.TOLERANCE:
        return None
    ahead = Duration((moment - now).total_seconds())
    wrong = f"its last complete poll lies {ahead} in the future: the clock is wrong, or was then"
    return f"{wrong}. {FIX}, then run again ({PAGE})"


def warn_of_skews(skews: Mapping[str, float | None]) -> list[str]:
    """Return a line for each source beside which this machine's clock was wrong."""
    return [describe_skew(name, skew) for name, skew in skews.items() if clock.find_error(skew)]


def warn_of_clocks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what runs show of a wrong clock, a line each, by the rows of `read_clocks`."""
    return list(dict.fromkeys(line for row in rows for line in _find_problems(row)))


def _find_problems(row: Mapping[str, Any]) -> Iterator[str]:
    if clock.find_error(row["skew_seconds"]):
        yield describe_skew(row["source"], row["skew_seconds"])
    if row["previous_at"] is None:
        return
    passed = row["started_at"] - row["previous_at"]
    began = f"this run began at {row['started_at']:%Y-%m-%d %H:%M}"
    previous = f"the one before at {row['previous_at']:%Y-%m-%d %H:%M} (UTC)"
    if passed < -clock.TOLERANCE:
        effect = "Its polls count as the later ones all the same"
        yield f"{began}, {previous}: a clock is wrong, or was. {effect} ({PAGE})"
    elif passed > LONG and row["skew_seconds"] is None:
        yield f"{began}, {previous}, and the server sends no Date: is the clock right? ({PAGE})"
