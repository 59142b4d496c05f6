"""The assets, in the order in which data flows: pages, threads, analyses, the published copy.

Each is a step of `pipelines.steps`, and what it has brought as metadata and checks.
"""

import time
from collections.abc import Iterator, Mapping

import dagster as dg
from pydantic import Field

from pipelines import steps
from pipelines.defs.analyses import define_analyses
from pipelines.defs.checks import (
    LOAD_CHECKS,
    PUBLICATION_CHECKS,
    check_keys,
    check_sessions,
)
from pipelines.defs.metadata import (
    COLUMNS_OF_PAGES,
    OWNERS,
    describe_table,
)
from pipelines.defs.report import report
from pipelines.defs.resources import (
    AnalysesParam,
    ConfigurationParam,
    LandedParam,
    TablesParam,
    WarehouseParam,
)
from pipelines.defs.results import (
    describe_found,
    describe_landed,
    describe_loaded,
    describe_published,
)
from pipelines.errors import LoadRejected
from pipelines.landing.place import open_landing
from pipelines.records import Progress, Selection
from pipelines.reporting.failures import Failures, find_problem
from pipelines.reporting.health import read_rows
from pipelines.reporting.loads import list_warnings
from pipelines.warehouse.analysis import Analysis
from pipelines.warehouse.publication import publish


class PollConfig(dg.Config):
    """What this run polls: by default everything that is configured."""

    sessions: list[str] = Field(
        default_factory=list,
        description="Ids of configured sessions, to poll these alone. Empty: all of them.",
    )
    statuses: list[str] = Field(
        default_factory=list,
        description="Statuses, such as running, to list threads in these alone; such a poll retires"
        " no thread and counts as no complete one. Empty: all of them.",
    )
    full: bool = Field(
        default=False, description="Whether every session is listed, whatever the plan says."
    )


SESSIONS = dg.AssetSpec(
    "sessions",
    description="The sessions of each source: those that are named, and those that it is asked for."
    " What becomes of each is in the table `sessions`.",
    group_name="ingestion",
    kinds={"python"},
    owners=OWNERS,
)
THREAD_PAGES = dg.AssetSpec(
    "thread_pages",
    deps=[SESSIONS],
    description="Every page of the threads of these sessions, as the server sent it. One Parquet"
    " file for each run, and shards of a large one, in `raw/` of the data directory.",
    group_name="ingestion",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata={"dagster/column_schema": COLUMNS_OF_PAGES},
)


@dg.multi_asset(specs=[SESSIONS, THREAD_PAGES])
def thread_pages(
    context: dg.AssetExecutionContext,
    config: PollConfig,
    configuration: ConfigurationParam,
    analyses: AnalysesParam,
    warehouse: WarehouseParam,
    tables: TablesParam,
    landed: LandedParam,
) -> Iterator[dg.MaterializeResult]:
    """Find the sessions, and fetch every page of their threads.

    A session that fails ends alone, and says why in the log and in `every_session_complete`. If all
    do, this step fails: after the ledger that says so is published.
    """
    settings = configuration.load()
    selection = Selection(tuple(config.sessions), tuple(config.statuses), config.full)
    run_id = context.run.run_id
    asked = steps.ask(settings, warehouse, selection, Progress(), run_id, "dagster")
    came = asked.landed
    yield describe_found(asked)
    for line in filter(None, map(Failures().describe, came.polls)):
        context.log.warning(line)
    if problem := find_problem(came.polls):
        with tables.write(came.tables) as connection:  # the steps after this one will not run
            ledger = steps.load(settings, connection, came).ledger
            publish(warehouse, connection, analyses)
        evidence = check_sessions([row for row in ledger if row["run_id"] == run_id]).metadata
        raise dg.Failure(problem, metadata=evidence, allow_retries=False)
    landed[run_id] = came
    yield describe_landed(asked)


@dg.asset(
    deps=[THREAD_PAGES],
    group_name="ingestion",
    kinds={"duckdb"},
    owners=OWNERS,
    metadata={"dagster/table_name": "main.threads"},
    check_specs=LOAD_CHECKS,
)
def threads(
    context: dg.AssetExecutionContext,
    configuration: ConfigurationParam,
    tables: TablesParam,
    landed: LandedParam,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """The current state of every thread, its history, and the ledger of the polls behind them.

    All tables of a run change in one transaction, or none does.
    """
    started, settings = time.monotonic(), configuration.load_tolerant()
    came = landed.pop(context.run.run_id, None)
    try:
        with tables.write(came and came.tables) as connection:
            loaded = steps.load(settings, connection, came)
            table = describe_table(connection, "main", "threads")
    except LoadRejected as rejection:
        yield check_keys(rejection)
        raise
    for line in list_warnings(loaded, open_landing(settings)):
        context.log.warning(line)
    yield describe_loaded(loaded, table, time.monotonic() - started)


def published_database(
    configuration: ConfigurationParam,
    analyses: AnalysesParam,
    warehouse: WarehouseParam,
    tables: TablesParam,
) -> dg.MaterializeResult:
    """The copy that people query, `threads.duckdb`: replaced even if only the ledger is new."""
    started = time.monotonic()
    with tables.write() as connection:
        path = publish(warehouse, connection, analyses)
    seconds = time.monotonic() - started
    return describe_published(configuration, path, read_rows(warehouse), seconds)


def define_assets(analyses: Mapping[str, Analysis]) -> list[dg.AssetsDefinition]:
    """Return every asset; those of the analyses, and what waits for them, follow from the files."""
    publication = dg.asset(
        deps=[threads, *analyses],
        group_name="publication",
        kinds={"duckdb"},
        owners=OWNERS,
        check_specs=PUBLICATION_CHECKS,
    )
    return [
        thread_pages,
        threads,
        define_analyses(analyses),
        publication(published_database),
        report,
    ]
