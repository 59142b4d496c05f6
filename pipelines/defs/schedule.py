"""The job and when it runs."""

import dagster as dg

from pipelines.defs.report import report
from pipelines.settings import load_key

poll_threads = dg.define_asset_job(
    "poll_threads",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(report),
    executor_def=dg.in_process_executor,
    description="Poll every configured session, load, analyse and publish.",
)


def build_schedule() -> dg.ScheduleDefinition:
    """Return the schedule of the job, at the configured interval; it starts stopped."""
    minutes = load_key("poll_interval_minutes")
    return dg.ScheduleDefinition(
        name="poll_threads_schedule",
        job=poll_threads,
        cron_schedule="0 * * * *" if minutes == 60 else f"*/{minutes} * * * *",  # noqa: PLR2004
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
