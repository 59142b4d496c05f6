"""What is read of a run while it lands is what its load would read."""

from __future__ import annotations

import asyncio
import gc
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipelines.errors import LandingError, WarehouseBusy
from pipelines.landing import writer as writing
from pipelines.landing.directory import RAW, find_shards, list_runs
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.staged import Before, read_before
from pipelines.warehouse.stager import Stager
from pipelines.warehouse.staging import Staging
from tests.builders import crowd, land, load_all, poll, publish_all, replace_body, replay_all
from tests.support import read_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from pipelines.landing.store import LandedFile
    from pipelines.records import FetchedPage, Poll
    from tests.builders import Pages

pytestmark = pytest.mark.slow  # together they take long
TABLES = ("threads", "thread_status_history", "session_polls", "session_digests", "schema_drift")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every page a shard."""
    monkeypatch.setattr(writing, "SHARD_BYTES", 1)


async def interleave(fleet: dict[str, Pages]) -> AsyncGenerator[FetchedPage | Poll]:
    """Yield the pages of each session, one after the other's, and their polls."""
    open_ = {session: poll(pages) for session, pages in fleet.items()}
    while open_:
        for session, items in list(open_.items()):
            async for item in items:
                yield msgspec.structs.replace(item, session_id=session)
                break
            else:
                del open_[session]


def run(
    home: Path,
    run_id: str,
    fleet: dict[str, Pages],
    meanwhile: Callable[[], None] = lambda: None,
    *,
    is_apart: bool = False,
) -> None:
    """Land a run and load it from what was staged: its shards are out of reach meanwhile."""
    warehouse, landing = DuckdbFile(home), Directory(home / RAW)
    before = read_before(warehouse)
    tables = warehouse.stage()
    with Staging(lambda: Stager({"qoder": "qoder"}, before, tables, keep=False)) as staging:
        asyncio.run(land_polls(interleave(fleet), landing, run_id, arrivals=staging))
        staged = staging.conclude()
        assert staged
        meanwhile()
        shards = [home / RAW / name for name in find_shards(landing.list())]
        for path in shards:
            path.rename(path.with_suffix(".away"))
        try:
            with warehouse.write(None if is_apart else staged.tables) as tables:
                assert load_landed(tables, landing, None, {run_id: staged}) == [run_id]
        finally:
            for path in shards:
                path.with_suffix(".away").rename(path)
    publish_all(home, {})


def grow(pages: Pages, seconds: float, **fields: Any) -> Pages:
    """Return the pages with numbers that grow by themselves, and with more fields in some."""
    stats = {"stats": {"duration_seconds": seconds}}
    return [[thread | stats | (fields if number else {}) for thread in pages[number]]
            for number in range(len(pages))]  # fmt: skip


