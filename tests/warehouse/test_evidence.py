"""Evidence is tested at each full listing: what was announced, what missed, what that means."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.config.polling import Polling
from pipelines.extract.history import Trials
from pipelines.extract.resting import count_reasons
from pipelines.records import Selection
from pipelines.reporting.plans import describe_trials
from pipelines.warehouse.analyses import list_analyses
from tests.builders import build, publish_all, read, replay_all
from tests.reporting.report.pages import draw_report
from tests.support import CANARY, invoke
from tests.warehouse.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.extract.plan import PlannedSource

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


SOON = Polling(trust_after_days=1, full_listing_hours=168)
HOUR = 60


def earn_trust(fleet: Fleet, home: Path) -> None:
    """Poll until every session has announced three changes in the course of a day."""
    for number in range(4):
        fleet.minute = 13 * HOUR * number
        for id_ in fleet.sessions if number else ():
            fleet.change(id_, status="idle" if number % 2 == 0 else "blocked")
        fleet.minute += 5
        fleet.run(home, SOON)


def count_reasons_of(planned: PlannedSource) -> dict[str, int]:
    """Return how many sessions were asked, or rest, for each reason."""
    return {str(reason): number for reason, number in count_reasons(planned.choices).items()}


def test_quiet_sessions_rest(home: Path) -> None:
    """Once its source is trusted a quiet session is not asked, and nothing else of it moves.

    A change that is announced is seen at once; one that is not ends the trust of the source in the
    run in which that is known, and every session is listed in that run. A thread was quiet for as
    long as its session was said to be. Replay gives the same.
    """
    fleet, changed = Fleet(20), "s0007"
    fleet.change(changed, announce=False, updated_at=fleet.stamp(39 * HOUR))
    with fleet.serve():
        earn_trust(fleet, home)
        tables = ("threads", "thread_spells", "session_digests", "session_evidence")
        before = [read(home, f"FROM {name} ORDER BY ALL") for name in tables]
        fleet.minute, fleet.requests = 40 * HOUR + 20, []
        assert count_reasons_of(fleet.run(home, SOON)) == {"resting": 20}
        assert fleet.requests == ["sessions"]
        assert [read(home, f"FROM {name} ORDER BY ALL") for name in tables] == before
        states = read(home, "SELECT DISTINCT state, state_reason FROM sessions")
        assert states == [
            {
                "state": "resting",
                "state_reason": "the list of sessions says nothing new of it",
            }
        ]
        fleet.change(changed, status="terminated", updated_at=fleet.stamp(40 * HOUR + 30))
        fleet.minute, fleet.requests = 40 * HOUR + 35, []
        assert count_reasons_of(fleet.run(home, SOON)) == {"resting": 19, "changed": 1}
        assert fleet.requests == ["sessions", "threads"]
        (silence,) = read(home, "SELECT age_of_step(step) AS seconds FROM silences")
        assert silence["seconds"] == pytest.approx(80 * 60, rel=0.02)
        health = [row for row in build(home, "ingestion_health") if row["quiet_as_of"]]
        assert len(health) == 19
        assert {round(row["missed_share_upper"], 3) for row in health} == {0.048}
        hours = build(home, "status_over_time")
        assert (hours[-1]["sessions_resting"], hours[-1]["sessions_stale"]) == (19, 0)
        (stuck,) = [row for row in build(home, "attention") if row["session_id"] == "s0003"]
        assert (stuck["as_of_basis"], stuck["as_of"]) == ("evidence", health[0]["quiet_as_of"])
        publish_all(home, list_analyses())
        page = draw_report(home).read_text(encoding="utf-8")
        assert "sessions whose last poll was complete; 19 rest since, at most 1h 30m</dd>" in page
        assert "<strong>19 sessions</strong> resting" in page
        fleet.change(changed, announce=False, status="idle")
        fleet.minute += 15
        assert count_reasons_of(fleet.run(home, SOON)) == {"resting": 20}
        fleet.minute += 15
        assert len(fleet.run(home, SOON, Selection(is_full=True)).sessions) == 20
        assert read(home, "SELECT DISTINCT state FROM sessions") == [{"state": "polled"}]
        fleet.minute += 15
        assert count_reasons_of(fleet.run(home, SOON)) == {"untrusted": 20}
    polls = read(home, "FROM source_polls ORDER BY sequence")
    assert [row["sessions_polled"] for row in polls] == [20] * 4 + [0, 1, 0, 20, 20]
    assert [row["sessions_resting"] for row in polls] == [0] * 4 + [20, 19, 20, 0, 0]
    assert [row["is_trusted"] for row in polls] == [False] * 4 + [True] * 4 + [False]
    (missed,) = read(home, "FROM unannounced_changes")
    assert (missed["session_id"], missed["change"]) == (changed, "terminated → idle")
    (evidence,) = read(home, "FROM evidence")
    assert not evidence["is_trusted"]
    assert (evidence["changes_announced"], evidence["missed_share_upper"]) == (0, 1)
    rows = [read(home, query) for query in TABLES]
    replay_all(home)
    assert [read(home, query) for query in TABLES] == rows


UNTRUSTED = (
    "source fleet: no session rests until {} of 3 sessions were announced over 3 days; so far {}"
)
CONFIG = """
sources:
  - {{name: fleet, base_url: "{}", token_env: FLEET_PAT, discover: true}}
