"""The assets, in the order in which data flows: pages, threads, analyses, the published copy."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.config.settings import (
    data_home,
    load_analyses_dir,
    load_analysis_settings,
    load_settings,
)
from pipelines.defs.analyses import build_analyses_asset
from pipelines.defs.checks import (
    LOAD_CHECKS,
    PUBLICATION_CHECKS,
    check_drift,
    check_freshness,
    check_keys,
    check_sessions,
)
from pipelines.defs.metadata import (
    OWNERS,
    describe_ledger,
    describe_pages,
    describe_polls,
    describe_publication,
    describe_table,
)
from pipelines.defs.report import report
from pipelines.defs.schedule import expect_each_interval
from pipelines.errors import INTERRUPTED, TOKEN_REJECTED, LoadRejected, SettingsError
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.writer import land_polls
from pipelines.records import Progress, Selection
from pipelines.reporting.health import read_rows
from pipelines.reporting.wording import count
from pipelines.warehouse.analyses import Analysis, list_analyses
from pipelines.warehouse.build import write_settings
from pipelines.warehouse.duckdb_file import open_warehouse, read_newest_sequence
from pipelines.warehouse.load import find_newest_run, load_landed, read_drift, read_ledger
from pipelines.warehouse.publication import publish


class PollConfig(dg.Config):
    """What this run polls: everything that is configured, unless told otherwise."""

    sessions: list[str] = Field(
        default_factory=list,
        description="Ids of configured sessions, to poll these alone. Empty: all of them.",
    )
    statuses: list[str] = Field(
        default_factory=list,
        description="Statuses, such as running, to list threads in these alone; such a poll retires"
        " no thread and counts as no complete one. Empty: all of them.",
    )


def build_pages_asset() -> dg.AssetsDefinition:
    """Return the asset of the landed pages."""

    @dg.asset(
        group_name="ingestion",
        kinds={"python", "parquet"},
        owners=OWNERS,
        freshness_policy=expect_each_interval(),
        metadata=describe_pages(),
    )
    def thread_pages(
        context: dg.AssetExecutionContext,
        config: PollConfig,
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """Every page of the threads of the configured sessions, as the server sent it.

        One Parquet file for each run, and shards of a large one, in `raw/` of the data directory. A
        session that fails ends alone, and says why in the log and in `every_session_complete`.
        """
        settings = load_settings()
        selection = Selection(tuple(config.sessions), tuple(config.statuses))
        polls = poll_sessions(settings.sources, selection, progress)
        path, ended = asyncio.run(
            land_polls(
                polls,
                data_home() / RAW,
                context.run.run_id,
                newest=read_newest_sequence(data_home()),
                keep_agent_definition=settings.keep_agent_definition,
            )
        )
        for poll in ended:
            if poll.error_message:
                context.log.warning("session %s: %s", poll.session_id, poll.error_message)
        return dg.MaterializeResult(metadata=describe_polls(path, ended))

    return thread_pages


def build_threads_asset() -> dg.AssetsDefinition:
    """Return the asset of the loaded tables."""

    @dg.asset(
        deps=["thread_pages"],
        group_name="ingestion",
        kinds={"duckdb"},
        owners=OWNERS,
        freshness_policy=expect_each_interval(),
        metadata={"dagster/table_name": "main.threads"},
        check_specs=LOAD_CHECKS,
    )
    def threads() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        """The current state of every thread, its history, and the ledger of polls they rest on.

        All tables of a run change in one transaction, or none does.
        """
        started = time.monotonic()
        try:
            loaded = load_landed(data_home(), find_retention())
        except LoadRejected as rejection:
            yield check_keys(rejection)
            raise
        seconds = round(time.monotonic() - started, 3)
        with open_warehouse(data_home()) as connection:
            write_settings(connection, load_analysis_settings())
            ledger = read_ledger(connection, loaded or find_newest_run(connection))
            drift = read_drift(connection, loaded)
            table = describe_table(connection, "main", "threads")
        yield dg.MaterializeResult(
            metadata=describe_ledger(ledger) | table | {"seconds": seconds},
            check_results=[check_sessions(ledger), check_keys(None), check_drift(drift)],
        )

    return threads


def find_retention() -> int | None:
    """Return for how many days pages are kept; for ever where the settings are rejected."""
    try:
        return load_settings(with_tokens=False).raw_retention_days
    except SettingsError:
        return None


def build_published_asset(analyses: Mapping[str, Analysis]) -> dg.AssetsDefinition:
    """Return the asset of the published copy, which waits for every analysis."""

    @dg.asset(
        name="published_database",
        deps=["threads", *analyses],
        group_name="publication",
        kinds={"duckdb"},
        owners=OWNERS,
        freshness_policy=expect_each_interval(),
        check_specs=PUBLICATION_CHECKS,
    )
    def published_database(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        """The copy that people query, `threads.duckdb`: replaced at once, also for a new ledger.

        The run fails after it, so that someone is told, where its own poll brought nothing.
        """
        with open_warehouse(data_home()) as connection:
            ledger = read_ledger(connection, [context.run.run_id])
        started = time.monotonic()
        path = publish(data_home(), analyses)
        seconds = round(time.monotonic() - started, 3)
        health = read_rows(data_home())
        yield dg.MaterializeResult(
            metadata=describe_publication(path, health, seconds),
            check_results=[check_freshness(health)],
        )
        if problem := find_problem(ledger):
            raise dg.Failure(problem, allow_retries=False)

    return published_database


def find_problem(ledger: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why someone must look at a run, in one line; None where its polls brought data."""
    ended = [row for row in ledger if row["error_type"] in {TOKEN_REJECTED, INTERRUPTED}]
    if ended:
        return str(ended[0]["error_message"])
    if ledger and not any(row["pages"] for row in ledger):
        return f"{count(len(ledger), 'session')} failed; the first: {ledger[0]['error_message']}"
    return None


def build_assets() -> list[dg.AssetsDefinition]:
    """Return every asset, one for each analysis file among them."""
    analyses = list_analyses(load_analyses_dir())
    return [
        build_pages_asset(),
        build_threads_asset(),
        build_analyses_asset(analyses),
        build_published_asset(analyses),
        report,
    ]
