"""Timestamps as servers write them, and whether they can be (docs/api.md, 3.6 and 6.2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pipelines import clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LEAP_SECOND = re.compile(r"(?<=:\d\d:)60")
EARLIEST = (clock.EARLIEST - _EPOCH) // _MICROSECOND
LATEST = (clock.LATEST - _EPOCH) // _MICROSECOND
# What begins with such a year is an instant that can be, in any zone, or no instant at all.
POSSIBLE = frozenset(map(str, range(clock.EARLIEST.year + 1, clock.LATEST.year - 1)))


def read_instant(text: str | None) -> int | None:
    """Return an RFC 3339 timestamp as microseconds since 1970, finer digits cut.

    One without an offset is UTC. None for what is no time, or one that cannot be.
    """
    if text is None:
        return None
    instant = _parse(text)
    return instant if instant is not None and EARLIEST <= instant < LATEST else None


def means_archived(value: object) -> bool:
    """Whether an `archived_at` that is no instant says that its thread is archived.

    Any value does, except those that mean not set, or never.
    """
    if isinstance(value, str):
        return bool(value.strip()) and _parse(value) is None
    return bool(value)


def _parse(text: str) -> int | None:
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError, OverflowError):
        pass
    # Without an offset, in small letters, or in a leap second.
    plain, leaps = _LEAP_SECOND.subn("59", text.strip().upper())
    try:
        moment = datetime.fromisoformat(plain)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MICROSECOND + leaps * 1_000_000
    except (ValueError, OverflowError):
        return None
