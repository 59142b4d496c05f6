"""What the tables remember: spells, their bounds, and what was new in the data."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.errors import WarehouseError, WarehouseOlder
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.sql import read_sql
from tests.builders import DAY, at, land, load, load_all, read, replay_all, thread
from tests.empty import open_tables
from tests.support import ROOT

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.loads]  # together they take long

INSTANTS = ("observed_from", "changed_after", "changed_at", "ended_before", "observed_until")


def minutes(moment: datetime | None) -> float | None:
    """Return an instant as minutes of the day."""
    return round((moment - DAY).total_seconds() / 60, 6) if moment else None


def spells(home: Path, thread_id: str = "a") -> list[tuple[Any, ...]]:
    """Return status, observed_from, changed_after, changed_at, ended_before, observed_until."""
    rows = read(home, f"FROM thread_spells WHERE thread_id = '{thread_id}' ORDER BY spell")
    assert [row["spell"] for row in rows] == list(range(1, len(rows) + 1))
    return [(row["status"], *(minutes(row[name]) for name in INSTANTS)) for row in rows]


def born(minute: float) -> str:
    """Return `created_at` as the server sends it."""
    return at(minute).isoformat()


@pytest.mark.anywhere
def test_first_spell(home: Path) -> None:
    """A first spell began at the updated_at that lies in its bounds, else at created_at."""
    load(
        home,
        0,
        thread("a", updated=-3, created_at=born(-10)),
        thread("b", updated=-12, created_at=born(-10)),
        thread("c", updated=-3),
        {"id": "d", "status": "running"},
        thread("e", updated=9, created_at=born(8)),
    )
    assert spells(home, "a") == [("running", 0.5, -10, -3, None, 0.5)]
    assert spells(home, "b") == [("running", 0.5, -10, -10, None, 0.5)]
    assert spells(home, "c") == [("running", 0.5, None, -3, None, 0.5)]
    assert spells(home, "d") == [("running", 0.5, None, 0.5, None, 0.5)]
    assert spells(home, "e") == [("running", 0.5, 8, 0.5, None, 0.5)]


@pytest.mark.anywhere
def test_a_b_a(home: Path) -> None:
    """There and back again is three spells; the change lies after the last poll that saw none."""
    load(home, 0, thread("a", "idle", updated=-1, created_at=born(-5)))
    load(home, 10, thread("a", "idle", updated=-1, created_at=born(-5)))
    load(home, 20, thread("a", "running", updated=17, created_at=born(-5)))
    load(home, 30, thread("a", "idle", updated=17, created_at=born(-5)))
    load(home, 40, thread("a", "idle", updated=17, created_at=born(-5)))
    assert spells(home) == [
        ("idle", 0.5, -5, -1, 20.5, 10),
        ("running", 20.5, 10, 17, 30.5, 20.5),
        ("idle", 30.5, 20, 25.25, None, 40),
    ]
    rows = read(home, "SELECT COLUMNS('seconds|is_cur') FROM thread_spells ORDER BY spell")
    assert [tuple(row.values()) for row in rows] == [
        (18 * 60.0, 9.5 * 60, 25.5 * 60, False),
        (8.25 * 60, 0.0, 20.5 * 60, False),
        (14.75 * 60, 9.5 * 60, 20 * 60.0, True),
    ]


@pytest.mark.anywhere
def test_stop_reason_begins_a_spell(home: Path) -> None:
    """Another stop reason is another spell; any other change is none."""
    load(home, 0, thread("a", "idle", stop_reason={"type": "end_turn"}))
    load(home, 10, thread("a", "idle", stop_reason={"type": "end_turn"}, name="x"))
    load(home, 20, thread("a", "idle", stop_reason={"type": "refusal"}))
    rows = read(home, "SELECT stop_reason_type FROM thread_status_history ORDER BY spell")
    assert [row["stop_reason_type"] for row in rows] == ["end_turn", "refusal"]


@pytest.mark.anywhere
@pytest.mark.parametrize("how", [{"outcome": "incomplete"}, {"status_filter": "idle"}])
def test_only_complete_polls_bound(home: Path, how: dict[str, str]) -> None:
    """A poll that is partial or filtered tightens no bound, but what it saw is a spell."""
    load(home, 0, thread("a", "idle"))
    load(home, 10, thread("a", "idle"), **how)
    load(home, 20, thread("a", "running"), outcome="incomplete")
    load(home, 30, thread("a", "idle"))
    assert spells(home) == [
        ("idle", 0.5, None, 0, 20.5, 0.5),
        ("running", 20.5, 0, 10.25, 30.5, 20.5),
        ("idle", 30.5, 20.5, 25.5, None, 30.5),
    ]


@pytest.mark.anywhere
def test_missing_thread(home: Path) -> None:
    """A missing thread was last seen before it vanished; coming back as it was is no new spell."""
    load(home, 0, thread("a", "idle"))
    load(home, 10, thread("a", "idle"))
    load(home, 20)
    load(home, 30)
    assert spells(home) == [("idle", 0.5, None, 0, None, 10)]
    load(home, 40, thread("a", "running"))
    assert spells(home) == [
        ("idle", 0.5, None, 0, 40.5, 10),
        ("running", 40.5, 10, 25.25, None, 40.5),
    ]
    load(home, 50)
    load(home, 60, thread("a", "running"))
    assert spells(home)[-1] == ("running", 40.5, 10, 25.25, None, 60)


@pytest.mark.anywhere
def test_lagging_answer(home: Path) -> None:
    """A complete poll that lists a thread as it had been earlier has not seen its current spell."""
    load(home, 0, thread("a", "idle", updated=-10))
    load(home, 10, thread("a", "running", updated=5))
    load(home, 20, thread("a", "idle", updated=-10))
    load(home, 30, thread("a", "idle", updated=-10))
    assert spells(home)[1:] == [("running", 10.5, 0, 5, None, 10.5)]
    load(home, 40, thread("a", "idle", updated=15))
    assert spells(home)[1:] == [
        ("running", 10.5, 0, 5, 40.5, 10.5),
        ("idle", 40.5, 10, 15, None, 40.5),
    ]
    load(home, 50, thread("a", "running", updated=5))
    load(home, 60, thread("a", "idle", updated=15))
    assert spells(home)[-1] == ("idle", 40.5, 10, 15, None, 60)


@pytest.mark.anywhere
@pytest.mark.parametrize("how", [{"outcome": "incomplete"}, {"status_filter": "idle"}])
def test_return_in_a_partial_poll(home: Path, how: dict[str, str]) -> None:
    """A thread that is back was not seen by the complete poll that missed it."""
    load(home, 0, thread("a", "idle"))
    load(home, 10)
    load(home, 20, thread("a", "idle"), **how)
    assert spells(home) == [("idle", 0.5, None, 0, None, 0.5)]
    load(home, 30, thread("a", "running", updated=25))
    assert spells(home) == [
        ("idle", 0.5, None, 0, 30.5, 0.5),
        ("running", 30.5, 0, 25, None, 30.5),
    ]


@pytest.mark.anywhere
def test_regressed_and_stale_change_no_history(home: Path) -> None:
    """What is old, a thread or a whole poll, is no spell."""
    load(home, 10, thread("a", "idle", updated=5))
    before = read(home, "FROM thread_status_history")
    load(home, 20, thread("a", "running", updated=4))
    load(home, 0, thread("a", "running", updated=9), thread("b"))
    assert read(home, "FROM thread_status_history") == before


def test_unchanged_poll_writes_the_ledger_alone(home: Path) -> None:
    """A poll in which nothing changed leaves every block of the threads' storage as it was.

    So it does where the page around the threads is another one each time.
    """

    def storage() -> list[dict[str, Any]]:
        tables = ["threads", "thread_status_history", "spells_unseen", "schema_drift"]
        tables += ["session_digests"]
        columns = "row_group_id, column_path, segment_id, block_id, block_offset, stats, count"
        return [
            row
            for table in tables
            for row in read(
                home,
                f"SELECT {columns}, has_updates FROM pragma_storage_info('{table}') ORDER BY ALL",
            )
        ]

    crowd = [thread(f"t{i}", name=f"name {i}", extra=i) for i in range(3000)]
    load(home, 0, *crowd, next_page="one")
    before, file = storage(), (home / "warehouse.duckdb").read_bytes()
    row = load(home, 10, *crowd, next_page="another")
    assert (row["threads_unchanged"], row["threads_changed"]) == (3000, 0)
    assert storage() == before
    blocks = {entry["block_id"] for entry in before if entry["block_id"] >= 0}
    after = (home / "warehouse.duckdb").read_bytes()
    size, first = 262144, 3 * 4096
    assert blocks
    for block in blocks:
        begin = first + block * size
        assert after[begin : begin + size] == file[begin : begin + size]


DAMAGES = {
    "a gap, or a spell twice": "UPDATE thread_status_history SET spell = 3 WHERE spell = 2",
    "not exactly one current spell": "UPDATE thread_status_history SET ended_before = NULL",
    "does not end where the next begins": (
        "UPDATE thread_status_history"
        " SET ended_before = ended_before + INTERVAL 1 SECOND WHERE spell = 1"
    ),
    "another status in threads than in its current spell": (
        "UPDATE thread_status_history SET status = 'blocked' WHERE spell = 2"
    ),
}


@pytest.mark.anywhere
@pytest.mark.parametrize("violation", DAMAGES)
def test_damaged_history_undoes_the_run(home: Path, violation: str) -> None:
    """History that contradicts itself undoes the load, and the error says which thread."""
    load(home, 0, thread("a", "idle"))
    load(home, 10, thread("a", "running"))
    with open_tables(home).write() as connection:
        connection.execute(DAMAGES[violation])
    tables = ("threads", "thread_status_history", "session_polls", "runs")
    before = {table: read(home, f"FROM {table}") for table in tables}
    land(home, 20, thread("a", "running"), thread("b"))
    with pytest.raises(WarehouseError, match=rf"run-20 is not loaded: .*thread a .*{violation}"):
        load_all(home)
    assert {table: read(home, f"FROM {table}") for table in tables} == before


def drift(home: Path) -> list[tuple[Any, ...]]:
    """Return path, type, value, examples and run of what was new."""
    columns = "path, json_type, value, examples, run_id"
    return [tuple(row.values()) for row in read(home, f"SELECT {columns} FROM schema_drift")]


@pytest.mark.anywhere
def test_drift(home: Path) -> None:
    """Unknown fields, types and values are recorded once, with their first run."""
    odd = thread("a", "hibernating", colour="red", agent={"type": "robot", "hat": {"size": 1}})
    load(home, 0, odd, thread("b", colour="blue", usage={"tokens": [1, 2, {"x": None, "y": 1}]}))
    load(home, 10, odd, thread("b", colour=7, usage={"tokens": []}, archived_at="yesterday"))
    load(home, 20, thread("a", "hibernating", colour=7, role="boss", stop_reason={"type": "tired"}))
    assert drift(home) == [
        ("agent.hat", "object", None, 1, "run-0"),
        ("agent.hat.size", "number", None, 1, "run-0"),
        ("agent.type", "string", "robot", 1, "run-0"),
        ("colour", "string", None, 2, "run-0"),
        ("status", "string", "hibernating", 1, "run-0"),
        ("usage.tokens", "array", None, 1, "run-0"),
        ("usage.tokens[]", "number", None, 1, "run-0"),
        ("usage.tokens[]", "object", None, 1, "run-0"),
        ("usage.tokens[].x", "null", None, 1, "run-0"),
        ("usage.tokens[].y", "number", None, 1, "run-0"),
        ("archived_at", "string", None, 1, "run-10"),
        ("colour", "number", None, 1, "run-10"),
        ("role", "string", "boss", 1, "run-20"),
        ("stop_reason.type", "string", "tired", 1, "run-20"),
    ]
    assert read(home, "SELECT DISTINCT first_seen_at AS at FROM schema_drift ORDER BY 1") == [
        {"at": at(0.5)},
        {"at": at(10.5)},
        {"at": at(20.5)},
    ]


def test_drift_of_documented_objects(home: Path) -> None:
    """A documented object that comes as something else is news, and kept."""
    load(home, 0, thread("a", agent="planner", stats=[1], usage=12, stop_reason=3))
    load(home, 10, thread("b", agent={"model": 7}, stop_reason={"type": 5, "event_ids": "e"}))
    assert drift(home) == [
        ("agent", "string", None, 1, "run-0"),
        ("stats", "array", None, 1, "run-0"),
        ("stats[]", "number", None, 1, "run-0"),
        ("stop_reason", "number", None, 1, "run-0"),
        ("usage", "number", None, 1, "run-0"),
        ("agent.model", "number", None, 1, "run-10"),
        ("stop_reason.event_ids", "string", None, 1, "run-10"),
        ("stop_reason.type", "number", None, 1, "run-10"),
    ]


@pytest.mark.anywhere
def test_drift_of_regressed_threads(home: Path) -> None:
    """What is new in a thread that is not applied is new all the same."""
    load(home, 0, thread("a", updated=5))
    load(home, 10, thread("a", "hibernating", updated=4, colour="red"))
    assert drift(home) == [
        ("colour", "string", None, 1, "run-10"),
        ("status", "string", "hibernating", 1, "run-10"),
    ]


def test_what_is_documented_is_no_drift(home: Path) -> None:
    """Threads as documented bring nothing new."""
    load(
        home,
        0,
        thread(
            "a",
            "idle",
            role="child",
            agent={"type": "advisor", "model": {"id": "m"}, "system": "prompt"},
            stop_reason={"type": "requires_action", "event_ids": ["e"]},
            stats={"active_seconds": 1},
        ),
        thread("b", "archived", agent_version=1, agent={"type": "agent", "name": "n"}),
    )
    assert drift(home) == []


@pytest.mark.parametrize("schema", [1, 2])
def test_older_warehouse(home: Path, schema: int) -> None:
    """A warehouse made before the first release is rejected in one line and left as it was."""
    home.mkdir(parents=True)
    packed = ROOT / "tests" / "warehouse" / f"schema_{schema}.duckdb.gz"
    path = home / "warehouse.duckdb"
    path.write_bytes(content := gzip.decompress(packed.read_bytes()))
    with pytest.raises(WarehouseOlder, match=r"older version.*session-threads replay$"):
        load(home, 30, thread("a", "idle", updated=25))
    assert path.read_bytes() == content


def test_replay_replaces_an_older_warehouse(home: Path) -> None:
    """A replay makes an older warehouse anew, in the order in which that had loaded its runs."""
    home.mkdir(parents=True)
    packed = ROOT / "tests" / "warehouse" / "schema_2.duckdb.gz"
    (home / "warehouse.duckdb").write_bytes(gzip.decompress(packed.read_bytes()))
    for row in reversed(read(home, "FROM runs ORDER BY started_at")):
        land(home, int(row["run_id"].removeprefix("run-")), thread("a", "idle", updated=-5))
    with pytest.raises(WarehouseOlder), DuckdbFile(home).write():
        pass
    order = [row["run_id"] for row in read(home, "SELECT run_id FROM runs ORDER BY rowid")]
    replay_all(home)
    assert [row["run_id"] for row in read(home, "SELECT run_id FROM runs ORDER BY rowid")] == order


def test_failed_upgrade_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails leaves the file at the version it had."""
    load(home, 0, thread("a", "idle"))
    broken = ("0002_x", "DROP VIEW thread_spells; SELECT * FROM no_such")
    steps = [*read_sql("migrations"), broken]
    monkeypatch.setattr("pipelines.warehouse.schema.read_sql", lambda _: steps)
    with pytest.raises(WarehouseError, match="0002_x"), DuckdbFile(home).write():
        pass
    assert read(home, "SELECT max(version) AS v FROM schema_version") == [{"v": 1}]
    assert read(home, "SELECT count(*) AS n FROM thread_spells") == [{"n": 1}]


