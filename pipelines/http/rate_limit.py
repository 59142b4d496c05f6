"""When the next request of a source may be sent."""

from __future__ import annotations

import asyncio
import time
from collections import deque

SLOWEST_S = 1.0
RECOVERY = 0.95
# How much longer than it should a sleep may take on a busy machine.
LATENESS_S = 0.01


class RateLimiter:
    """Gives out evenly spaced turns, at most `per_second` of them in any second.

    After `slow_down` turns come half as often, and recover their rate turn by turn.
    """

    def __init__(self, per_second: float) -> None:
        self._fastest_s = 1 / per_second
        self._interval_s = self._fastest_s
        self._next = 0.0
        self._taken: deque[float] = deque(maxlen=max(1, int(per_second)))
        self._queue = asyncio.Lock()

    async def turn(self) -> float:
        """Wait for the next turn, first come, first served; return the seconds waited."""
        begun = time.monotonic()
        async with self._queue:
            # Another request may pause the source while this one sleeps.
            while (wait := self._earliest() - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            self._take(time.monotonic())
        return time.monotonic() - begun

    def pause(self, seconds: float) -> None:
        """Give out no turn for so long."""
        self._next = max(self._next, time.monotonic() + seconds)

    def slow_down(self, seconds: float) -> None:
        """Pause, and give out turns half as often afterwards; once for a burst of rejections."""
        if self._next <= time.monotonic() + self._interval_s:
            self._interval_s = min(self._interval_s * 2, max(SLOWEST_S, self._fastest_s))
        self.pause(seconds)

    def _earliest(self) -> float:
        is_full = len(self._taken) == self._taken.maxlen
        return max(self._next, self._taken[0] + 1 if is_full else 0)

    def _take(self, now: float) -> None:
        # A turn taken late may be made up for: sleeping always takes too long.
        self._next = max(self._next, now - max(self._interval_s, LATENESS_S)) + self._interval_s
        self._interval_s = max(self._fastest_s, self._interval_s * RECOVERY)
        self._taken.append(now)
