"""The clock of this machine. It may be wrong, and may be set at any moment: no order rests on it.

Nothing else reads it, so that what does is known (`tests/docs/test_house.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# No such server is older. Programs write year 1, 1970 or 9999 for "not set" and "never".
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Clocks that differ by less agree: answers take their time, and not every clock is synchronized.
TOLERANCE = timedelta(minutes=5)


def now() -> datetime:
    """Return the present (UTC) as this machine knows it."""
    return datetime.now(UTC)


def count_microseconds(moment: datetime) -> int:
    """Return how many microseconds after the beginning of 1970 a moment is."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def is_possible(moment: datetime) -> bool:
    """Whether a clock that says so was ever set."""
    return EARLIEST <= moment < LATEST


def find_error(skew_seconds: float | None) -> timedelta:
    """Return what a clock is ahead by, if that is more than TOLERANCE, else nothing."""
    skew = timedelta(seconds=skew_seconds or 0.0)
    return skew if abs(skew) > TOLERANCE else timedelta()
