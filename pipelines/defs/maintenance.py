"""Maintenance of a lake as an asset, with its job and its schedule."""

import dagster as dg

from pipelines import clock
from pipelines.config.settings import Settings
from pipelines.defs.metadata import OWNERS, describe_maintenance
from pipelines.defs.resources import WarehouseParam
from pipelines.defs.schedule import TABLES, name_pool, name_tables

MAINTAIN = "maintain_lake"


def define_maintenance(
    settings: Settings,
) -> tuple[dg.AssetsDefinition, dg.JobDefinition, dg.ScheduleDefinition]:
    """Return what keeps a lake's files few, its job and its schedule; a load waits for its end."""

    @dg.asset(
        group_name="maintenance",
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        pool=name_pool(settings),
        description="Few files instead of many small ones, and no snapshot older than seven days.",
    )
    def lake_files(warehouse: WarehouseParam) -> dg.MaterializeResult:
        done = warehouse.maintain(clock.now())
        return dg.MaterializeResult(metadata=describe_maintenance(done) if done else {})

    # The type that is declared covers jobs that are resolved later, as this one is.
    job: dg.JobDefinition = dg.define_asset_job(  # type: ignore[assignment]
        MAINTAIN,
        selection=[lake_files],
        executor_def=dg.in_process_executor,
        tags={TABLES: name_tables(settings)},
        description="Keep the files of the lake few.",
    )
    nightly = dg.ScheduleDefinition(
        name=f"{MAINTAIN}_schedule",
        job=job,
        cron_schedule="41 3 * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Maintains the lake every night, once it is turned on.",
    )
    return lake_files, job, nightly
