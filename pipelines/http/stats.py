"""What the requests of one session cost, counted as they are sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pipelines import clock

if TYPE_CHECKING:
    from datetime import datetime


class RequestStats(msgspec.Struct):
    """What the requests of one session cost; `wait_seconds` is for back-off and rate limit.

    `skews` are the seconds that our clock was ahead of the server's, by each answer that says so.
    """

    requests: int = 0
    retries: int = 0
    wait_seconds: float = 0.0
    bytes: int = 0
    skews: list[float] = []
    on_wait: Callable[[float], None] = lambda _: None

    def wait(self, seconds: float) -> None:
        """Count a wait, before it or after."""
        self.wait_seconds += seconds
        self.on_wait(seconds)

    def compare_clocks(self, sent_at: datetime | None) -> None:
        """Note how far our clock is ahead as an answer begins; a Date is cut to a second."""
        if sent_at:
            self.skews.append((clock.now() - sent_at).total_seconds() - 0.5)

    @property
    def clock_skew_seconds(self) -> float | None:
        """How far our clock is ahead, by the median of the answers; None if none says."""
        ranked = sorted(self.skews)
        return round(ranked[len(ranked) // 2], 1) if ranked else None