def dump(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of the tables."""
    path = home / "warehouse.duckdb"
    return {name: read_table(path, f"FROM {name} ORDER BY ALL") for name in TABLES}


def test_what_is_staged_is_what_a_load_reads(home: Path) -> None:
    """Loads of staged runs need no shard, and end in the rows of a replay.

    First polls, unchanged ones, those in which only numbers grow, changes, threads listed twice,
    new fields, and the same fields again.
    """
    still = crowd("idle")
    repeated = [*crowd("running"), [{"id": "t0", "status": "idle", "updated_at": "2026-10-01"}]]
    fleets: list[dict[str, Pages]] = [
        {"sess_1": grow(crowd("running"), 1), "sess_2": still},
        {"sess_1": grow(crowd("running"), 2), "sess_2": still},
        {"sess_1": grow(crowd("idle", 4), 3, new={"a": 1}), "sess_2": repeated},
        {"sess_1": grow(crowd("idle"), 3, new={"a": 1, "b": []}), "sess_3": still, "sess_2": still},
        {"sess_3": still, "sess_1": grow(crowd("idle"), 9, new={"a": 2, "b": []})},
    ]
    for number, fleet in enumerate(fleets):
        run(home, f"run-{number}", fleet)
    counts = ("new", "changed", "unchanged", "missing")
    columns = ", ".join(f"threads_{name}" for name in counts)
    query = f"SELECT {columns} FROM session_polls ORDER BY sequence, session_id"
    assert [tuple(row.values()) for row in read_table(home / "warehouse.duckdb", query)] == [
        (6, 0, 0, 0), (6, 0, 0, 0), (0, 0, 6, 0), (0, 0, 6, 0), (0, 4, 0, 2),
        (0, 6, 0, 0), (0, 4, 2, 0), (0, 6, 0, 0), (6, 0, 0, 0), (0, 4, 2, 0), (0, 0, 6, 0),
    ]  # fmt: skip
    loaded = dump(home)
    assert {row["path"] for row in loaded["schema_drift"]} >= {"new.a", "new.b"}
    replay_all(home)
    assert dump(home) == loaded


def test_what_lies_beside_other_tables_is_read_again(home: Path) -> None:
    """What was staged on another connection than that of the tables is left."""
    with pytest.raises(LandingError):  # of the shards that are away
        run(home, "run-1", {"sess_1": crowd("idle")}, is_apart=True)
    with DuckdbFile(home).write() as tables:
        assert load_landed(tables, Directory(home / RAW)) == ["run-1"]


def test_what_others_have_changed_is_read_again(home: Path) -> None:
    """What was staged on tables that are others now is left, and the landed pages are read."""
    run(home, "run-1", {"sess_1": crowd("idle")})
    warehouse = DuckdbFile(home)

    def load_another() -> None:
        news = interleave({"sess_1": crowd("running")})
        asyncio.run(land_polls(news, Directory(home / RAW), "run-3"))
        with warehouse.write() as tables:
            tables.execute("DELETE FROM session_digests")

    with pytest.raises(LandingError):  # of the shards that are away
        run(home, "run-2", {"sess_1": crowd("idle")}, load_another)
    with warehouse.write() as tables:
        assert load_landed(tables, Directory(home / RAW)) == ["run-2", "run-3"]
    loaded = dump(home)
    replay_all(home)
    assert dump(home)["threads"] == loaded["threads"]


@pytest.mark.parametrize("is_damaged", [False, True])
def test_what_landed_earlier_is_loaded_first(home: Path, *, is_damaged: bool) -> None:
    """An earlier run that is loaded, or set aside, takes nothing of what was staged of the next."""
    threads = {"sess_1": crowd("running")}
    land(home, 0, *crowd("idle")[0], session_id="sess_1", outcome="incomplete", run_id="run-1")
    warehouse, landing = DuckdbFile(home), Directory(home / RAW)
    if is_damaged:
        replace_body(list_runs(landing)["run-1"])
        with pytest.raises(LandingError):
            load_all(home)
    beside = warehouse.stage()
    with Staging(lambda: Stager({"qoder": "qoder"}, Before(), beside, keep=False)) as staging:
        asyncio.run(land_polls(interleave(threads), landing, "run-2", newest=1, arrivals=staging))
        staged = staging.conclude()
    assert staged
    with warehouse.write(beside) as tables:
        done = load_landed(tables, landing, None, {"run-2": staged})
    assert done == (["run-2"] if is_damaged else ["run-1", "run-2"])
    loaded = dump(home)
    replay_all(home)
    assert dump(home) == loaded


def test_staging_leaves_memory_to_others(home: Path) -> None:
    """After it DuckDB has all the memory again, whether it has brought threads or none."""
    limit = "SELECT current_setting('max_memory')"
    fleets: list[dict[str, Pages]] = [{"sess_1": crowd("idle")}, {"sess_2": []}]
    for fleet in fleets:
        tables = DuckdbFile(home).stage()
        with Staging(partial(Stager, {"qoder": "qoder"}, Before(), tables, keep=False)) as staging:
            pages = interleave(fleet)
            asyncio.run(land_polls(pages, Directory(home / RAW), "run-1", arrivals=staging))
            assert staging.conclude()
        assert tables.execute(limit).fetchall() != [("122.0 MiB",)]


def test_staging_that_fails_keeps_nothing(home: Path) -> None:
    """What was staged before it failed takes no room while the landed pages are read instead."""

    class Failing(Stager):
        def take(self, arrival: LandedFile | Poll) -> None:
            raise WarehouseBusy(str(arrival))

    def make() -> Stager:
        return Failing({"qoder": "qoder"}, Before(), DuckdbFile(home).stage(), keep=False)

    gc.disable()
    try:
        with Staging(make) as staging:
            pages = interleave({"sess_1": crowd("idle")})
            asyncio.run(land_polls(pages, Directory(home / RAW), "run-1", arrivals=staging))
            assert staging.conclude() is None
        assert not list(home.glob("staging.*"))
    finally:
        gc.enable()


def test_the_load_is_prepared_beside(home: Path) -> None:
    """Pages are read while the load is prepared, and what fails in that is left to the load."""
    has_read, waited = threading.Event(), []

    class Watched(Stager):
        def take(self, arrival: LandedFile | Poll) -> None:
            super().take(arrival)
            has_read.set()

    def prepare() -> None:
        waited.append(has_read.wait(30))
        raise WarehouseBusy("another process writes")

    def make() -> Stager:
        tables = DuckdbFile(home).stage()
        return Watched({"qoder": "qoder"}, Before(), tables, keep=False)

    with Staging(make, prepare) as staging:
        pages = interleave({"sess_1": crowd("idle")})
        asyncio.run(land_polls(pages, Directory(home / RAW), "run-1", arrivals=staging))
        assert staging.conclude()
    assert waited == [True]
