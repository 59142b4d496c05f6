"""Dagster's door: the code location `pipelines`, and its job run in this process."""

import os
import uuid
from contextlib import suppress

import dagster as dg

from pipelines.api.poll import Observer, Scope
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


def run_poll(scope: Scope, observer: Observer, *, debug: bool = False) -> str:
    """Run the job in this process and return the run's id.

    The run is remembered in the instance of DAGSTER_HOME, if that is set. Raises what a step
    raises; that a poll brought nothing is no such failure: it stands in the ledger.
    """
    run_id = str(uuid.uuid4())
    poll = {"sessions": list(scope.sessions), "statuses": list(scope.statuses)}
    remembered = bool(os.environ.get("DAGSTER_HOME"))
    open_instance = dg.DagsterInstance.get if remembered else dg.DagsterInstance.ephemeral
    with open_instance() as instance, suppress(dg.Failure):
        defs().resolve_job_def(poll_threads.name).execute_in_process(
            run_config={
                "ops": {"thread_pages": {"config": poll}},
                "loggers": {"console": {"config": {"log_level": "INFO" if debug else "CRITICAL"}}},
            },
            instance=instance,
            resources={"observer": observer},
            run_id=run_id,
        )
    return run_id
