"""Evidence is tested at each full listing: what was announced, what missed, what that means."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.builders import read, replay_all
from tests.warehouse.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow  # together they take long

TRIALS = """
    SELECT sequence, kind, count FROM evidence_trials
    JOIN runs USING (run_id) ORDER BY sequence, kind
"""
TABLES = (
    "FROM sessions ORDER BY ALL",
    "FROM session_evidence ORDER BY ALL",
    "FROM unannounced_changes ORDER BY ALL",
    "FROM evidence_trials ORDER BY ALL",
    "FROM source_polls ORDER BY sequence",
    "FROM evidence",
)


def announce(fleet: Fleet, id_: str) -> None:
    """Change the thread, and say so."""
    fleet.change(id_, status="terminated")


def keep_silent(fleet: Fleet, id_: str) -> None:
    """Change the thread, and say nothing."""
    fleet.change(id_, announce=False, status="terminated")


def stop(fleet: Fleet, id_: str) -> None:
    """Let the thread stop for another reason, and say nothing."""
    fleet.change(id_, announce=False, stop_reason={"type": "requires_action"})


def grow(fleet: Fleet, id_: str) -> None:
    """Add a thread, and say nothing."""
    fleet.change(id_, "t1", announce=False)


def spend(fleet: Fleet, id_: str) -> None:
    """Change the thread, and count its tokens."""
    fleet.change(id_, announce=False, status="terminated")
    fleet.say(id_, usage={"input_tokens": 1})


def archive_open(fleet: Fleet, id_: str) -> None:
    """Archive an open thread, and say nothing."""
    fleet.change(id_, announce=False, archived_at=fleet.stamp(fleet.minute))


def archive_closed(fleet: Fleet, id_: str) -> None:
    """Archive a thread that has been terminated for long, and say nothing."""
    fleet.change(id_, "closed", announce=False, archived_at=fleet.stamp(fleet.minute))


def speak(fleet: Fleet, id_: str) -> None:
    """Say something, though no thread has changed."""
    fleet.say(id_, updated_at=fleet.stamp(fleet.minute))


def rename(fleet: Fleet, id_: str) -> None:
    """Change what no row of the history holds, and say nothing."""
    fleet.change(id_, announce=False, name="other")


def lag(fleet: Fleet, id_: str) -> None:
    """Change the thread, and say so when the sessions have been listed already."""
    fleet.change(id_, announce=False, status="terminated")
    fleet.late[id_] = fleet.stamp(fleet.minute)


def run_threads(fleet: Fleet, id_: str) -> None:
    """Change the thread, and let the session run."""
    fleet.change(id_, announce=False, status="running")
    fleet.say(id_, status="running")


def do_nothing(fleet: Fleet, id_: str) -> None:
    """Change nothing."""


# What each does, and how the trials of the next three runs end.
QUIET = "quiet_unchanged"
ACTS: dict[Callable[[Fleet, str], None], tuple[list[str], list[str], list[str]]] = {
    do_nothing: ([QUIET], [QUIET], [QUIET]),
    announce: (["announced"], [QUIET], [QUIET]),
    spend: (["announced"], [QUIET], [QUIET]),
    run_threads: (["announced"], [], []),
    keep_silent: ([], ["missed", QUIET], [QUIET]),
    stop: ([], ["missed", QUIET], [QUIET]),
    grow: ([], ["missed", QUIET], [QUIET]),
    archive_open: ([], ["missed", QUIET], [QUIET]),
    archive_closed: (["late_archival"], [QUIET], [QUIET]),
    lag: ([], [], [QUIET]),
    rename: ([QUIET], [QUIET], [QUIET]),
    speak: ([], [QUIET], [QUIET]),
}


def test_trials(home: Path) -> None:
    """What a full listing shows is compared with what was said before it, and before the last one.

    A change of which nothing was said is a miss if the next run hears nothing of it either; replay
    finds the same.
    """
    fleet = Fleet(len(ACTS))
    for id_ in fleet.sessions:
        fleet.change(id_, "closed", announce=False, status="terminated")
    with fleet.serve():
        for number in range(5):
            fleet.minute = 15 * number
            for act, id_ in zip(ACTS, fleet.sessions, strict=True) if number == 1 else ():
                act(fleet, id_)
            fleet.minute += 5
            fleet.run(home)
    found = {number: Counter[str]() for number in range(1, 6)}
    for row in read(home, TRIALS):
        found[row["sequence"]][row["kind"]] += row["count"]
    assert found[1] == {}
    for number in range(3):
        assert found[number + 2] == Counter(kind for ends in ACTS.values() for kind in ends[number])
    missed = read(home, "SELECT session_id, thread_id, change FROM unannounced_changes ORDER BY 1")
    silent = [f"s{number:04}" for number, ends in enumerate(ACTS.values()) if "missed" in ends[1]]
    assert missed == [
        {"session_id": silent[0], "thread_id": "t0", "change": "idle → terminated"},
        {"session_id": silent[1], "thread_id": "t0", "change": "stopped for requires_action"},
        {"session_id": silent[2], "thread_id": "t1", "change": "new"},
        {"session_id": silent[3], "thread_id": "t0", "change": "archived"},
    ]
    (evidence,) = read(home, "FROM evidence")
    assert (evidence["changes_missed"], evidence["changes_announced"]) == (4, 0)
    before = [read(home, query) for query in TABLES]
    replay_all(home)
    assert [read(home, query) for query in TABLES] == before
