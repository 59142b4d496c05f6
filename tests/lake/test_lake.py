"""Tables in a lake are those of a file, whoever reads them, whatever dies, whatever is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from pydantic import SecretStr

from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.sandbox.world import World
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ducklake import DuckLake
from pipelines.warehouse.lake_catalog import hold
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish
from pipelines.warehouse.replay import replay
from tests.builders import born, land, thread
from tests.lake.objects import KEY_ID, SECRET
from tests.lake.postgres import connect, find_port
from tests.lake.tables import load, read_all
from tests.support import CANARY, invoke, serve_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.config.lake import Lake

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement

HOLDER = """
import sys
from pathlib import Path
from pydantic import SecretStr
from pipelines.config.lake import Catalog, Lake
from pipelines.warehouse.ducklake import DuckLake
port, database, password, data = sys.argv[1:]
catalog = {"host": "127.0.0.1", "port": int(port), "database": database, "user": "admin",
           "schema": "team_a", "password_env": "X"}
lake = Lake(Catalog.model_validate(catalog), data, SecretStr(password))
with DuckLake(Path(data), lake).write() as tables:
    tables.begin()
    tables.execute("DELETE FROM runs")
    print("holding", flush=True)
    sys.stdin.read()
"""


def land_some(home: Path) -> None:
    """Land three runs: threads come, change and are listed no longer; one poll fails."""
    land(home, 5, born("a", 1, 2), born("b", 2, 3, parent_thread_id="a"), thread("c", "odd"))
    land(home, 25, born("a", 1, 20, status="idle"), thread("c", "odd"), thread("d", "terminated"))
    land(home, 45, outcome="failed", pages=0)
    land(home, 65, thread("c", "odd", new_field={"x": [1]}), thread("d", "terminated"))


@pytest.mark.parametrize("place", ["s3"])
def test_tables_are_those_of_a_file(lake: Lake, tmp_path: Path) -> None:
    """The same landed runs give the same rows of every table; a replay gives them again."""
    land_some(tmp_path)
    file, on_lake = DuckdbFile(tmp_path), DuckLake(tmp_path, lake)
    load(file, tmp_path, list_analyses())
    load(on_lake, tmp_path, list_analyses())
    expected = read_all(file)
    assert len(expected) > len(list_analyses())
    assert read_all(on_lake) == expected
    assert on_lake.list_loaded_runs() == file.list_loaded_runs()
    assert on_lake.newest_sequence() == file.newest_sequence()

    replay(on_lake, Directory(tmp_path / RAW))
    load(on_lake, tmp_path, list_analyses())
    assert read_all(on_lake) == expected


def test_readers_see_what_was_published(lake: Lake, tmp_path: Path) -> None:
    """Nothing before the first publication, then the newest one, while the next is written."""
    warehouse = DuckLake(tmp_path, lake)
    assert not warehouse.is_published()
    assert warehouse.list_loaded_runs() == []
    assert warehouse.newest_sequence() == 0
    with pytest.raises(WarehouseError, match=r"nothing is published yet. Run"), warehouse.read():
        pass
    land(tmp_path, 5, thread("a"))
    load(warehouse, tmp_path)
    before = read_all(warehouse)
    attached = warehouse.attach()
    land(tmp_path, 25, thread("a"), thread("b"))
    with warehouse.write() as tables:
        load_landed(tables, Directory(tmp_path / RAW))
        assert read_all(warehouse) == before
        publish(warehouse, tables, {})
    assert len(read_all(warehouse)["main.threads"]) == 2
    assert attached.execute("SELECT count(*) FROM threads").fetchall() == [(1,)]
    attached.execute("CREATE TEMP MACRO twice(x) AS 2 * x")  # as the notebook does
    assert attached.execute("SELECT twice(count(*)) FROM threads").fetchall() == [(2,)]
    attached.close()


def test_readers_are_sealed(lake: Lake, tmp_path: Path) -> None:
    """A query of a reader's writes nothing, and reaches no other file and no other server."""
    warehouse = DuckLake(tmp_path, lake)
    land(tmp_path, 5, thread("a"))
    load(warehouse, tmp_path)
    with warehouse.read() as tables:
        for query in (
            "DELETE FROM threads",
            "FROM read_text('/etc/hostname')",
            "ATTACH 'host=127.0.0.1' AS other (TYPE postgres)",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(Exception, match=r"(?i)read-only|disabled|locked|cannot"):
                tables.execute(query)


def test_one_writer_at_a_time(make_lake: Callable[[str], Lake], tmp_path: Path) -> None:
    """A second writer of a lake waits and is told for whom; another lake's does not."""
    lake = make_lake("team_a")
    with hold(lake):
        with (
            pytest.raises(WarehouseBusy, match=rf"process {os.getpid()} on .* has written for"),
            hold(lake, wait_s=0.2),
        ):
            pass
        with DuckLake(tmp_path, make_lake("team_b")).write() as tables:
            assert tables.execute("SELECT count(*) FROM threads").fetchall() == [(0,)]


def test_killed_writer(lake: Lake, tmp_path: Path) -> None:
    """What a writer that was killed had not committed is undone, and the next one need not wait."""
    warehouse = DuckLake(tmp_path, lake)
    land_some(tmp_path)
    load(warehouse, tmp_path)
    before = read_all(warehouse)
    arguments = (str(lake.catalog.port), lake.catalog.database, CANARY, lake.data)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "holding\n"
        writer.send_signal(signal.SIGKILL)
    started = time.monotonic()
    load(warehouse, tmp_path)
    assert time.monotonic() - started < 60
    assert read_all(warehouse) == before


def test_lock_that_is_lost(lake: Lake, tmp_path: Path) -> None:
    """Nothing is published by a writer whose connection to the lock has ended."""
    warehouse = DuckLake(tmp_path, lake)
    land(tmp_path, 5, thread("a"))
    load(warehouse, tmp_path)
    before = read_all(warehouse)
    land(tmp_path, 25, thread("b"))

    def lose_the_lock() -> None:
        with warehouse.write() as tables:
            load_landed(tables, Directory(tmp_path / RAW))
            with connect(lake.catalog.port) as server:
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                )
            publish(warehouse, tables, {})

    with pytest.raises(WarehouseError, match=r"^lake team_a at 127\.0\.0\.1:\d+: "):
        lose_the_lock()
    assert read_all(warehouse) == before


