"""The whole pipeline in plain Python: discover, plan, poll, load, build, publish.

Dagster's assets, the command, `replay` and the demo call these functions and nothing beside them.
What no request needs is imported where it is used: for a run that is while its pages come.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pipelines.extract.discover import Discovery, choose_sources, discover_sessions, follow
from pipelines.extract.plan import PlannedSource, describe_plans, plan_polls
from pipelines.extract.poll import poll_sessions
from pipelines.http.opening import import_beside
from pipelines.landing.place import open_landing
from pipelines.landing.writer import land_polls
from pipelines.records import Decided, Poll, Progress, Selection
from pipelines.reporting.loads import Loaded, Result, describe_load
from pipelines.reporting.plans import describe_miss
from pipelines.warehouse.base import Warehouse
from pipelines.warehouse.history import read_history
from pipelines.warehouse.place import open_warehouse
from pipelines.warehouse.staging import Staging, begin_staging, prepare_load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipelines.config.settings import Settings
    from pipelines.extract.discover import SourceSessions
    from pipelines.extract.history import History
    from pipelines.landing.store import LandedFile
    from pipelines.records import KnownThreads
    from pipelines.warehouse.analysis import Analysis
    from pipelines.warehouse.base import Connection
    from pipelines.warehouse.build import Outcome
    from pipelines.warehouse.replay import Replayed
    from pipelines.warehouse.staged import Staged


class RunStart(msgspec.Struct, frozen=True):
    """A run that begins, who runs it, and whose tables its pages are read for while they land."""

    id: str
    newest_sequence: int
    door: str
    warehouse: Warehouse | None = None


class Landed(NamedTuple):
    """A run's file, how each session's poll has ended, and what was read for its load meanwhile."""

    run_id: str
    file: LandedFile
    polls: list[Poll]
    staged: Staged | None = None

    @property
    def tables(self) -> Connection | None:
        """The connection on which it was staged, for `Warehouse.write`."""
        return self.staged.tables if self.staged else None


class Asked(msgspec.Struct, frozen=True):
    """What a run has found, planned and landed."""

    found: Discovery
    planned: list[PlannedSource]
    landed: Landed


def discover(settings: Settings, history: History, selection: Selection | None = None) -> Discovery:
    """Return the sessions of each source: those that are named, and those that it is asked for."""
    return asyncio.run(discover_sessions(settings, history, selection or Selection()))


def plan(
    settings: Settings, found: Sequence[SourceSessions], selection: Selection, history: History
) -> list[PlannedSource]:
    """Return what of them is asked in this run, in which order, for how long, and why.

    Raises SettingsError for a selection of nothing.
    """
    readings = {}
    if providers := {each.source.provider for each in found if each.present.at}:
        from pipelines.frames.evidence import name_readings

        readings = name_readings(providers, keep_agent_definition=settings.keep_agent_definition)
    deadline_s = settings.run_deadline_minutes * 60
    return plan_polls(found, selection, history, deadline_s, settings.polling, readings)


def preview(settings: Settings) -> tuple[list[PlannedSource], list[Poll]]:
    """Return what the next run would ask, and how sessions were listed to know; nothing lands."""
    warehouse = open_warehouse(settings.home, settings.lake)
    with warehouse.hold_sources(settings.sources):
        history = import_beside(partial(read_history, warehouse))
        found = discover(settings, history)
    planned = plan(settings, found.sources, Selection(), history)
    return planned, [item for item in found.fetched if isinstance(item, Poll)]


def poll(
    settings: Settings,
    planned: Sequence[PlannedSource],
    selection: Selection,
    progress: Progress,
    run: RunStart,
    known: KnownThreads | None = None,
    found: Discovery | None = None,
) -> Landed:
    """Fetch every page of the planned sessions, and land each as it comes. Raises LandingError.

    Known threads that are not listed any more are looked up. What was asked to find the sessions
    lands with their pages.
    """
    found = found or Discovery([])
    with Staging(
        partial(begin_staging, settings, run.warehouse),
        partial(prepare_load, settings, run.warehouse),
    ) as staging:
        file, ended = asyncio.run(
            land_polls(
                follow(found.fetched, poll_sessions(planned, selection, progress, known=known)),
                open_landing(settings),
                run.id,
                newest=run.newest_sequence,
                door=run.door,
                keep_agent_definition=settings.keep_agent_definition,
                decided=Decided(found.decisions, describe_plans(planned)),
                arrivals=staging,
            )
        )
        return Landed(run.id, file, ended, staging.conclude())


def ask(
    settings: Settings,
    warehouse: Warehouse,
    selection: Selection,
    progress: Progress,
    run_id: str,
    door: str,
    *,
    loads: bool = True,
) -> Asked:
    """Discover, plan and poll, as the one process that asks these sources.

    Unless this process `loads` them, pages are not read while they land. Raises SourceBusy.
    """
    with warehouse.hold_sources(choose_sources(settings, selection)):
        history = import_beside(partial(read_history, warehouse))
        newest = warehouse.newest_sequence(history.newest_sequence)
        begun = RunStart(run_id, newest, door, warehouse if loads else None)
        found = discover(settings, history, selection)
        planned = plan(settings, found.sources, selection, history)
        landed = poll(settings, planned, selection, progress, begun, history.known, found)
    return Asked(found, planned, landed)


def load(settings: Settings, tables: Connection, landed: Landed | None = None) -> Loaded:
    """Load every landed run that the tables do not hold, each in one transaction.

    What was read of `landed` while it came is not read again. Landed pages older than the settings
    keep them are removed then. Raises LoadRejected, LandingError, WarehouseError.
    """
    from pipelines.warehouse.build import write_settings
    from pipelines.warehouse.load import load_landed

    staged = {landed.run_id: landed.staged} if landed and landed.staged else {}
    run_ids = load_landed(tables, open_landing(settings), settings.raw_retention_days, staged)
    write_settings(tables, settings.for_analyses)
    return describe_load(tables, run_ids)


def build(
    settings: Settings,
    tables: Connection,
    analyses: Mapping[str, Analysis],
    *,
    anew: bool = False,
) -> list[Outcome]:
    """Build these analyses, in this order; return how each went.

    Unless all are built `anew`, one keeps its table if nothing that it reads has changed.
    """
    from pipelines.warehouse.build import build_all, write_settings

    write_settings(tables, settings.for_analyses)
    return build_all(tables, analyses, anew=anew, memory_mb=settings.analyses_memory_mb)


def load_and_build(
    settings: Settings,
    warehouse: Warehouse,
    tables: Connection,
    analyses: Mapping[str, Analysis],
    landed: Landed | None = None,
) -> tuple[Loaded, list[Outcome]]:
    """Load what has landed and build these analyses, in one transaction if the place joins them."""
    from pipelines.warehouse.together import do_together

    return do_together(
        warehouse,
        tables,
        analyses,
        lambda: (load(settings, tables, landed), build(settings, tables, analyses)),
    )


def run(
    settings: Settings, selection: Selection | None = None, progress: Progress | None = None
) -> Result:
    """Take all steps in this process, once; a poll that brings nothing is in the ledger too."""
    started, warehouse = time.monotonic(), open_warehouse(settings.home, settings.lake)
    run_id, selection = str(uuid.uuid4()), selection or Selection()
    asked = ask(settings, warehouse, selection, progress or Progress(), run_id, "command")
    from pipelines.warehouse.analyses import list_analyses

    with warehouse.write(asked.landed.tables) as tables:
        analyses = list_analyses(settings.analyses_dir)
        loaded, outcomes = load_and_build(settings, warehouse, tables, analyses, asked.landed)
        warehouse.publish(tables)
    return Result(
        run_id=run_id,
        ledger=[row for row in loaded.ledger if row["run_id"] == run_id],
        listings=[row for row in loaded.listings if row["run_id"] == run_id],
        choices=[choice for each in asked.planned for choice in each.choices],
        drift=loaded.drift,
        warnings=[*loaded.warnings, *map(describe_miss, loaded.missed)],
        findings=list(dict.fromkeys(line for each in outcomes for line in each.failures.values())),
        seconds=time.monotonic() - started,
        data=settings.home,
    )


def replay(
    settings: Settings, *, partial: bool = False, skip_damaged: bool = False
) -> tuple[Replayed, Path | str]:
    """Rebuild the tables from the landed pages, then the analyses, and publish both.

    Return what was replayed, and what readers open.
    """
    from pipelines.warehouse.analyses import list_analyses
    from pipelines.warehouse.build import write_settings
    from pipelines.warehouse.publication import publish
    from pipelines.warehouse.replay import replay as replay_runs

    warehouse, landing = open_warehouse(settings.home, settings.lake), open_landing(settings)
    replayed = replay_runs(warehouse, landing, partial=partial, skip_damaged=skip_damaged)
    with warehouse.write() as tables:
        write_settings(tables, settings.for_analyses)
        return replayed, publish(warehouse, tables, list_analyses(settings.analyses_dir))
