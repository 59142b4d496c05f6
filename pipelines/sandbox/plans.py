"""Whole lives, planned in advance: those of threads, and of the sessions that they are in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.sandbox.naming import Agent


@dataclass(frozen=True)
class Event:
    """From `at` (seconds since the world's epoch) on the thread is in this state."""

    at: float
    status: str
    stop_reason: str | None = None
    is_archived: bool = False


@dataclass(frozen=True)
class ThreadPlan:
    """A thread's whole life; `events` begin with its birth."""

    id: str
    parent_id: str | None
    agent: Agent
    version: int
    model: str
    depth: int
    events: tuple[Event, ...]

    @property
    def born(self) -> float:
        """Seconds since the world's epoch."""
        return self.events[0].at


@dataclass
class SessionPlan:
    """A session's threads in order of birth; none until an empty session is first listed.

    It was `created` and `archived` at seconds since the world's epoch.
    """

    id: str
    threads: list[ThreadPlan] = field(default_factory=list)
    title: str = ""
    created: float = 0.0
    archived: float | None = None