"""


def test_what_is_missing() -> None:
    """Of a source that is not trusted it is said what is missing, a miss in the last month too."""
    hour = 3_600_000_000
    missed = "30 days after one was missed (1970-01-01 00:00 UTC), and 1 change"
    cases = (
        (Trials(1, 1, hour, 3 * hour, 0), missed, "1 change of 1 session over 2h 00m"),
        (Trials(1, 1, hour, hour), "1 change", "1 change of 1 session"),
        (Trials(), "1 change", "none"),
    )
    for trials, needed, so_far in cases:
        said = describe_trials("fleet", trials, 3, Polling(trust_after_changes=1))
        assert said == UNTRUSTED.format(needed, so_far)


@pytest.mark.usefixtures("home")
def test_plan_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan` asks for the list of sessions alone, and says what the next run asks, and why."""
    fleet = Fleet(3)
    fleet.say("s0002", title="Nightly\x1b[2J build")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEET_PAT", CANARY)
    with fleet.serve():
        Path("sessions.yaml").write_text(CONFIG.format(fleet.base_url), encoding="utf-8")
        planned = invoke("plan")
        assert fleet.requests == ["sessions"]
        ran = invoke("run")
        fleet.minute += 5
        again = invoke("plan")
        document = json.loads(invoke("plan", "--json").stdout)
        fleet.sessions["s0001"]["id"] = 7
        failed = invoke("plan")
    assert planned.stdout.splitlines()[-3:] == [
        "3 of 3 sessions asked: 3 new; 0 resting",
        "4 requests expected: 1 for the list of sessions, 3 for their threads",
        UNTRUSTED.format("60 changes", "none"),
    ]
    assert "it was never listed to its end" in planned.stdout
    assert "Nightly" in planned.stdout
    assert "\x1b" not in planned.stdout
    assert "3 of 3 sessions asked: 3 new; 0 resting" in ran.stdout
    untrusted = "3 of 3 sessions asked: 3 not trusted yet; 0 resting"
    assert untrusted in again.stdout.splitlines()
    assert document["sessions"][0] == {
        "source": "fleet",
        "session_id": "s0000",
        "label": None,
        "title": None,
        "is_asked": True,
        "reason": "untrusted",
        "requests": 1,
    }
    statuses = (planned.returncode, ran.returncode, again.returncode, failed.returncode)
    assert statuses == (0, 0, 0, 4)
    assert "the sessions of source fleet were not listed to the end" in failed.stderr


@pytest.mark.usefixtures("home")
def test_a_server_without_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That there are none is said in one line, before and after a run, and no table is empty."""
    fleet = Fleet(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEET_PAT", CANARY)
    with fleet.serve():
        Path("sessions.yaml").write_text(CONFIG.format(fleet.base_url), encoding="utf-8")
        done = [invoke(command) for command in ("status", "plan", "run", "status")]
    ways = "`session-threads run` looks for some, `session-threads sessions` shows any others"
    none = ("", f"session-threads: no session is known that is polled: {ways}\n")
    assert [(each.stdout, each.stderr) for each in (done[0], done[3])] == [none] * 2
    assert [each.returncode for each in done] == [1, 0, 0, 1]
    assert done[1].stdout.splitlines()[0] == "0 sessions, all asked"


def test_usage_of_a_session_that_runs_for_long(home: Path) -> None:
    """It is no change and says nothing of threads, but what is stored is at most an hour old."""
    fleet = Fleet()
    query = "SELECT input_tokens, active_seconds, duration_seconds FROM sessions"
    shown = []
    with fleet.serve():
        for tokens, minute in enumerate((0, 15, 59, 61, 75, 122)):
            fleet.minute = minute
            stats = {"active_seconds": tokens, "duration_seconds": minute}
            fleet.say("s0000", status="running", usage={"input_tokens": tokens}, stats=stats)
            fleet.run(home)
            shown += [tuple(row.values()) for row in read(home, query)]
        fleet.minute = 200
        fleet.say("s0000", stats=stats | {"duration_seconds": 200})
        before = read(home, "FROM sessions")
        fleet.run(home)
    assert [row[0] for row in shown] == [0, 0, 0, 3, 3, 5]
    assert shown[-1] == (5, 5.0, 122.0)
    assert read(home, "FROM sessions") == before
    assert read(home, "FROM evidence_trials") == []
    replay_all(home)
    assert read(home, "FROM sessions") == before
