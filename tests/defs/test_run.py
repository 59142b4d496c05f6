"""Runs of the job in this process, recorded by a Dagster instance on disk."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipelines.definitions import defs
from pipelines.defs.resources import TablesParam, open_for_run
from pipelines.sandbox.server import serve
from pipelines.sandbox.world import World
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import land, load, thread
from tests.defs.job import CORE, execute
from tests.support import CANARY, Script, read_table, serve_world

NOW = datetime(2026, 10, 1, tzinfo=UTC)
SIZES = [150, 3, 1]
LEDGER = "SELECT run_id, session_id, outcome, error_type, pages FROM session_polls"


@pytest.fixture
def world() -> World:
    """Return a small fleet that stands still."""
    return World(SIZES, seed=1, clock=lambda: NOW)


def read_metadata(instance: dg.DagsterInstance) -> dict[str, dict[str, Any]]:
    """Return asset -> metadata of its newest materialization, of those that have one."""
    events = {
        key.to_user_string(): instance.get_latest_materialization_event(key)
        for key in defs().resolve_asset_graph().get_all_asset_keys()
    }
    return {
        name: {key: value.value for key, value in event.asset_materialization.metadata.items()}
        for name, event in events.items()
        if event and event.asset_materialization
    }


@pytest.mark.slow
def test_run_materializes_everything(
    home: Path, world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every asset is materialized, with the numbers to plot and the schema of its table."""
    listed = sum(len(world.list_threads(session_id)) for session_id in world.sessions)
    with serve_world(world, monkeypatch):
        result = execute(instance)
        metadata = read_metadata(instance)
        execute(instance)
        again = read_metadata(instance)

    assert result.success
    job = defs().resolve_job_def("poll_threads")
    assert metadata.keys() == {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    pages = metadata["thread_pages"]
    assert (pages["sessions"], pages["sessions_complete"], pages["threads"]) == (3, 3, listed)
    assert pages["requests"] == pages["pages"] >= 4  # the largest session takes two pages
    assert pages["seconds"] > 0
    assert (metadata["sessions"]["sessions"], metadata["sessions"]["sessions_configured"]) == (3, 3)
    kinds = ("rows_new", "rows_changed", "rows_unchanged")
    assert [metadata["threads"][kind] for kind in kinds] == [listed, 0, 0]
    assert [again["threads"][kind] for kind in kinds] == [0, 0, listed]
    assert metadata["published_database"]["path"] == str(home / "threads.duckdb")
    tables = metadata.keys() - {"sessions", "thread_pages", "published_database"}
    for name in tables:
        schema = "main" if name == "threads" else "analytics"
        rows = read_table(home / "threads.duckdb", f"FROM {schema}.{name}")
        columns = metadata[name]["dagster/column_schema"].columns
        assert metadata[name]["dagster/row_count"] == len(rows)
        assert all(column.description for column in columns)
        for row in rows[:1]:
            assert [column.name for column in columns] == list(row)
        if rows and name != "threads":
            preview = [record.data for record in again[name]["preview"].records]
            texts = f"SELECT COLUMNS(*)::VARCHAR FROM {schema}.{name}"
            assert preview == [
                {column: value or "" for column, value in row.items()}
                for row in read_table(home / "threads.duckdb", texts)[:10]
            ]
    assert sum(metadata[name]["dagster/row_count"] > 0 for name in tables) > 9


@pytest.mark.slow
def test_unknown_session_fails_its_check_alone(
    home: Path, world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that the server does not know fails the check by name; the others are loaded."""
    with serve_world(world, monkeypatch):
        monkeypatch.setenv("QODER_SESSION_IDS", ",".join([*world.sessions, "sess_unknown"]))
        result = execute(instance)

    assert result.success
    checks = result.get_asset_check_evaluations()
    assert len(checks) > 30
    (check,) = [evaluation for evaluation in checks if not evaluation.passed]
    assert check.check_name == "every_session_complete"
    assert [check.metadata[name].value for name in ("sessions", "failing")] == [4, 1]
    (failing,) = read_evidence(check)
    assert failing.pop("error_message").endswith("Session 'sess_unknown' was not found.")
    assert failing == {
        "source": "qoder",
        "session_id": "sess_unknown",
        "outcome": "gone",
        "end_reason": "error",
        "error_type": "not_found_error",
    }
    threads = read_table(home / "threads.duckdb", "SELECT DISTINCT session_id FROM threads")
    assert {row["session_id"] for row in threads} == world.sessions.keys()


def read_evidence(check: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    """Return the rows that a failed check shows."""
    table = check.metadata["evidence"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


@pytest.mark.slow
def test_rejected_token_fails_the_poll_after_publication(
    home: Path, world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody misses a rejected token: the polling step fails, and the published ledger says why."""
    with serve_world(world, monkeypatch):
        execute(instance, *CORE)
        monkeypatch.setenv("QODER_PAT", "pt-not-to-be-seen")
        result = execute(instance, *CORE)

    assert not result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    details = failure.step_failure_data.user_failure_data
    assert failure.step_key == "thread_pages"
    assert details
    assert details.metadata["failing"].value == 3
    ledger = read_table(home / "threads.duckdb", f"{LEDGER} WHERE run_id = '{result.run_id}'")
    assert {row["session_id"] for row in ledger} == world.sessions.keys()
    assert {row["error_type"] for row in ledger} == {"authentication_error"}
    (counted,) = read_table(home / "threads.duckdb", "SELECT count(*) AS n FROM threads")
    assert counted["n"] > 0  # what was known before stays


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_token_is_in_no_event(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster stores no token, not even that of a server that repeats it in its rejection."""
    error = {"type": CANARY, "message": f"Bearer {CANARY} is bad"}
    rejection = (401, {"x-request-id": CANARY}, json.dumps({"error": error, "request_id": CANARY}))
    with serve_world(world, monkeypatch), serve(Script(rejection).app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        result = execute(instance)

    assert not result.success
    files = [path for path in Path(instance.root_directory).rglob("*") if path.is_file()]
    assert f"{result.run_id}.db" in {path.name for path in files}
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_run_of_one_session(
    home: Path, world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run configured with one session polls that one alone."""
    chosen = list(world.sessions)[1]
    with serve_world(world, monkeypatch):
        result = execute(instance, *CORE, config={"sessions": [chosen]})

    assert result.success
    _, pages = result.asset_materializations_for_node("thread_pages")
    assert pages.metadata["sessions"].value == 1
    ledger = read_table(home / "threads.duckdb", LEDGER)
    assert [(row["session_id"], row["outcome"]) for row in ledger] == [(chosen, "complete")]


@pytest.mark.slow
def test_steps_alone_do_not_forget(
    home: Path, world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step run again by itself keeps a failed check failed, and blames no other run's poll."""
    with serve_world(world, monkeypatch):
        monkeypatch.setenv("QODER_PAT", "pt-rejected")
        assert not execute(instance, *CORE).success

    for asset in ("threads", "published_database"):
        again = execute(instance, asset)
        assert again.success
        checks = again.get_asset_check_evaluations()
        failed = [check.check_name for check in checks if not check.passed]
        assert failed == ["every_session_complete" if asset == "threads" else "every_session_fresh"]
    assert (home / "threads.duckdb").exists()


def test_nothing_polled_is_not_complete(home: Path, instance: dg.DagsterInstance) -> None:
    """On an empty warehouse the check does not claim that every session is complete."""
    result = execute(instance, "threads")
    checks = result.get_asset_check_evaluations()
    assert [check.passed for check in checks] == [False, True, True, True]
    assert (home / "warehouse.duckdb").exists()


@pytest.mark.slow
def test_drift_warns_once(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server never sent before warns in the run that first saw it, and in no other."""
    script = Script({"data": [{"id": "t", "status": "dreaming", "mood": 1}], "has_more": False})
    with serve(script.app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        monkeypatch.setenv("QODER_PAT", CANARY)
        monkeypatch.setenv("QODER_SESSION_IDS", "sess_1")
        assets = (*CORE, "thread_durations", "data_quality")
        runs = [execute(instance, *assets) for _ in range(2)]
    first, second = map(find_failed, runs)
    assert first.keys() == {"no_schema_drift", "nothing_is_odd"}
    assert second.keys() == {"nothing_is_odd"}
    drift, odd = first["no_schema_drift"], second["nothing_is_odd"]
    assert {drift.severity, odd.severity} == {dg.AssetCheckSeverity.WARN}
    assert drift.metadata["new"].value == ["mood (number)", 'status = "dreaming"']
    assert odd.metadata["rows"].value == 3
    table = odd.metadata["first"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [record.data for record in table.records] == [
        {"check": "undated", "source": "qoder", "rows": "1", "example": "sess_1/t"},
        {"check": "unknown_field", "source": "(any)", "rows": "1", "example": "mood (number)"},
        {"check": "unknown_status", "source": "qoder", "rows": "1", "example": "sess_1/t"},
    ]
    assert (home / "threads.duckdb").exists()


def find_failed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Return the checks that failed, by name."""
    evaluations = result.get_asset_check_evaluations()
    return {check.check_name: check for check in evaluations if not check.passed}


def test_undone_load_fails_its_check(home: Path, instance: dg.DagsterInstance) -> None:
    """A load that is undone fails the check of keys, which names the rows, and then the run."""
    load(home, 0, thread("a"))
    with DuckdbFile(home).write() as connection:
        connection.execute("INSERT INTO threads FROM threads")
    land(home, 10, thread("a", "idle", updated=5))
    result = execute(instance, "threads")
    assert not result.success
    failed = find_failed(result)
    assert failed.keys() == {"keys_are_unique"}
    assert "is listed twice in threads" in str(failed["keys_are_unique"].metadata["violations"])


def test_tables_are_opened_once(tmp_path: Path) -> None:
    """The steps of a run share one opening of the tables, which ends with the run or its error."""
    seen: list[Any] = []

    @dg.asset
    def loaded(tables: TablesParam) -> None:
        for _ in range(2):
            with tables.write() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS x")
                seen.append(connection)

    @dg.asset(deps=[loaded])
    def built(tables: TablesParam) -> None:
        with tables.write() as connection:
            seen.append(connection)
            connection.execute("SELEKT")

    file = DuckdbFile(tmp_path)
    resources = {"warehouse": file, "tables": open_for_run}
    for assets in ([loaded], [loaded, built]):
        seen.clear()
        result = dg.materialize(assets, resources=resources, raise_on_error=False)
        assert result.success == (built not in assets)
        assert len(seen) == len(assets) + 1
        assert len(set(map(id, seen))) == 1
        with pytest.raises(duckdb.ConnectionException):  # it is closed
            seen[0].execute("SELECT 1")
        with file.write() as connection:
            assert connection.execute("FROM t").fetchall() == [(1,)]
    error = result.failure_data_for_node("built")
    assert error
    assert "What was not finished is undone" in str(error.error)


HEADER = "-- answers: What is it?\n-- grain: one row\n-- columns: {x: a number}\n"


@pytest.mark.slow
def test_own_analyses_fail_alone(
    home: Path,
    tmp_path: Path,
    world: World,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Analyses of the user's own are assets; one that is wrong fails its check and nothing else."""
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "sessions.yaml").write_text("analyses_dir: own\nattention_after_minutes: 7\n")
    checks = "-- checks:\n--   small: FROM analytics.mine WHERE x > 1\n"
    (own / "mine.sql").write_text(f"{HEADER}{checks}SELECT 1 AS x")
    (own / "wrong.sql").write_text(f"{HEADER}{checks}SELECT 1 AS x FROM no_such_table")
    (own / "odd.sql").write_text("SELECT 1")
    with serve_world(world, monkeypatch):
        first = execute(instance)
        (own / "mine.sql").write_text(f"{HEADER}{checks}SELECT 2 AS x")
        second = execute(instance, *CORE, "mine", "wrong", "odd_is_broken")

    failed = [
        {
            (evaluation.asset_key.to_user_string(), evaluation.check_name)
            for evaluation in result.get_asset_check_evaluations()
            if not evaluation.passed
        }
        for result in (first, second)
    ]
    broken = {("wrong", "small"), ("odd_is_broken", "is_built")}
    assert (first.success, second.success) == (True, True)
    assert failed == [broken, broken | {("mine", "small")}]
    assert read_table(home / "threads.duckdb", "FROM analytics.mine") == [{"x": 1}]
    assert read_table(home / "threads.duckdb", "FROM analysis_settings") == [
        {"name": "attention_after_minutes", "value": 7.0},
        {"name": "stale_after_minutes", "value": 30.0},
        {"name": "resting_stale_after_minutes", "value": 510.0},
    ]
    assert read_table(home / "threads.duckdb", "SELECT count(*) AS n FROM runs") == [{"n": 2}]
