"""Alerts and the notebook are on a lake what they are on a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from notebooks.threads import app
from pipelines.config.settings import Settings
from pipelines.reporting.alerts import ALERTED, send_alerts
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ducklake import DuckLake
from tests.builders import NEEDED, SESSION, at, born, land, thread
from tests.lake.tables import load
from tests.support import make_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.config.lake import Lake
    from pipelines.warehouse.base import Warehouse

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement

SETTINGS = Settings(sources=(make_source(sessions=[SESSION]),))
WAITING: dict[str, Any] = {"stop_reason": {"type": "requires_action"}}


def test_alerts(lake: Lake, home: Path) -> None:
    """A reason is sent when it comes, once, and again when it comes back; so is a session's."""
    analyses = {name: list_analyses()[name] for name in NEEDED}
    warehouses: dict[str, Warehouse] = {"file": DuckdbFile(home), "lake": DuckLake(home, lake)}
    sent: dict[str, list[list[str]]] = {name: [] for name in warehouses}
    for minute, threads in {
        60: [thread("a", "idle", **WAITING), thread("b", "idle")],
        70: [thread("a", "running", updated=69), thread("b", "idle")],
        80: [thread("a", "idle", updated=74, **WAITING)],
    }.items():
        land(home, minute, *threads)
        for name, warehouse in warehouses.items():
            load(warehouse, home, analyses)
            place = home / f"{name}-{ALERTED}"
            for later in (1, 2):
                messages: list[str] = []
                send_alerts(warehouse, place, SETTINGS, at(minute + later), messages.append)
                sent[name].append(messages)
    assert sent["lake"] == sent["file"]
    assert [len(messages) for messages in sent["lake"]] == [1, 0, 0, 0, 1, 0]


def test_notebook(lake: Lake, home: Path, configure: Callable[..., None]) -> None:
    """Every table of the notebook has the rows that it has of a file; nothing is in the way."""
    for minute, status in ((0, "running"), (20, "idle"), (60, "terminated")):
        threads = (born(f"t{n}", 0, minute, status=status, agent_id="a") for n in range(6))
        land(home, minute, *threads, born("open", 0, minute, agent_id="b", agent_name="Beta"))
    found = {}
    for warehouse in (DuckdbFile(home), DuckLake(home, lake)):
        load(warehouse, home, list_analyses())
        if isinstance(warehouse, DuckLake):
            configure()
        outputs, variables = app.run()
        assert not any("danger" in getattr(output, "text", "") for output in outputs)
        found[type(warehouse)] = {
            name: value for name, value in variables.items() if isinstance(value, pl.DataFrame)
        }
        variables["connection"].close()
    assert len(found[DuckLake]) > 5
    assert found[DuckLake].keys() == found[DuckdbFile].keys()
    for name, frame in found[DuckLake].items():
        assert_frame_equal(frame, found[DuckdbFile][name])
