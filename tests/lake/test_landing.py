"""Runs land on an object store as in a directory: whole, once, in order, whatever it does."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pytest
from pydantic import SecretStr

from pipelines.errors import LandingError, StoreUnavailable
from pipelines.landing import objects as landing
from pipelines.landing import writer as writing
from pipelines.landing.aside import BEGINNINGS, Tries, describe_aside
from pipelines.landing.directory import list_runs, take_sequence
from pipelines.landing.format import read_run, write_pages
from pipelines.landing.objects import Objects
from pipelines.landing.retention import RunAge, prune_runs, remove_unfinished
from pipelines.landing.store import Directory, Store, try_store
from pipelines.landing.writer import land_polls
from pipelines.sandbox.server import serve
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.replay import replay
from pipelines.warehouse.sql import fetch_records
from tests.builders import crowd, poll
from tests.lake.postgres import find_port
from tests.support import CANARY, Script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lake.conftest import Files

pytestmark = pytest.mark.slow  # beside a server
TABLES = ("threads", "thread_status_history", "session_polls", "session_digests", "runs")


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest) -> str:
    """Return where the files are."""
    return str(request.param)


@pytest.fixture
def store(files: Files, tmp_path: Path) -> Store:
    """Return an empty place to land in."""
    if files.access is None:
        return Directory(tmp_path / "raw")
    return Objects(f"{files.path}/raw", files.access)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every page a shard."""
    monkeypatch.setattr(writing, "SHARD_BYTES", 1)


def load(home: Path, store: Store) -> list[str]:
    """Load what has landed."""
    with DuckdbFile(home).write() as tables:
        return load_landed(tables, store)


def dump(home: Path) -> list[list[dict[str, Any]]]:
    """Return every row."""
    with DuckdbFile(home).write() as tables:
        return [fetch_records(tables, f"FROM {name} ORDER BY ALL") for name in TABLES]


def test_verbs(store: Store) -> None:
    """What is put is there, whole, under its name, once; what is not there is no failure."""
    assert store.list() == []
    assert store.put("b", b"1" * 2**20)
    assert not store.put("b", b"2")
    assert store.put("a")
    assert not store.put("a")
    assert store.put("s0000000001-ü %20.parquet", b"3")
    assert store.list() == ["a", "b", "s0000000001-ü %20.parquet"]
    assert store.get("b") == b"1" * 2**20
    assert store.get("s0000000001-ü %20.parquet") == b"3"
    assert store.get("a") == b""
    store.delete("b", "none", "a")
    store.delete()
    assert store.list() == ["s0000000001-ü %20.parquet"]
    for gone in ("b", "never"):
        with pytest.raises(OSError, match=r"(?i)no such"):
            store.get(gone)
    assert try_store(store).endswith("can be written to")
    assert len(store.list()) == 1


def test_races(store: Store) -> None:
    """Of many that put one name, or take a number, one does."""
    start = threading.Barrier(8)

    def put(number: int) -> bool:
        start.wait()
        return store.put("one", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(8)))
        assert sum(won) == 1
        assert store.get("one") == b"%d" % won.index(True)
        taken = list(pool.map(lambda _: take_sequence(store), range(16)))
    assert len(set(taken)) == 16


@pytest.mark.usefixtures("small_shards")
def test_runs_land_and_load(store: Store, tmp_path: Path) -> None:
    """Runs of several files are loaded in their order, replayed row for row, and removed whole."""
    for number, status in enumerate(("idle", "running", "running")):
        asyncio.run(land_polls(poll(crowd(status)), store, f"run-{number}"))
    store.put("s0000000001-foreign.txt", b"of somebody else")
    assert list(list_runs(store)) == ["run-0", "run-1", "run-2"]
    assert load(tmp_path, store) == ["run-0", "run-1", "run-2"]
    before = dump(tmp_path)
    assert len(before[0]) == 6
    assert replay(DuckdbFile(tmp_path), store).runs == ["run-0", "run-1", "run-2"]
    assert dump(tmp_path) == before
    assert not [name for name in store.list() if "claim" in name or "begun" in name]
    prune_runs(store, [RunAge("run-0", 1, 90000), RunAge("run-1", 2, 90000)], 1)
    assert list(list_runs(store)) == ["run-2"]
    last = list_runs(store)["run-2"]
    assert len(store.list()) == 2 + len(read_run(last).shards)
    last.delete()
    remove_unfinished(store, [RunAge("later", 10, 3 * 86400)])
    assert store.list() == ["s0000000001-foreign.txt"]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("harm", ["torn", "lost", "foreign", "empty"])
