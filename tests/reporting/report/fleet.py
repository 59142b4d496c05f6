"""A fleet as large and odd as those in use: 60 sessions of 40 agents, polled 12 times in two days.

Lifetimes go from seconds to days, sessions fail, go away or are left out, and threads are odd.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.landing.directory import RAW
from pipelines.landing.footer import Footer, page_row
from pipelines.landing.format import write_run
from pipelines.landing.store import Directory
from pipelines.records import PageFetch, Poll, Run
from pipelines.sandbox.naming import draw_agents, draw_id, draw_session_id, title_session
from pipelines.sandbox.plans import Event, SessionPlan, ThreadPlan
from pipelines.sandbox.world import World, draw_sizes
from tests.builders import DAY, at, load_all, make_page, publish_all, sequence_of
from tests.warehouse.worlds import parsed_analyses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SESSIONS, AGENTS, POLLS, GAP_MINUTES = 60, 40, 12, 240
WEIGHTS = (12, 9, 6, *[1] * (AGENTS - 3))
BEGUN_S = 8 * 3600.0  # births begin so long before the first poll
END_S = BEGUN_S + POLLS * GAP_MINUTES * 60.0
LARGEST = 160
USAGE = (
    ("input_tokens", 900),
    ("output_tokens", 60),
    ("cache_read_input_tokens", 4000),
)


class Fleet:
    """The fleet and its clock: what a poll of a session at a minute of the first day sees."""

    def __init__(self, seed: int = 4) -> None:
        draw = self._draw = random.Random(seed)  # noqa: S311 - made-up data
        self._minute = 0.0
        self.world = World(
            [], turn_s=BEGUN_S / 40, clock=lambda: DAY + timedelta(minutes=self._minute)
        )
        coordinator, *agents = draw_agents(draw, 1 + AGENTS)
        paces = {agent.id: 90 * draw.lognormvariate(0, 1.2) for agent in agents}
        for index, size in enumerate(draw_sizes(SESSIONS, LARGEST, seed)):
            births = sorted(draw.triangular(0, END_S, BEGUN_S + 86_400) for _ in range(size or 1))
            threads: list[ThreadPlan] = []
            for birth in births:
                agent = draw.choices(agents, WEIGHTS)[0] if threads else coordinator
                version = 1 + (draw.random() < birth / END_S) + (birth > 0.9 * END_S)
                pace = paces.get(agent.id, 40_000)
                slower = 4 if version == 2 and agent is agents[0] else 1
                parent = draw.choice(threads) if threads else None
                threads.append(
                    ThreadPlan(
                        id=draw_id(draw, "sthr"),
                        parent_id=parent.id if parent else None,
                        agent=agent,
                        version=version,
                        model=draw.choice(("ultimate", "lite", "claude-opus-4-5-20251101")),
                        depth=parent.depth + 1 if parent else 0,
                        events=tuple(self._live(birth, slower * pace)),
                    )
                )
            session = SessionPlan(draw_session_id(draw), threads, title_session(index))
            self.world.sessions[session.id] = session

    def _live(self, born: float, pace_s: float) -> Iterator[Event]:
        """Draw a life of turns of some length; one in 40 then hangs for good."""
        draw, at_s = self._draw, born
        while at_s < END_S:
            yield Event(at_s, "running")
            at_s += pace_s * draw.lognormvariate(-1, 1.5)
            fate = draw.random()
            if fate < 0.45:
                yield Event(at_s, "archived", "archive", is_archived=True)
                return
            if fate < 0.55:
                yield Event(at_s, "terminated", draw.choice(("retries_exhausted", "refusal")))
                return
            if fate < 0.575:
                return
            if fate < 0.65:
                yield Event(at_s, "blocked")
            else:
                reason = "requires_action" if fate < 0.7 else "end_turn"
                yield Event(at_s, "idle", reason)
            at_s += 3 * pace_s * draw.lognormvariate(0, 1.5)

    def list_threads(self, number: int, session_id: str, index: int) -> list[dict[str, Any]]:
        """Return what a poll lists; some threads are odd, and some are listed no longer."""
        self._minute = number * GAP_MINUTES
        listed = self.world.list_threads(session_id)
        for place, thread in enumerate(listed):
            if thread["status"] in {"archived", "terminated"}:
                used = 1 + place % 97
                thread["usage"] = {key: part * used for key, part in USAGE}
                if index % 2:
                    cost = {"amount": str(used * 3), "currency": "USD"}
                    thread["usage"]["list_cost"] = cost
            if index % 20 == 9 and place % 31 == 5:
                thread["status"], thread["archived_at"] = "hibernating", None
            if index % 20 == 10 and place % 37 == 6:
                thread["updated_at"] = "2026-09-01T00:00:00Z"
        if index % 15 == 8 and number > 6:
            return [thread for place, thread in enumerate(listed) if place % 6 or not place]
        return listed

    def poll(self, home: Path, number: int) -> None:
        """Land the poll of all sessions."""
        begun = at(number * GAP_MINUTES)
        polls, rows = [], []
        for index, session in enumerate(self.world.sessions.values()):
            ended, message = find_fault(number, index)
            if ended is None:
                continue
            threads = []
            if ended in {"complete", "incomplete"}:
                threads = self.list_threads(number, session.id, index)
            body = msgspec.json.encode({"data": threads, "has_more": ended != "complete"})
            started = begun + timedelta(seconds=0.4 * index)
            came = started + timedelta(seconds=0.3)
            poll = Poll(
                source="qoder" if index % 3 else "qoder-cn",
                session_id=session.id,
                label=session.title,
                started_at=started,
                finished_at=came,
                outcome=ended,
                end_reason="has_more_false" if ended == "complete" else "error",
                status_filter=None,
                pages=int(bool(threads)),
                requests=1,
                retries=0,
                wait_seconds=0.0,
                bytes=len(body),
                threads_listed=len(threads),
                duplicates=0,
                error_type="api_error" if message else None,
                error_message=message,
            )
            polls.append(poll)
            if threads:
                rows.append(page_row(poll, PageFetch(1, None, make_page(body, came))))
        sequence = sequence_of(number * GAP_MINUTES)
        run = Run(
            id=f"run-{number}",
            sequence=sequence,
            started_at=begun,
            finished_at=begun + timedelta(seconds=30),
        )
        write_run(Directory(home / RAW), Footer(run, polls), rows)


def find_fault(number: int, index: int) -> tuple[str | None, str | None]:
    """Return how the poll of a session ends, None if it is not polled, and with which message."""
    if index == 4 and number >= 9:
        return "failed", "503 overloaded_error: The server is overloaded, try again in a minute"
    if index == 12 and number >= 7:
        return "gone", "404 not_found_error: Session was not found."
    if index == 21 and number >= 4:
        return None, None
    if index == 30 and number >= 10:
        return "forbidden", "403 permission_error: No access to this session."
    if index == 41 and number % 3 == 2:
        return "incomplete", "the cursor 'c3Rocl8wMTlmM2E' was given twice"
    return "complete", None


def publish_fleet(home: Path) -> Path:
    """Poll the fleet 12 times into a data directory, publish it, and return that."""
    fleet = Fleet()
    for number in range(POLLS):
        fleet.poll(home, number)
        load_all(home)
    publish_all(home, parsed_analyses())
    return home
