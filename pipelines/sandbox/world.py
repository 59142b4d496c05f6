"""A deterministic fleet of sessions: what every thread is at any instant follows from the seed.

Each thread has a plan of its whole life. The world's clock says how much of it has happened, so
that polling the same instant twice gives the same answer, and moving the clock moves the fleet.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pipelines.sandbox.naming import draw_agents, draw_id, draw_session_id, title_session
from pipelines.sandbox.plans import Event, SessionPlan, ThreadPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Revision = Literal["a", "b"]

STATUSES: dict[Revision, tuple[str, ...]] = {
    "a": ("idle", "running", "archived", "terminated", "blocked"),
    "b": ("idle", "running", "rescheduling", "terminated"),
}
MODELS = ("ultimate", "lite")
HISTORY_TURNS = 40
BORN_LATER = 0.15
MAX_DEPTH = 3


class World:
    """Sessions of the given sizes, their children of so many `agents`.

    `turn_s` is the mean length of a turn in seconds; `clock` gives the present, and the world's
    epoch lies so far before its first answer that most of the threads have been born by then.
    `primary_id` is the id of each session's coordinator, in which {session_id} stands for that of
    the session; by default each has another one.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        seed: int = 0,
        revision: Revision = "a",
        turn_s: float = 60,
        agents: int = 12,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        primary_id: str | None = None,
    ) -> None:
        self.revision: Revision = revision
        self._primary_id = primary_id
        self._random = random.Random(seed)  # noqa: S311 - made-up data
        self.coordinator, *self._agents = draw_agents(self._random, 1 + agents)
        self._turn_s = turn_s
        self._clock = clock
        self._offset = timedelta()
        self._opening = HISTORY_TURNS * turn_s
        self._epoch = clock() - timedelta(seconds=self._opening)
        self.sessions: dict[str, SessionPlan] = {}
        for size in sizes:
            self.add_session(size)

    def now(self) -> datetime:
        """Return the world's present."""
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the world's clock forward."""
        self._offset += timedelta(seconds=seconds)

    def list_threads(self, session_id: str, statuses: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Return a session's threads as the API shows them now, in the order of its revision.

        A session without a thread gets its coordinator by being listed. Raises KeyError for an
        unknown session.
        """
        return [self.render(session_id, plan) for plan in self.list_plans(session_id, statuses)]

    def list_plans(self, session_id: str, statuses: Iterable[str] = ()) -> list[ThreadPlan]:
        """Return the plans behind `list_threads`, to render no more of them than a page holds."""
        session, present = self.sessions[session_id], self.elapsed()
        if not session.threads:
            session.threads.append(self._plan_thread(session_id, None, 0, present))
        born = self.born_threads(session)
        if self.revision == "b":
            born.sort(key=lambda plan: (plan.parent_id is not None, plan.id))
        if wanted := set(statuses):
            return [plan for plan in born if self._state(plan).status in wanted]
        return born

    def born_threads(self, session: SessionPlan) -> list[ThreadPlan]:
        """Return the threads of a session that are there by now."""
        return [plan for plan in session.threads if plan.born <= self.elapsed()]

    def render(self, session_id: str, plan: ThreadPlan) -> dict[str, Any]:
        """Return the thread object that the API shows now."""
        last = self._state(plan)
        thread: dict[str, Any] = {
            "id": plan.id,
            "type": "session_thread",
            "session_id": session_id,
            "parent_thread_id": plan.parent_id,
            "agent": {"id": plan.agent.id, "type": "agent", "version": plan.version},
            "status": last.status,
            "archived_at": self.stamp(last.at) if last.is_archived else None,
            "created_at": self.stamp(plan.born),
            "updated_at": self.stamp(last.at),
        }
        return thread | (self._extend_a(plan) if self.revision == "a" else self._extend_b(plan))

    def _state(self, plan: ThreadPlan) -> Event:
        return self.past(plan)[-1]

    def past(self, plan: ThreadPlan) -> Sequence[Event]:
        """Return what has happened to the thread by now, its birth at least."""
        happened = bisect_right(plan.events, self.elapsed(), key=lambda event: event.at)
        return plan.events[: max(happened, 1)]

    def elapsed(self) -> float:
        """Return the seconds since the world's epoch."""
        return (self.now() - self._epoch).total_seconds()

    def add_session(self, size: int) -> SessionPlan:
        """Add a session of so many threads, planned as if it had been there from the beginning."""
        session_id = draw_session_id(self._random)
        first = self._random.random() * self._turn_s
        births = sorted([first, *(self._draw_birth() for _ in range(1, size))]) if size else []
        threads: list[ThreadPlan] = []
        for birth in births:
            parent = self._random.choice(threads) if threads else None
            if parent and parent.depth >= MAX_DEPTH:
                parent = threads[0]
            depth = parent.depth + 1 if parent else 0
            parent_id = parent.id if parent else None
            threads.append(self._plan_thread(session_id, parent_id, depth, birth))
        created = births[0] if births else 0.0
        plan = SessionPlan(session_id, threads, title_session(len(self.sessions)), created)
        self.sessions[plan.id] = plan
        return plan

    def _draw_birth(self) -> float:
        later = self._random.random() < BORN_LATER
        begin, length = (self._opening, self._opening) if later else (0.0, self._opening)
        return begin + self._random.random() * length

    def _plan_thread(
        self, session_id: str, parent_id: str | None, depth: int, birth: float
    ) -> ThreadPlan:
        draw, own_id = self._random, draw_id(self._random, "sthr")
        primary_id = (self._primary_id or own_id).format(session_id=session_id)
        return ThreadPlan(
            id=own_id if parent_id else primary_id,
            parent_id=parent_id,
            agent=draw.choice(self._agents) if parent_id else self.coordinator,
            version=draw.choice((1, 1, 2)),
            model=draw.choice(MODELS),
            depth=depth,
            events=tuple(self._plan_life(birth, is_child=parent_id is not None)),
        )

    def _plan_life(self, birth: float, *, is_child: bool) -> list[Event]:
        """Draw turns and what ends them, until the thread is closed or its plan is long enough."""
        draw, at, events = self._random, birth, [Event(birth, "running")]
        while len(events) < HISTORY_TURNS:
            at += draw.expovariate(1 / self._turn_s)
            fate = draw.random()
            if is_child and fate < 0.18:  # noqa: PLR2004 - shares of the fates
                return [*events, Event(at, "archived", "archive", is_archived=True)]
            if is_child and fate < 0.25:  # noqa: PLR2004
                reason = draw.choice(("retries_exhausted", "budget_reached", "refusal"))
                return [*events, Event(at, "terminated", reason)]
            if fate < 0.32:  # noqa: PLR2004
                events.append(Event(at, "blocked" if self.revision == "a" else "rescheduling"))
            else:
                reason = "requires_action" if fate < 0.45 else "end_turn"  # noqa: PLR2004
                events.append(Event(at, "idle", reason))
            at += draw.expovariate(1 / self._turn_s)
            events.append(Event(at, "running"))
        return events

    def _extend_a(self, plan: ThreadPlan) -> dict[str, Any]:
        reason = self._state(plan).stop_reason
        agent = {
            "id": plan.agent.id,
            "type": "agent",
            "name": plan.agent.name,
            "model": plan.model,
            "version": plan.version,
        }
        return {
            "agent": agent,
            "agent_id": agent["id"],
            "agent_version": plan.version,
            "name": plan.agent.name if plan.parent_id else "",
            "role": "child" if plan.parent_id else "coordinator",
            "stop_reason": {"type": reason} if reason else {},
            "created_by_tool_use_id": plan.id.replace("sthr", "toolu") if plan.parent_id else None,
        }

    def _extend_b(self, plan: ThreadPlan) -> dict[str, Any]:
        past = self.past(plan)
        if past[-1].status not in {"archived", "terminated"}:
            return {"stats": None, "usage": None}
        turns = pairwise(past)
        active = sum(after.at - turn.at for turn, after in turns if turn.status == "running")
        return {
            "status": "terminated",
            "stats": {
                "startup_seconds": 0.5,
                "active_seconds": round(active, 3),
                "duration_seconds": round(past[-1].at - plan.born, 3),
            },
            "usage": {"input_tokens": int(active * 100), "output_tokens": int(active * 10)},
        }

    def instant(self, at: float) -> datetime:
        """Return when so many seconds since the world's epoch had passed."""
        return self._epoch + timedelta(seconds=at)

    def stamp(self, at: float) -> str:
        """Return the instant in one of the precisions that servers send."""
        text = self.instant(at).isoformat(timespec="microseconds").removesuffix("+00:00")
        return f"{text}123Z" if text.endswith("7") else f"{text}Z"


def draw_sizes(count: int, largest: int, seed: int = 0) -> list[int]:
    """Return sizes of sessions as fleets have them: many small, few large; the first is empty."""
    draw = random.Random(seed)  # noqa: S311 - made-up data
    sizes = [1 + int((largest - 1) * draw.random() ** 4) for _ in range(max(count - 2, 0))]
    return [0, largest, *sizes][:count]
