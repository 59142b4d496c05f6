"""Dagster's own files: those that Dagster makes, opened less often."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines.defs.storage import EventLog
from tests.defs.instances import open_instance
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

OPENED: list[str] = []


def note_opened(event: str, arguments: tuple[object, ...]) -> None:
    """Note each SQLite file that is opened."""
    if event == "sqlite3.connect":
        OPENED.append(str(arguments[0]))


def run(instance: dg.DagsterInstance) -> str:
    """Run a job of three assets; return the run's id."""

    @dg.multi_asset(
        specs=[dg.AssetSpec(name) for name in "abc"],
        check_specs=[dg.AssetCheckSpec("holds", asset=name) for name in "abc"],
    )
    def letters() -> object:
        for name in "abc":
            check = dg.AssetCheckResult(asset_key=name, check_name="holds", passed=name != "b")
            yield dg.MaterializeResult(asset_key=name, check_results=[check])

    return dg.materialize([letters], instance=instance).run_id


def test_one_file_stays_open(tmp_path: Path) -> None:
    """The file of all runs stays open after the first run of a process, and Dagster reads it."""
    plain = tmp_path / "plain"
    plain.mkdir()
    with dg.DagsterInstance.local_temp(str(plain)) as instance:
        expected = read(instance, run(instance))
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    sys.addaudithook(note_opened)
    with open_instance(tmp_path) as instance:
        first = run(instance)
        OPENED.clear()
        second = run(instance)
        assert isinstance(instance.event_log_storage, EventLog)
        assert not [name for name in OPENED if name.endswith("index.db")]
        assert [name for name in OPENED if name.endswith(f"{second}.db")]
    (tmp_path / "dagster.yaml").unlink()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert read(instance, first) == read(instance, second) == expected


def read(instance: dg.DagsterInstance, run_id: str) -> list[tuple[object, ...]]:
    """Return the events of a run, and what the file of all runs says of its checks."""
    types = [record.dagster_event_type for record in instance.all_logs(run_id)]
    keys = [dg.AssetCheckKey(dg.AssetKey(name), "holds") for name in "abc"]
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return [tuple(types), *((key.to_user_string(), checks[key].status) for key in keys)]