def test_another_baseline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file made by another text of the same migration is older, whatever it is called."""
    load(home, 0, thread("a", "idle"))
    text = "CREATE TABLE other (x INTEGER)"
    monkeypatch.setattr("pipelines.warehouse.schema.read_sql", lambda _: [("0001_baseline", text)])
    with pytest.raises(WarehouseOlder, match="replay"), DuckdbFile(home).write():
        pass


def test_views_are_created_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views of another version are replaced when the warehouse is opened, tables stay."""
    load(home, 0, thread("a", "idle"))
    view = "CREATE OR REPLACE VIEW staleness AS SELECT 7 AS stale_after_seconds"

    def read_other(folder: str) -> list[tuple[str, str]]:
        return [*read_sql(folder), ("9_other", view)] if folder == "views" else read_sql(folder)

    monkeypatch.setattr("pipelines.warehouse.schema.read_sql", read_other)
    with DuckdbFile(home).write():
        pass
    assert read(home, "FROM staleness") == [{"stale_after_seconds": 7}]
    monkeypatch.undo()
    with DuckdbFile(home).write():
        pass
    stale = read(home, "SELECT stale_after_seconds FROM staleness")
    assert stale == [{"stale_after_seconds": 1800.0}]
    assert read(home, "SELECT count(*) AS n FROM threads") == [{"n": 1}]
