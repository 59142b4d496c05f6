"""One run of the job in this process, as the command starts it, and what it has brought."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from pipelines.config.settings import data_home, load_settings
from pipelines.definitions import run_poll
from pipelines.records import Progress, Selection
from pipelines.warehouse.duckdb_file import open_warehouse
from pipelines.warehouse.load import read_drift, read_ledger


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has brought: its rows of the ledger, the largest session first.

    `drift` is what it saw first, `findings` what the checks of analyses have found, a line each.
    """

    run_id: str
    ledger: list[dict[str, Any]]
    drift: list[str]
    findings: list[str]
    seconds: float
    data: Path


def run_job(
    selection: Selection | None = None, progress: Progress | None = None, *, debug: bool = False
) -> Result:
    """Run Dagster's job in this process. Raises SettingsError, and what one of its steps raises."""
    load_settings()
    started = time.monotonic()
    run_id, findings = run_poll(selection or Selection(), progress or Progress(), debug=debug)
    with open_warehouse(data_home()) as connection:
        ledger, drift = read_ledger(connection, [run_id]), read_drift(connection, [run_id])
    return Result(
        run_id=run_id,
        ledger=ledger,
        drift=drift,
        findings=findings,
        seconds=time.monotonic() - started,
        data=data_home(),
    )
