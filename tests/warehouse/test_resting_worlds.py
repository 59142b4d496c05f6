"""Sessions that rest, in worlds over HTTP: servers miss changes and fail, and runs are killed."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pipelines.config.polling import Polling
from pipelines.landing.directory import RAW
from pipelines.records import Progress, Selection
from tests.builders import publish_all, read, replay_all
from tests.warehouse.fleet import Fleet
from tests.warehouse.test_evidence import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.extract.plan import PlannedSource

pytestmark = pytest.mark.slow  # days of polls

HOUR = 60
SESSIONS = 10
INTERVAL = 6 * HOUR
POLLING = Polling(trust_after_changes=20, trust_after_days=1, full_listing_hours=24)
FAULTS = 1 / 8
# How runs end: most of them as they should.
ENDS = ["loaded"] * 9 + ["killed", "not loaded", "overtaken"]
# What is known of each session's threads, and the run that it is of.
KNOWN = """
    SELECT latest.session_id, runs.run_id, list_sort(list((thread_id, threads.status))) AS threads
    FROM latest_polls AS latest
    JOIN runs ON runs.sequence = latest.complete_sequence
    JOIN threads USING (session_id)
    GROUP BY ALL
"""
MISSES = "SELECT is_trusted, changes_missed > 0 AS has_missed FROM evidence"
REPLAYED = (
    *TABLES,
    "FROM runs ORDER BY ALL",
    "FROM session_polls ORDER BY ALL",
    "FROM threads ORDER BY ALL",
    "FROM thread_status_history ORDER BY ALL",
    "FROM session_digests ORDER BY ALL",
)


class Killed(Exception):
    """A run is killed."""


class Interrupted(Progress):
    """Does something as soon as the run's second page has come."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.pages, self.act = 0, act

    def page(self, threads: int) -> None:  # noqa: ARG002 - as its base
        """Do it, in a separate thread, as if in another process."""
        self.pages += 1
        if self.pages == 2:
            with ThreadPoolExecutor() as pool:
                pool.submit(self.act).result()


def kill() -> None:
    """Kill a run."""
    raise Killed


class World:
    """A fleet whose sessions change by chance; it keeps what was true at each run.

    Of `silent` sessions a change was not announced since they were listed.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.fleet, self.missed = home, Fleet(SESSIONS), 0.0
        self.chance = random.Random(seed)  # noqa: S311 - made up
        self.true: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self.silent: set[str] = set()

    def move(self) -> None:
        """Let hours pass, in which half of the sessions change, and not all say so."""
        self.fleet.minute += INTERVAL - 5
        for id_ in self.fleet.sessions:
            if self.chance.random() < 1 / 2:
                is_said = self.chance.random() >= self.missed
                name = self.chance.choice(["t0", "t0", f"t{len(self.true)}"])
                self.fleet.change(id_, name, announce=is_said, status=f"x{len(self.true)}")
                self.silent |= set() if is_said else {id_}
        self.fleet.minute += 5
        self.true[f"run-{self.fleet.minute:010.3f}"] = {
            id_: sorted((name, thread["status"]) for name, thread in threads.items())
            for id_, threads in self.fleet.threads.items()
        }

    def run(self, end: str, *, is_full: bool = False) -> PlannedSource | None:
        """Take a run that ends so; return what it asked if it is loaded.

        What fails is not asked again. One that is overtaken is loaded by the next.
        """
        selection, once = Selection(is_full=is_full), {"max_attempts": 1}
        if end == "loaded":
            return self.fleet.run(self.home, POLLING, selection, **once)
        acts = {"killed": kill, "overtaken": self.overtake, "not loaded": lambda: None}
        with suppress(Killed):
            self.fleet.land(self.home, POLLING, selection, Interrupted(acts[end]), **once)
        return None

    def overtake(self) -> None:
        """Take another run, a moment later."""
        now = self.true[f"run-{self.fleet.minute:010.3f}"]
        self.fleet.minute += 1
        self.true[f"run-{self.fleet.minute:010.3f}"] = now
        self.run("loaded")

    def check(self, planned: PlannedSource) -> None:
        """Hold that what is known was true when it was listed, and is true if that was announced.

        What rests was listed within a day.
        """
        known = {row["session_id"]: row for row in read(self.home, KNOWN)}
        runs = list(self.true)
        for id_, row in known.items():
            assert row["threads"] == self.true[row["run_id"]][id_]
            self.silent -= {id_} if row["run_id"] == runs[-1] else set()
        for choice in planned.choices:
            if not choice.is_asked:
                row = known[choice.session.id]
                assert float(runs[-1][4:]) - float(row["run_id"][4:]) <= 24 * HOUR + 1
                is_silent = choice.session.id in self.silent
                assert is_silent or row["threads"] == self.true[runs[-1]][choice.session.id]


@pytest.mark.parametrize("seed", range(int(os.environ.get("RESTING_SEEDS", "2"))))
def test_worlds(home: Path, seed: int) -> None:
    """Nothing is known wrong, only older, and never older than is said; at last all is the truth.

    One request in eight fails, and a run in four ends badly. A source that begins to miss changes
    while it is trusted is found out, and trusted no more. Replay gives the same, row for row.
    """
    world, rested = World(home, seed), 0
    planned: PlannedSource | None = None
    with world.fleet.serve(FAULTS, seed):
        while rested < 2 or planned is None or planned.is_trusted:
            world.missed = 0 if rested < 2 else 1 / 2
            world.move()
            if planned := world.run(world.chance.choice(ENDS)):
                world.check(planned)
                rested += any(not choice.is_asked for choice in planned.choices)
    with world.fleet.serve():
        world.move()
        planned = world.run("loaded", is_full=True)
        assert planned
        world.check(planned)
    assert {row["run_id"] for row in read(home, KNOWN)} == {[*world.true][-1]}
    assert read(home, MISSES) == [{"is_trusted": False, "has_missed": True}]
    before = [read(home, query) for query in REPLAYED]
    replay_all(home)
    assert [read(home, query) for query in REPLAYED] == before


def test_busy_fleet(home: Path) -> None:
    """A fleet in which all sessions change while they are listed earns trust: that is no miss.

    What replay finds no pages of has earned none.
    """
    fleet = Fleet(10)
    fleet.is_busy = True
    with fleet.serve():
        for _ in range(6):
            fleet.minute += 9 * HOUR
            planned = fleet.run(home, POLLING)
        assert planned.is_trusted
        assert {choice.reason for choice in planned.choices} == {"changed"}
        (evidence,) = read(home, "FROM evidence")
        assert (evidence["changes_announced"], evidence["changes_missed"]) == (50, 0)
        for path in sorted((home / RAW).iterdir())[:3]:
            path.unlink()
        replay_all(home, partial=True)
        publish_all(home, {})
        (evidence,) = read(home, "FROM evidence")
        assert (evidence["changes_announced"], evidence["changes_missed"]) == (20, 0)
        fleet.minute += 9 * HOUR
        assert not fleet.run(home, POLLING).is_trusted
