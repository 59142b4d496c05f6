"""The assets, in the order in which data flows: pages, threads, analyses, the published copy."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.api.poll import Observer, Scope, poll_sessions
from pipelines.defs.metadata import (
    describe_analysis,
    describe_ledger,
    describe_polls,
    describe_table,
)
from pipelines.defs.report import report
from pipelines.errors import INTERRUPTED, TOKEN_REFUSED, AnalysisError, SettingsError
from pipelines.landing import land_polls
from pipelines.settings import (
    data_home,
    load_analyses_dir,
    load_analysis_settings,
    load_settings,
)
from pipelines.warehouse.analyses import BUILT, Analysis, list_analyses
from pipelines.warehouse.build import build_analysis, write_settings
from pipelines.warehouse.database import open_warehouse
from pipelines.warehouse.load import (
    ENDED_WELL,
    RAW,
    find_newest_run,
    load_landed,
    read_drift,
    read_ledger,
)
from pipelines.warehouse.publication import publish


class PollConfig(dg.Config):
    """What to poll: every configured session and every status where empty."""

    sessions: list[str] = Field(default_factory=list)
    statuses: list[str] = Field(default_factory=list)


@dg.asset(group_name="ingestion", kinds={"python", "parquet"})
def thread_pages(
    context: dg.AssetExecutionContext, config: PollConfig, observer: dg.ResourceParam[Observer]
) -> dg.MaterializeResult:
    """Every page of the threads of the configured sessions, as the server sent it."""
    settings = load_settings()
    scope = Scope(tuple(config.sessions), tuple(config.statuses))
    polls = poll_sessions(settings.sources, scope, observer)
    path, ended = asyncio.run(
        land_polls(
            polls,
            data_home() / RAW,
            context.run.run_id,
            keep_agent_definition=settings.keep_agent_definition,
        )
    )
    for poll in ended:
        if poll.error_message:
            context.log.warning("session %s: %s", poll.session_id, poll.error_message)
    return dg.MaterializeResult(metadata=describe_polls(path, ended))


@dg.asset(
    deps=[thread_pages],
    group_name="ingestion",
    kinds={"duckdb"},
    check_specs=[
        dg.AssetCheckSpec(
            "every_session_complete",
            asset="threads",
            description="Every configured session was listed to its end.",
        ),
        dg.AssetCheckSpec(
            "no_schema_drift",
            asset="threads",
            description="The server sent no field, type or value that was never seen before.",
        ),
    ],
)
def threads() -> dg.MaterializeResult:
    """The current state of every thread, and the ledger of the polls that it rests on."""
    loaded = load_landed(data_home(), find_retention())
    with open_warehouse(data_home()) as connection:
        write_settings(connection, load_analysis_settings())
        ledger = read_ledger(connection, loaded or find_newest_run(connection))
        drift = read_drift(connection, loaded)
        table = describe_table(connection, "main", "threads")
    failing = [row for row in ledger if row["outcome"] not in ENDED_WELL]
    check = dg.AssetCheckResult(
        check_name="every_session_complete",
        passed=bool(ledger) and not failing,
        metadata={
            "sessions": len(ledger),
            "failing": [
                f"{row['session_id']}: {row['outcome']}: {row['error_message']}" for row in failing
            ],
        },
    )
    drift_check = dg.AssetCheckResult(
        check_name="no_schema_drift",
        passed=not drift,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"new": drift},
    )
    return dg.MaterializeResult(
        metadata=describe_ledger(ledger) | table, check_results=[check, drift_check]
    )


def find_retention() -> int | None:
    """Return for how many days pages are kept; for ever where the settings are refused."""
    try:
        return load_settings(with_tokens=False).raw_retention_days
    except SettingsError:
        return None


def build_analyses_asset(analyses: Mapping[str, Analysis]) -> dg.AssetsDefinition:
    """Return the assets of the analyses: one for each file, all in one step, so that it is quick.

    A check that fails keeps the table of before and stops nothing: the asset check says so.
    """

    @dg.multi_asset(
        name="analyses",
        specs=[specify_analysis(analysis, analyses) for analysis in analyses.values()],
        check_specs=[spec for a in analyses.values() for spec in specify_checks(a)],
        can_subset=True,
    )
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        with open_warehouse(data_home()) as connection:
            for name in (name for name in analyses if name in selected):
                failures: dict[str, str] = {}
                try:
                    build_analysis(connection, analyses[name])
                except AnalysisError as error:
                    context.log.warning(str(error))
                    failures = error.failures
                yield dg.MaterializeResult(
                    asset_key=name,
                    metadata=describe_analysis(connection, analyses[name]),
                    check_results=judge_checks(analyses[name], failures),
                )

    return build


def specify_analysis(analysis: Analysis, known: Collection[str]) -> dg.AssetSpec:
    """Return what Dagster shows of an analysis, which waits for those of `known` that it reads."""
    return dg.AssetSpec(
        analysis.name,
        deps=[threads, *(dg.AssetKey(name) for name in sorted(analysis.after & set(known)))],
        group_name="analyses",
        kinds={"duckdb", "sql"},
        description=analysis.description,
        code_version=analysis.version,
    )


def specify_checks(analysis: Analysis) -> list[dg.AssetCheckSpec]:
    """Return the checks of an analysis: that it is built, and those of its header."""
    described = {BUILT: "The query succeeds."}
    described |= {name: f"Finds no row: {query}" for name, query in analysis.header.checks.items()}
    return [
        dg.AssetCheckSpec(name, asset=analysis.name, description=text)
        for name, text in described.items()
    ]


def judge_checks(analysis: Analysis, failures: Mapping[str, str]) -> list[dg.AssetCheckResult]:
    """Return the result of each check; none of them held where there is no table to check."""
    unbuilt = failures.get(BUILT)
    found = dict.fromkeys(analysis.header.checks, unbuilt) if unbuilt else {}
    found |= failures
    return [
        dg.AssetCheckResult(
            asset_key=analysis.name,
            check_name=check,
            passed=check not in found,
            metadata={"found": found[check]} if check in found else {},
        )
        for check in (BUILT, *analysis.header.checks)
    ]


def build_published_asset(analyses: Mapping[str, Analysis]) -> dg.AssetsDefinition:
    """Return the asset of the published copy, which waits for every analysis."""

    @dg.asset(
        name="published_database",
        deps=[threads, *(dg.AssetKey(name) for name in analyses)],
        group_name="publication",
        kinds={"duckdb"},
    )
    def published_database(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        """The copy that people query; replaced at once, also when only the ledger is new.

        The run fails after it, so that someone is told, where its own poll brought nothing.
        """
        with open_warehouse(data_home()) as connection:
            problem = find_problem(read_ledger(connection, [context.run.run_id]))
        path = publish(data_home(), analyses)
        yield dg.MaterializeResult(
            metadata={"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size}
        )
        if problem:
            raise dg.Failure(problem, allow_retries=False)

    return published_database


def find_problem(ledger: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why someone must look at a run, in one line; None where its polls brought data."""
    ended = [row for row in ledger if row["error_type"] in {TOKEN_REFUSED, INTERRUPTED}]
    if ended:
        return str(ended[0]["error_message"])
    if ledger and not any(row["pages"] for row in ledger):
        return f"{len(ledger)} sessions failed; the first: {ledger[0]['error_message']}"
    return None


def build_assets() -> list[dg.AssetsDefinition]:
    """Return every asset, one for each analysis file among them."""
    analyses = list_analyses(load_analyses_dir())
    return [
        thread_pages,
        threads,
        build_analyses_asset(analyses),
        build_published_asset(analyses),
        report,
    ]
