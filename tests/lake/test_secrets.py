"""Passwords and keys are in nothing that is said, whatever is wrong with a lake."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
import msgspec
import pytest

from pipelines.definitions import defs
from pipelines.errors import WarehouseError
from pipelines.landing import objects as landing
from pipelines.warehouse.analyses import choose_analyses, list_analyses
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ducklake import DuckLake
from tests.builders import land, thread
from tests.lake.objects import KEY_ID, SECRET
from tests.lake.postgres import connect, find_port
from tests.lake.tables import load
from tests.support import CANARY, invoke, make_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.config.lake import Lake

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement

ANALYSIS = "status_distribution"
WRITING = [["run"], ["build"], ["replay"], ["maintain"], ["copy", "--to-lake"], ["check"]]
READING = [["sql", "SELECT count(*) FROM threads"], ["show", ANALYSIS]]
# Of a store, or of its keys, these need nothing: what they read is in the catalog, or not built.
ASKING = [["status"], ["sessions"], ["report"], ["plan"]]
COMMANDS = {
    "server": [*WRITING, *READING, *ASKING],
    "password": [*WRITING, *READING, *ASKING],
    "store": [*WRITING, *READING],
    "keys": [*WRITING, *READING],
    "bucket": [*WRITING, *READING],
}
JOBS = {"server": "maintain_lake", "password": "load_landed", "bucket": "load_landed"}


def break_lake(lake: Lake, problem: str, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return the lake as a configuration names it in which something is wrong."""
    assert lake.access is not None
    monkeypatch.setenv("LAKE_PASSWORD", CANARY + "-wrong" * (problem == "password"))
    monkeypatch.setenv("LAKE_SECRET", SECRET + "-wrong" * (problem == "keys"))
    if problem == "server":
        catalog = lake.catalog.model_copy(update={"port": find_port()})
        return msgspec.structs.replace(lake, catalog=catalog)
    if problem == "store":
        store = lake.access.store.model_copy(update={"endpoint": f"127.0.0.1:{find_port()}"})
        access = msgspec.structs.replace(lake.access, store=store)
        return msgspec.structs.replace(lake, access=access)
    if problem == "bucket":
        with connect(lake.catalog.port, lake.catalog.database) as server:
            server.execute(
                "UPDATE team_a.ducklake_metadata SET value = 's3://missing/lake/1/'"
                " WHERE key = 'data_path'"
            )
        return msgspec.structs.replace(lake, data="s3://missing/lake")
    return lake


def find_secrets(text: str) -> list[str]:
    """Return the secrets that a text holds."""
    return [secret for secret in (CANARY, KEY_ID, SECRET) if secret in text]


@pytest.mark.parametrize("place", ["s3"])
def test_commands(
    lake: Lake, home: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command that needs what is away says so in lines without a secret; so do jobs."""
    monkeypatch.setattr(landing, "PATIENCE", timedelta(seconds=0))
    monkeypatch.setattr("pipelines.defs.machines.RETRY", dg.RetryPolicy(max_retries=0))
    monkeypatch.setenv("QODER_PAT", CANARY)
    land(home, 5, *(thread(f"t{n}") for n in range(1001)))  # more than the catalog holds
    for warehouse in (DuckdbFile(home), DuckLake(home, lake)):
        load(warehouse, home, choose_analyses(list_analyses(), ANALYSIS))
    source = make_source().model_dump(include={"base_url", "sessions"})
    source |= {"token_env": "QODER_PAT", "max_attempts": 1}
    for problem, commands in COMMANDS.items():
        configure(break_lake(lake, problem, monkeypatch), sources=[source])
        for command in commands:
            said = invoke(*command)
            assert (problem, command, said.returncode) != (problem, command, 0)
            assert said.stderr.count("\n") <= 3
            assert find_secrets(said.stdout + said.stderr) == []
        if problem in JOBS:
            with dg.DagsterInstance.ephemeral() as instance:
                job = defs().resolve_job_def(JOBS[problem])
                done = job.execute_in_process(instance=instance, raise_on_error=False)
                events = list(map(str, instance.all_logs(done.run_id)))
            assert not done.success
            assert find_secrets("\n".join(events)) == []


def test_server_that_goes_away(lake: Lake, home: Path) -> None:
    """Who has the tables open is told without a secret that the server is gone."""
    warehouse = DuckLake(home, lake)
    land(home, 5, thread("a"))
    load(warehouse, home)
    reader = warehouse.attach()

    def write() -> None:
        with warehouse.write() as tables:
            with connect(lake.catalog.port) as server:
                name = lake.catalog.database
                server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
                gone = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                server.execute(gone, [name])
            tables.execute("SELECT count(*) FROM threads").fetchall()

    with pytest.raises(WarehouseError) as raised:
        write()
    assert "\n" not in str(raised.value)
    with pytest.raises(duckdb.Error) as said:
        reader.execute("SELECT count(*) FROM threads").fetchall()
    assert find_secrets(f"{raised.value} {said.value}") == []
    reader.close()
