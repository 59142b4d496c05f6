"""Dagster's door: the code location `pipelines`."""

import atexit
import os
from contextlib import suppress
from pathlib import Path

import dagster as dg

from pipelines.cli.ending import end_at_once
from pipelines.config.loader import load_tolerant
from pipelines.defs.assets import define_assets
from pipelines.defs.machines import define_machines
from pipelines.defs.report import write_report_job, write_report_schedule
from pipelines.defs.resources import Configuration, open_for_run
from pipelines.defs.schedule import build_schedule, define_poll_job, expect_each_interval
from pipelines.files import restrict
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.place import open_warehouse

atexit.register(end_at_once)
os.umask(0o077)  # what Dagster and the steps write holds names of threads
if dagster_home := os.environ.get("DAGSTER_HOME"):
    with suppress(OSError):  # of someone else: Dagster's own processes say if that matters
        restrict(Path(dagster_home), 0o700)


@dg.definitions
def defs() -> dg.Definitions:
    """Return the assets, the job, its schedule, and the sensors if a webhook is configured.

    All steps run in one process: DuckDB has one writer.
    """
    settings = load_tolerant()
    sensors: list[dg.SensorDefinition] = []
    if settings.webhook_url_env:
        from pipelines.defs.sensors import build_sensors  # noqa: PLC0415 - it imports polars

        sensors = build_sensors(settings.webhook_url_env)
    machines = define_machines(settings)
    analyses = list_analyses(settings.analyses_dir)
    return dg.Definitions(
        assets=[
            *expect_each_interval(settings, define_assets(analyses)),
            *machines.assets,
        ],
        jobs=[define_poll_job(settings), write_report_job, *machines.jobs],
        schedules=[build_schedule(settings), write_report_schedule, *machines.schedules],
        sensors=[*sensors, *machines.sensors],
        resources={
            "analyses": analyses,
            "configuration": Configuration(),
            "landed": {},
            "tables": open_for_run,
            "warehouse": open_warehouse(settings.home, settings.lake),
            "webhook_variable": settings.webhook_url_env,
            # No asset passes a value on: the manager that writes them to files costs its imports.
            "io_manager": dg.mem_io_manager,
        },
        executor=dg.in_process_executor,
    )
