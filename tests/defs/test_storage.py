"""What a run by Dagster is spared: files opened again and again, and objects looked at again."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, event

from pipelines.defs.storage import EventLog
from tests.defs.instances import open_instance
from tests.support import ROOT, run_printed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

pytestmark = pytest.mark.slow

RUN = "00000000-0000-4000-8000-000000000000"
OPENED: list[str] = []


COUNT_GARBAGE = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects())))
import pipelines.definitions
print(gc.get_freeze_count(), len(gc.get_objects()))
assert "polars" not in sys.modules
"""


def note_opened(name: str, arguments: tuple[object, ...]) -> None:
    """Note each SQLite file that is opened."""
    if name == "sqlite3.connect":
        OPENED.append(str(arguments[0]))


@contextmanager
def noted_modes() -> Iterator[set[str]]:
    """Give how SQLite keeps its log, and whether it waits for the disk, as a table is made."""
    modes: set[str] = set()

    def note(connection: Connection, _: object, statement: str, *__: object) -> None:
        if statement.lstrip().startswith("CREATE TABLE"):
            cursor = connection.connection.cursor()
            for pragma in ("journal_mode", "synchronous"):
                cursor.execute(f"PRAGMA {pragma}")
                modes.update(f"{pragma} {value}" for (value,) in cursor.fetchall())

    event.listen(Engine, "before_cursor_execute", note)
    yield modes
    event.remove(Engine, "before_cursor_execute", note)


def run(instance: dg.DagsterInstance, seen: Sequence[str] | None = None) -> str:
    """Run a job of three assets, which first waits until its start was `seen`; return its id."""

    @dg.multi_asset(
        specs=[dg.AssetSpec(name) for name in "abc"],
        check_specs=[dg.AssetCheckSpec("holds", asset=name) for name in "abc"],
    )
    def letters() -> object:
        deadline = time.monotonic() + 60
        while seen is not None and "STEP_START" not in seen and time.monotonic() < deadline:
            time.sleep(0.01)
        for name in "abc":
            check = dg.AssetCheckResult(asset_key=name, check_name="holds", passed=name != "b")
            yield dg.MaterializeResult(asset_key=name, check_results=[check])

    job = dg.Definitions([letters]).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, run_id=RUN if seen is not None else None
    ).run_id


def test_files_stay_open(tmp_path: Path) -> None:
    """The files of all runs, and that of a run while it goes on, stay open, and Dagster reads them.

    Each is whole without a log beside it when the run's process has ended. Making them waits for no
    disk.
    """
    plain = tmp_path / "plain"
    plain.mkdir()
    with dg.DagsterInstance.local_temp(str(plain)) as instance:
        expected = read(instance, run(instance))
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    sys.addaudithook(note_opened)
    with noted_modes() as modes, open_instance(tmp_path) as instance:
        first = run(instance)
        assert modes == {"journal_mode wal", "synchronous 1"}
        OPENED.clear()
        second = run(instance)
        assert isinstance(instance.event_log_storage, EventLog)
        assert not [name for name in OPENED if name.endswith(("index.db", "runs.db"))]
        # Once to make its tables, and once to look for them.
        assert len([name for name in OPENED if name.endswith(f"{second}.db")]) == 2
    assert not list((tmp_path / "history").rglob("*.db-*"))
    with create_engine("sqlite://").connect() as connection:  # others are left alone
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    (tmp_path / "dagster.yaml").unlink()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert read(instance, first) == read(instance, second) == expected


def test_a_run_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    """Who watches a run from another instance, as the web server does, sees events as they come."""
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    seen: list[str] = []

    def note(entry: dg.EventLogEntry, _: str) -> None:
        seen.append(entry.get_dagster_event().event_type_value)

    with open_instance(tmp_path) as watching, open_instance(tmp_path) as instance:
        watching.watch_event_logs(RUN, None, note)
        run(instance, seen)
        assert "STEP_START" in seen
        assert "RUN_SUCCESS" not in seen[: seen.index("STEP_START")]


def test_garbage_is_not_looked_for_where_none_is() -> None:
    """Collections leave out what Dagster has imported, and as the process ends everything.

    What no definition needs is not imported before pages come.
    """
    printed = run_printed(sys.executable, "-c", COUNT_GARBAGE)
    (loaded, others), (left, last) = (map(int, line.split()) for line in printed.splitlines())
    assert loaded > 50_000
    assert left > loaded + others // 2
    assert last < 1000


def read(instance: dg.DagsterInstance, run_id: str) -> list[tuple[object, ...]]:
    """Return the events of a run, and what the file of all runs says of its checks."""
    types = [record.dagster_event_type for record in instance.all_logs(run_id)]
    keys = [dg.AssetCheckKey(dg.AssetKey(name), "holds") for name in "abc"]
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return [tuple(types), *((key.to_user_string(), checks[key].status) for key in keys)]