def test_damaged_files(store: Store, tmp_path: Path, harm: str) -> None:
    """What is not what its name was made of is named, is set aside, and stops no other run."""
    file, _ = asyncio.run(land_polls(poll(crowd("idle")), store, "run-1"))
    shard = read_run(file).shards[0]
    content = shard.read()
    shard.delete()
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "foreign")
    foreign = (tmp_path / "foreign").read_bytes()
    if harm != "lost":
        store.put(shard.name, {"torn": content[:-9], "foreign": foreign, "empty": b""}[harm])
    with pytest.raises(LandingError, match=rf"{shard.name}: not a landed run.*Move it away"):
        load(tmp_path, store)
    asyncio.run(land_polls(poll(crowd("running")), store, "run-2"))
    assert load(tmp_path, store) == ["run-2"]
    assert str(describe_aside(store)).startswith(str(file))
    store.delete(f"{file.name}.aside", shard.name)
    store.put(shard.name, content)
    assert load(tmp_path, store) == ["run-1"]


def test_name_that_is_taken(store: Store) -> None:
    """A file is not landed if another content is there; the same content is this file."""
    first = write_pages(store, "s0000000001-x-1", [], {})
    assert write_pages(store, "s0000000001-x-1", [], {}) == first
    first.delete()
    store.put(first.name, b"another")
    with pytest.raises(LandingError, match="another is there"):
        write_pages(store, "s0000000001-x-1", [], {})


ACCESS = {"key": ("key_id",), "secret": ("secret",)}


@pytest.mark.parametrize("place", ["s3"])
@pytest.mark.parametrize("wrong", ["500", "403", "away", "key", "secret", "bucket"])
def test_store_that_is_out_of_reach(
    store: Store, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    """It is said in one line without keys; nothing is lost, and no run is set aside for it."""
    assert files.access is not None
    monkeypatch.setattr(landing, "PATIENCE", timedelta(seconds=1))
    asyncio.run(land_polls(poll(crowd("idle")), store, "run-1"))
    before = store.list()
    status = int(wrong) if wrong.isdigit() else 500
    with serve(Script((status, {}, f"<Error><Code>Bad</Code>{CANARY}</Error>")).app) as url:
        endpoint = url.removeprefix("http://") if wrong.isdigit() else files.access.store.endpoint
        endpoint = f"127.0.0.1:{find_port()}" if wrong == "away" else endpoint
        broken = Objects(
            f"s3://{'another' if wrong == 'bucket' else 'threads'}/{tmp_path.name}/raw",
            msgspec.structs.replace(
                files.access,
                store=files.access.store.model_copy(update={"endpoint": endpoint}),
                **{name: SecretStr(f"{CANARY}-no") for name in ACCESS.get(wrong, ())},
            ),
        )
        with pytest.raises(StoreUnavailable) as raised:
            load(tmp_path, broken)
        assert_one_line(raised.value)
        with pytest.raises((StoreUnavailable, LandingError)) as failed:
            asyncio.run(land_polls(poll(crowd("running")), broken, "run-2"))
        assert_one_line(failed.value)
        with pytest.raises((StoreUnavailable, LandingError)) as tried:
            try_store(broken)
        assert_one_line(tried.value)
    assert store.list() == before
    assert load(tmp_path, store) == ["run-1"]


def assert_one_line(error: Exception) -> None:
    """Check that what is said is a line that names the place, and no key."""
    assert str(error).startswith("s3://")
    assert "\n" not in str(error)
    assert CANARY not in str(error)


def test_outage_while_loading(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails between a load's beginning and its end counts for no try of the file."""
    file, _ = asyncio.run(land_polls(poll(crowd("idle")), store, "run-1"))
    for _ in range(BEGINNINGS + 1):
        with monkeypatch.context() as patch:

            def fail(*_: object) -> bytes:
                raise StoreUnavailable("away")

            patch.setattr(type(store), "get", fail)
            with pytest.raises(StoreUnavailable):
                load(tmp_path, store)
    assert not Tries(file).are_spent
    assert load(tmp_path, store) == ["run-1"]
