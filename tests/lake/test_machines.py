"""Runs on several machines: one for each source, one load, on an instance in PostgreSQL."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import msgspec
import pytest

from pipelines.definitions import defs
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.lake.postgres import connect
from tests.support import CANARY, ROOT, invoke

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.config.lake import Lake

pytest.importorskip("dagster_postgres", reason="the extra dagster-postgres is not installed")

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement
NAMES = ("east", "west")


@pytest.fixture
def sources(lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, World]]:
    """Serve two sources of a configuration whose tables are in the lake."""
    worlds = {name: World([30, 4], seed=seed) for seed, name in enumerate(NAMES)}
    catalog = lake.catalog.model_dump(by_alias=True)
    with ExitStack() as servers:
        sources = [
            {
                "name": name,
                "base_url": servers.enter_context(serve(Sandbox(world, token=CANARY).app)),
                "token_env": f"TOKEN_{name.upper()}",
                "sessions": list(world.sessions),
            }
            for name, world in worlds.items()
        ]
        settings = {
            "sources": sources,
            "warehouse": {"lake": {"catalog": catalog, "data": lake.data}},
        }
        file = home.parent / "sessions.yaml"
        file.write_bytes(msgspec.json.encode(settings))
        file.chmod(0o600)
        monkeypatch.setenv("SESSION_THREADS_CONFIG", str(file))
        for name in NAMES:
            monkeypatch.setenv(f"TOKEN_{name.upper()}", CANARY)
        monkeypatch.setenv("LAKE_PASSWORD", CANARY)
        yield worlds


@pytest.fixture
def instance(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Return the instance of several machines, in a separate database."""
    database = f"{lake.catalog.database}_dagster"
    with connect(lake.catalog.port) as server:
        server.execute(f'CREATE DATABASE "{database}"')
    places = {"HOST": "127.0.0.1", "PORT": str(lake.catalog.port), "DB": database}
    for name, value in (places | {"USER": "admin", "PASSWORD": CANARY}).items():
        monkeypatch.setenv(f"DAGSTER_PG_{name}", value)
    dagster_home = tmp_path / "dagster_home"
    dagster_home.mkdir()
    yaml = ROOT / "dagster_home" / "dagster.postgres.yaml"
    shutil.copy(yaml, dagster_home / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(dagster_home)) as opened:
        yield opened


def execute(instance: dg.DagsterInstance, job: str, request: dg.RunRequest) -> Any:
    """Run a job as it was asked for; a failure is in its result."""
    return (
        defs()
        .resolve_job_def(job)
        .execute_in_process(
            run_config=request.run_config,
            instance=instance,
            tags=dict(request.tags),
            raise_on_error=False,
        )
    )


def ask_to_poll(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Return the runs that the schedule asks for."""
    schedule = defs().resolve_schedule_def("poll_source_schedule")
    now = datetime.now(UTC)
    tick = schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=now))
    return list(tick.run_requests or [])


def ask_to_load(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Return the runs that the sensor asks for."""
    definitions = defs()
    sensor = definitions.resolve_sensor_def("load_landed_sensor")
    resources = dict(definitions.resources or {})
    with dg.build_sensor_context(instance, resources=resources) as context:
        return list(sensor.evaluate_tick(context).run_requests or [])


def test_runs(
    lake: Lake,
    sources: dict[str, World],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each source is polled in a separate run, and one run loads all that has landed.

    A source that fails fails its run alone, and its ledger is loaded with the others'. A load that
    fails is tried again, whole. The assets are recorded as by the job that takes all steps, and no
    event holds a password.
    """
    monkeypatch.setattr("pipelines.defs.machines.RETRY", dg.RetryPolicy(max_retries=1))
    monkeypatch.setenv("TOKEN_WEST", f"{CANARY}-wrong")
    assert ask_to_load(instance) == []
    requests = ask_to_poll(instance)
    names = [request.tags["session-threads/source"] for request in requests]
    assert names == [f"team_a.{name}" for name in NAMES]
    polls = [execute(instance, "poll_source", request) for request in requests]
    assert [poll.success for poll in polls] == [True, False]
    (request,) = ask_to_load(instance)
    assert request.tags["session-threads/runs"] == "2"

    monkeypatch.setenv("LAKE_PASSWORD", f"{CANARY}-wrong")
    failed = execute(instance, "load_landed", request)
    events = [event.event_type_value for event in failed.all_events]
    assert (failed.success, events.count("STEP_UP_FOR_RETRY")) == (False, 1)
    monkeypatch.setenv("LAKE_PASSWORD", CANARY)
    assert execute(instance, "load_landed", request).success
    assert ask_to_load(instance) == []

    assert execute(instance, "maintain_lake", dg.RunRequest()).success
    kept = instance.get_latest_materialization_event(dg.AssetKey("lake_files"))
    assert kept is not None
    assert kept.asset_materialization is not None
    assert {
        "files_before",
        "files_after",
        "snapshots_after",
    } <= kept.asset_materialization.metadata.keys()

    query = "SELECT source, error_type, count(*) AS n FROM session_polls GROUP BY ALL ORDER BY ALL"
    rows = msgspec.json.decode(invoke("sql", query, "--format", "json").stdout)
    assert [tuple(row.values()) for row in rows] == [
        ("east", None, len(sources["east"].sessions)),
        ("west", "authentication_error", len(sources["west"].sessions)),
    ]
    for asset in ("sessions", "thread_pages", "threads", "attention", "published_database"):
        assert instance.get_latest_materialization_event(dg.AssetKey(asset)) is not None
    checks = {"every_session_complete": "FAILED", "keys_are_unique": "SUCCEEDED"}
    for name, status in checks.items():
        key = dg.AssetCheckKey(dg.AssetKey("threads"), name)
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        assert found[key].status.value == status
    with connect(lake.catalog.port, f"{lake.catalog.database}_dagster") as server:
        for table in ("runs", "event_logs", "run_tags"):
            query = f"SELECT count(*) FROM {table} AS rows WHERE rows::text LIKE %s"
            assert server.execute(query, [f"%{CANARY}%"]).fetchone() == (0,)
