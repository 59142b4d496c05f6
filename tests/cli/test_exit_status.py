"""What a run, and the state of the sessions, mean for the exit status and for Dagster's check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.cli.exit_status import exit_of_health, exit_of_run
from pipelines.defs.checks import check_sessions
from pipelines.reporting.health import read_health
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ledger import read_ledger
from tests.builders import at, load, see, thread
from tests.reporting.test_alerts import SETTINGS, collect

if TYPE_CHECKING:
    from pathlib import Path

FINE: dict[str, Any] = {"session_id": "fine", "outcome": "complete", "is_known": False, "pages": 1}
POLL = """
INSERT INTO session_polls
SELECT * REPLACE (? AS run_id, ? AS sequence, ? AS session_id, ? AS outcome, ? AS pages)
FROM session_polls
LIMIT 1
"""
# outcome, pages -> is it news, after those before it
STORIES = {
    "gone, forbidden, back": [
        ("complete", 1, False),
        ("gone", 0, True),
        ("gone", 0, False),
        ("forbidden", 0, True),
        ("forbidden", 0, False),
        ("gone", 0, True),
        ("complete", 1, False),
        ("gone", 0, True),
    ],
    "from the first poll on": [("gone", 0, True), ("gone", 0, False)],
    "a hiccup is no answer": [
        ("forbidden", 0, True),
        ("failed", 0, True),
        ("incomplete", 0, True),
        ("forbidden", 0, False),
    ],
    "part of it came": [("gone", 0, True), ("incomplete", 1, True), ("gone", 0, True)],
}


def test_news_of_a_session(home: Path) -> None:
    """That a session is gone, or forbidden, fails the run and the check when it is new, and once.

    Whether it is new or known, a run that asked nothing else has loaded nothing: 4.
    """
    load(home, 0, thread("a"))
    steps = [(name, minute) for name, story in STORIES.items() for minute in range(len(story))]
    with DuckdbFile(home).write() as tables:
        for name, minute in steps:
            outcome, pages, _ = STORIES[name][minute]
            tables.execute(POLL, [f"{name} {minute}", minute, name, outcome, pages])
        for name, minute in steps:
            outcome, pages, is_news = STORIES[name][minute]
            (row,) = read_ledger(tables, [f"{name} {minute}"])
            assert exit_of_run([row, FINE], []).exit_status == int(is_news), (name, minute)
            assert check_sessions([row, FINE]).passed is not is_news
            alone = 4 if not pages else int(outcome != "complete")
            assert exit_of_run([row], []).exit_status == alone
            beside = 0 if not is_news else alone
            assert exit_of_run([row], [], resting=3).exit_status == beside
        # What was new in a run that died before its load is new in the one that loads it too.
        rows = read_ledger(tables, [f"from the first poll on {minute}" for minute in (0, 1)])
        assert [row["is_known"] for row in rows] == [False, False]
    assert exit_of_run([FINE], ["a check found"]).exit_status == 1
    assert exit_of_run([], []).exit_status == 0
    assert exit_of_health([]).exit_status == 1


def test_state_of_what_is_gone(home: Path) -> None:
    """Status shows it, and ends with 1 only if nothing else is there; an alert is sent once."""
    see(home, 0, thread("a", "idle"))
    ok = read_health(DuckdbFile(home), SETTINGS, at(1))
    for minute, outcome in enumerate(["gone", "gone", "forbidden", "complete"], 10):
        see(home, minute, outcome=outcome, pages=0)
        lines = read_health(DuckdbFile(home), SETTINGS, at(minute))
        assert [line.state for line in lines] == ["ok" if outcome == "complete" else outcome]
        assert exit_of_health(lines).exit_status == int(outcome != "complete")
        assert exit_of_health([*lines, *ok]).exit_status == 0
        sent = collect(home, minute + 0.5)
        assert [outcome in text for text in sent] == [True] * (minute in {10, 12})
