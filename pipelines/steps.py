"""The whole pipeline in plain Python: discover, plan, poll, load, build, publish.

Dagster's assets, the command, `replay` and the demo call these functions and nothing beside them.
Pages land while others are fetched; only the end of a step returns what it has brought.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.config.settings import (
    data_home,
    load_analyses_dir,
    load_analysis_settings,
    load_settings,
)
from pipelines.errors import AnalysisError, SettingsError
from pipelines.extract.discover import list_configured
from pipelines.extract.plan import plan_polls
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.writer import land_polls
from pipelines.records import Poll, Progress, Selection
from pipelines.warehouse.analyses import Analysis, list_analyses
from pipelines.warehouse.build import Built, build_analysis, build_outdated, write_settings
from pipelines.warehouse.duckdb_file import open_warehouse, read_newest_sequence
from pipelines.warehouse.load import find_newest_run, load_landed, read_drift, read_ledger
from pipelines.warehouse.publication import publish as publish_copy
from pipelines.warehouse.replay import replay as replay_landed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from pipelines.config.settings import Settings
    from pipelines.extract.discover import SourceSessions
    from pipelines.warehouse.replay import Replayed

logger = logging.getLogger(__name__)


class Landed(msgspec.Struct, frozen=True):
    """A run's file, and how each session's poll has ended."""

    path: Path
    polls: list[Poll]


class Loaded(msgspec.Struct, frozen=True):
    """The runs that a load has brought in, their rows of the ledger, and what they saw first.

    Where nothing was left to load, the ledger is that of the newest run.
    """

    run_ids: list[str]
    ledger: list[dict[str, Any]]
    drift: list[str]


class Outcome(msgspec.Struct, frozen=True):
    """How building an analysis went: its new table, or (check -> what it found) why there is none.

    `seconds` is how long it took.
    """

    analysis: Analysis
    built: Built | None
    failures: dict[str, str]
    seconds: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has brought: its rows of the ledger, the largest session first.

    `drift` is what it saw first, `findings` what the checks of analyses have found, a line each.
    """

    run_id: str
    ledger: list[dict[str, Any]]
    drift: list[str]
    findings: list[str]
    seconds: float
    data: Path


def discover(settings: Settings) -> list[SourceSessions]:
    """Return the sessions of each source."""
    return list_configured(settings)


def plan(found: Sequence[SourceSessions], selection: Selection) -> list[SourceSessions]:
    """Return what of them is asked in this run. Raises SettingsError for a selection of nothing."""
    return plan_polls(found, selection)


def poll(
    settings: Settings,
    planned: Sequence[SourceSessions],
    selection: Selection,
    progress: Progress,
    run_id: str,
) -> Landed:
    """Fetch every page of the planned sessions, and land each as it comes. Raises LandingError."""
    pages = poll_sessions(planned, selection, progress)
    keep = settings.keep_agent_definition
    newest = read_newest_sequence(data_home())
    landing = land_polls(
        pages, data_home() / RAW, run_id, newest=newest, keep_agent_definition=keep
    )
    path, polls = asyncio.run(landing)
    return Landed(path, polls)


def load() -> Loaded:
    """Load every landed run that the warehouse does not hold, each in one transaction.

    Raises LoadRejected, LandingError, WarehouseError.
    """
    run_ids = load_landed(data_home(), find_retention())
    with open_warehouse(data_home()) as connection:
        write_settings(connection, load_analysis_settings())
        return Loaded(
            run_ids=run_ids,
            ledger=read_ledger(connection, run_ids or find_newest_run(connection)),
            drift=read_drift(connection, run_ids),
        )


def find_retention() -> int | None:
    """Return for how many days pages are kept; for ever where the settings are rejected."""
    try:
        return load_settings(with_tokens=False).raw_retention_days
    except SettingsError:
        return None


def build(analyses: Mapping[str, Analysis]) -> list[Outcome]:
    """Build these analyses, whatever was built before, in this order; return how each went."""
    with open_warehouse(data_home()) as connection:
        return [attempt(connection, analysis) for analysis in analyses.values()]


def attempt(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Outcome:
    """Build an analysis; return its table, or what was wrong: its previous table stays."""
    started = time.monotonic()
    built, failures = None, {}
    try:
        built = build_analysis(connection, analysis)
    except AnalysisError as error:
        failures = error.failures
    return Outcome(analysis, built, failures, time.monotonic() - started)


def publish(analyses: Mapping[str, Analysis]) -> Path:
    """Replace the copy that readers open, analyses older than the newest load built before."""
    return publish_copy(data_home(), analyses)


def run(
    settings: Settings, selection: Selection | None = None, progress: Progress | None = None
) -> Result:
    """Take all steps in this process, once; a poll that brings nothing stands in the ledger.

    Raises what a step raises.
    """
    started, run_id = time.monotonic(), str(uuid.uuid4())
    selection, progress = selection or Selection(), progress or Progress()
    analyses = list_analyses(load_analyses_dir())
    poll(settings, plan(discover(settings), selection), selection, progress, run_id)
    loaded = load()
    outcomes = build(analyses)
    publish(analyses)
    return Result(
        run_id=run_id,
        ledger=[row for row in loaded.ledger if row["run_id"] == run_id],
        drift=loaded.drift,
        findings=list(dict.fromkeys(line for each in outcomes for line in each.failures.values())),
        seconds=time.monotonic() - started,
        data=data_home(),
    )


def replay(*, partial: bool = False, skip_damaged: bool = False) -> Replayed:
    """Rebuild the tables from the landed pages, then the analyses, and publish both."""
    replayed = replay_landed(data_home(), partial=partial, skip_damaged=skip_damaged)
    with open_warehouse(data_home()) as connection:
        write_settings(connection, load_analysis_settings())
        for problem in build_outdated(connection, list_analyses(load_analyses_dir())):
            logger.warning("%s", problem)
    publish(list_analyses(load_analyses_dir()))
    return replayed
