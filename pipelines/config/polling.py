"""Which sessions may rest, and what must be known of their source before."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.config.values import Strict


class Polling(Strict):
    """How sessions are chosen for a run.

    `adaptive` lets quiet ones rest, `full` lists every page of every session in every run; by
    default the first is for those that were found, and the second for those that someone named.
    """

    strategy: Literal["adaptive", "full"] | None = None
    full_listing_hours: int = Field(default=8, ge=1, le=24 * 7)
    trust_after_changes: int = Field(default=60, ge=1)
    trust_after_days: int = Field(default=3, ge=1)

    def lets_rest(self, origin: str) -> bool:
        """Whether sessions that came to be asked for in this way may rest."""
        if self.strategy is None:
            return origin == "discovered"
        return self.strategy == "adaptive"
