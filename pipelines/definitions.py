"""Dagster's door: the code location `pipelines`."""

import dagster as dg

from pipelines.api.poll import Observer
from pipelines.defs.assets import build_assets
from pipelines.defs.schedule import build_schedule, poll_threads


@dg.definitions
def defs() -> dg.Definitions:
    """Return the assets, the job and its schedule, all in one process: DuckDB has one writer."""
    return dg.Definitions(
        assets=build_assets(),
        jobs=[poll_threads],
        schedules=[build_schedule()],
        resources={"observer": Observer()},
        executor=dg.in_process_executor,
    )