def change(lake: Lake, **fields: Any) -> Lake:
    """Return the lake with other fields of its catalog."""
    catalog = lake.catalog.model_copy(update=fields)
    return msgspec.structs.replace(lake, catalog=catalog)


@pytest.mark.parametrize("wrong", ["password", "port", "host", "database", "user", "data"])
def test_what_is_wrong(lake: Lake, tmp_path: Path, wrong: str) -> None:
    """It is said in one line, which names the lake and holds no password."""
    (tmp_path / "file").touch()
    broken = {
        "password": msgspec.structs.replace(lake, password=SecretStr(f"{CANARY}-wrong")),
        "port": change(lake, port=find_port()),
        "host": change(lake, host="nowhere.invalid"),
        "database": change(lake, database="none"),
        "user": change(lake, user="nobody"),
        "data": msgspec.structs.replace(lake, data=str(tmp_path / "file")),
    }[wrong]
    warehouse = DuckLake(tmp_path, broken)
    land_some(tmp_path)
    with pytest.raises(WarehouseError) as raised:
        load(warehouse, tmp_path)
    text = str(raised.value)
    assert text.startswith("lake team_a at ")
    assert "\n" not in text
    assert CANARY not in text


@pytest.mark.parametrize("place", ["s3"])
def test_commands(lake: Lake, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that reads or writes the tables does so in the lake that a file names.

    Pages land on the object store: the data directory holds neither.
    """
    assert lake.access is not None
    catalog = lake.catalog.model_dump(by_alias=True)
    settings: dict[str, Any] = {"warehouse": {"lake": {"catalog": catalog, "data": lake.data}}}
    settings |= {"landing": f"{lake.data}-raw", "s3": lake.access.store.model_dump()}
    file = tmp_path / "lake.yaml"
    file.write_bytes(msgspec.json.encode(settings))
    file.chmod(0o600)
    monkeypatch.setenv("SESSION_THREADS_CONFIG", str(file))
    assert "LAKE_KEY_ID is not set" in invoke("show").stderr
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    assert "LAKE_PASSWORD is not set" in invoke("show").stderr
    monkeypatch.setenv("LAKE_PASSWORD", CANARY)
    world = World([20, 3], seed=3)
    with serve_world(world, monkeypatch):
        for arguments in (("check",), ("run",), ("status",), ("build",), ("replay",)):
            result = invoke(*arguments)
            assert (arguments, result.returncode, result.stderr) == (arguments, 0, "")
    (count,) = msgspec.json.decode(
        invoke("sql", "SELECT count(*) AS n FROM threads", "--format", "json").stdout
    )
    assert 0 < count["n"] <= 23
    assert "status_distribution" in invoke("show").stdout
    assert invoke("show", "status_distribution").returncode == 0
    assert invoke("sessions").returncode == 0
    assert invoke("report").returncode == 0
    assert not list(home.glob("*.duckdb"))
    assert not (home / RAW).exists()
