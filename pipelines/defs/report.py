"""The report as an asset, and the job that draws it.

It is outside `poll_threads`: drawing takes longer than a small poll does, and most polls are
never looked at.
"""

import dagster as dg

from pipelines.defs.metadata import OWNERS
from pipelines.defs.resources import ConfigurationParam, WarehouseParam
from pipelines.reporting.report.file import LATEST, REPORTS, write_report

# By its name: the job of the published copy does not wait for the report.
PUBLISHED = dg.AssetKey("published_database")


@dg.asset(deps=[PUBLISHED], group_name="publication", kinds={"html"}, owners=OWNERS)
def report(configuration: ConfigurationParam, warehouse: WarehouseParam) -> dg.MaterializeResult:
    """The HTML report of the published copy, in place of the previous one."""
    directory = configuration.load_tolerant().home / REPORTS
    path = write_report(warehouse, directory, directory / LATEST)
    return dg.MaterializeResult(
        metadata={"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size}
    )


write_report_job = dg.define_asset_job(
    "write_report",
    selection=[report],
    executor_def=dg.in_process_executor,
    description="Draw the HTML report of what is published.",
)

write_report_schedule = dg.ScheduleDefinition(
    name="write_report_schedule",
    job=write_report_job,
    cron_schedule="7 * * * *",  # when no poll begins, whatever its interval
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Draws the report every hour, once it is turned on.",
)
