"""What the headers of a response say of time: when it was sent, and how long to wait."""

from __future__ import annotations

import email.utils
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH_S = 10**9
EPOCH_MS = 10**12
# Without the server's clock a moment farther away than this says that a clock is wrong.
BELIEVED_S = 86400.0


def read_sent_at(headers: Mapping[str, str]) -> datetime | None:
    """Return when the server sent the response, by its own clock; None if that is not known.

    A cache answers with the Date of when it asked, and says its Age.
    """
    if headers.get("age", "0").strip() != "0":
        return None
    return read_date(headers.get("date", ""))


def read_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks to wait; None if it asks for nothing.

    Retry-After-Ms, Retry-After (seconds or a date), then X-RateLimit-Reset (seconds from now, or
    since 1970 in seconds or milliseconds). Anything else is ignored.
    """
    milliseconds = read_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after", "")
    seconds, moment = read_number(asked), read_date(asked)
    if seconds is None and moment is not None:
        seconds = wait_until(moment.timestamp(), headers)
    # Many servers send the reset with every response; it matters only if nothing remains until
    # then.
    is_open = bool(read_number(headers.get("x-ratelimit-remaining")))
    return read_reset(headers) if seconds is None and not is_open else seconds


def read_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the response until X-RateLimit-Reset."""
    reset = read_number(headers.get("x-ratelimit-reset"))
    if reset is None or reset < EPOCH_S:
        return reset
    return wait_until(reset / 1000 if reset >= EPOCH_MS else reset, headers)


def wait_until(moment: float, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the response until a moment (Unix seconds), 0 if it has passed.

    They are counted by the server's clock. None if it does not say what that is, and by ours it is
    so long that one of the two must be wrong.
    """
    sent_at = read_sent_at(headers)
    seconds = max(0.0, moment - (sent_at or clock.now()).timestamp())
    return seconds if sent_at or seconds < BELIEVED_S else None


def is_exhausted(headers: Mapping[str, str]) -> bool:
    """Whether the server says that it will take no further request before the reset."""
    return read_number(headers.get("x-ratelimit-remaining")) == 0


def read_number(text: str | None) -> float | None:
    """Return a number that is not negative; None for everything else."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def read_date(text: str) -> datetime | None:
    """Return an HTTP date, which is UTC; None for what is none, or cannot be."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        # The library takes year 1 for 2001.
        return moment if clock.is_possible(moment) and str(moment.year) in text else None
    except (ValueError, OverflowError):
        return None
