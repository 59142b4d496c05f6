"""Dagster's door: the code location `pipelines`, and its job run in this process."""

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import dagster as dg

from pipelines.defs.assets import build_assets
from pipelines.defs.report import write_report_job
from pipelines.defs.schedule import build_schedule, poll_threads
from pipelines.defs.sensors import build_sensors
from pipelines.errors import SettingsError
from pipelines.records import Progress, Selection


@dg.definitions
def defs() -> dg.Definitions:
    """Return the assets, the job, its schedule, and the sensors where a webhook is configured.

    All steps run in one process: DuckDB has one writer.
    """
    return dg.Definitions(
        assets=build_assets(),
        jobs=[poll_threads, write_report_job],
        schedules=[build_schedule()],
        sensors=build_sensors(),
        # No asset hands a value on: the manager that writes them to files would cost its imports.
        resources={"progress": Progress(), "io_manager": dg.mem_io_manager},
        executor=dg.in_process_executor,
    )


def open_instance() -> dg.DagsterInstance:
    """Open the instance of DAGSTER_HOME, or one that lasts as long as the run.

    Raises SettingsError where DAGSTER_HOME names no directory.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        return dg.DagsterInstance.ephemeral()
    if not (Path(home).is_absolute() and Path(home).is_dir()):
        raise SettingsError(
            "DAGSTER_HOME", f"{home} is not the absolute path of a directory", "Fix or unset it."
        )
    return dg.DagsterInstance.get()


def run_poll(
    selection: Selection, progress: Progress, *, debug: bool = False
) -> tuple[str, list[str]]:
    """Run the job in this process; return the run's id, and what analyses' checks have found.

    The run is remembered in the instance of DAGSTER_HOME, if that is set. Raises what a step
    raises; that a poll brought nothing is no such failure: it stands in the ledger.
    """
    run_id = str(uuid.uuid4())
    poll = {"sessions": list(selection.sessions), "statuses": list(selection.statuses)}
    found: list[str] = []
    with open_instance() as instance, suppress(dg.Failure):
        result = (
            defs()
            .resolve_job_def(poll_threads.name)
            .execute_in_process(
                run_config={
                    "ops": {"thread_pages": {"config": poll}},
                    "loggers": {
                        "console": {"config": {"log_level": "INFO" if debug else "CRITICAL"}}
                    },
                },
                instance=instance,
                resources={"progress": progress},
                run_id=run_id,
            )
        )
        found = list_findings(result.get_asset_check_evaluations())
    return run_id, found


def list_findings(evaluations: Iterable[dg.AssetCheckEvaluation]) -> list[str]:
    """Return what the failed checks of analyses have found, each once."""
    found = [
        evaluation.metadata.get("found") for evaluation in evaluations if not evaluation.passed
    ]
    return list(dict.fromkeys(str(value.value) for value in found if value))
