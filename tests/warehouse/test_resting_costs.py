"""What resting costs, counted at the server; FLEET sets how many sessions it has."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from pipelines.config.polling import Polling
from tests.builders import read
from tests.warehouse.fleet import Fleet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # it polls a fleet until it is trusted

SIZE = int(os.environ.get("FLEET", "60"))
POLLING = Polling(trust_after_days=1)
LISTED = """
    SELECT session_id, thread_id, status FROM threads ORDER BY session_id, thread_id
"""


def test_requests(home: Path) -> None:
    """A trusted fleet costs its list, the sessions that changed, and those whose turn it is.

    With 5 % of the sessions changed that is less than 15 % of a full poll. The ledger has a row for
    each listing, and at the end every row is the truth.
    """
    fleet, chance = Fleet(SIZE), random.Random(1)  # noqa: S311 - made up
    lists, turns, changed = -(-SIZE // 100), -(-SIZE // 32) + 1, SIZE // 20
    ids = list(fleet.sessions)

    def poll(minutes: int, sessions: list[str], status: str) -> int:
        fleet.minute += minutes
        for id_ in sessions:
            fleet.change(id_, status=status)
        fleet.minute, fleet.requests = fleet.minute + 5, []
        fleet.run(home, POLLING)
        return len(fleet.requests)

    with fleet.serve():
        for number in range(4):
            full = poll(13 * 60, ids[: max(SIZE // 10, 20)] if number else [], f"idle{number % 2}")
            assert full == SIZE + lists
        for number in range(3):
            requests = poll(10, chance.sample(ids, changed), f"x{number}")
            assert requests <= lists + changed + turns
            assert requests < 0.15 * full
        before = read(home, "SELECT count(*) AS polls FROM session_polls")[0]["polls"]
        unchanged = [poll(10, [], "") for _ in range(2)]
        assert max(unchanged) <= lists + turns  # of 1,000 sessions: 43 instead of 1,010
        after = read(home, "SELECT count(*) AS polls FROM session_polls")[0]["polls"]
        assert after - before == sum(unchanged) - 2 * lists
    truth = [
        {"session_id": id_, "thread_id": name, "status": thread["status"]}
        for id_, threads in fleet.threads.items()
        for name, thread in threads.items()
    ]
    assert read(home, LISTED) == truth


def test_tables_do_not_grow(home: Path) -> None:
    """A poll leaves a row, one per source, and one for each listing; resting none."""
    fleet, resting = Fleet(SIZE), Polling(trust_after_days=1, full_listing_hours=168)
    with fleet.serve():
        for number in range(4):
            for id_ in list(fleet.sessions)[:20] if number else ():
                fleet.change(id_, status=f"idle{number % 2}")
            fleet.minute += 13 * 60
            fleet.run(home, resting)
        before = count_rows(home)
        for _ in range(3):
            fleet.minute, fleet.requests = fleet.minute + 15, []
            fleet.run(home, resting)
            due = len(fleet.requests) - -(-SIZE // 100)
            assert due <= SIZE / 500
            grown = {"runs": 1, "source_polls": 1, "session_polls": due, "evidence_trials": due > 0}
            expected = {name: rows + grown.get(name, 0) for name, rows in before.items()}
            before = count_rows(home)
            assert before == expected


def count_rows(home: Path) -> dict[str, int]:
    """Return how many rows each table has."""
    names = [row["table_name"] for row in read(home, "SELECT table_name FROM duckdb_tables()")]
    (counts,) = read(
        home, f"SELECT {', '.join(f'(SELECT count(*) FROM {n}) AS {n}' for n in names)}"
    )
    return counts
