"""Dagster's door: the code location `pipelines`."""

import dagster as dg

from pipelines.config.settings import load_analyses_dir
from pipelines.defs.assets import define_assets
from pipelines.defs.report import write_report_job
from pipelines.defs.resources import Configuration
from pipelines.defs.schedule import build_schedule, expect_each_interval, poll_threads
from pipelines.defs.sensors import build_sensors
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.place import open_warehouse


@dg.definitions
def defs() -> dg.Definitions:
    """Return the assets, the job, its schedule, and the sensors if a webhook is configured.

    All steps run in one process: DuckDB has one writer.
    """
    analyses = list_analyses(load_analyses_dir())
    return dg.Definitions(
        assets=expect_each_interval(define_assets(analyses)),
        jobs=[poll_threads, write_report_job],
        schedules=[build_schedule()],
        sensors=build_sensors(),
        resources={
            "analyses": analyses,
            "configuration": Configuration(),
            "warehouse": open_warehouse(),
            # No asset hands a value on: the manager that writes them to files costs its imports.
            "io_manager": dg.mem_io_manager,
        },
        executor=dg.in_process_executor,
    )
