"""Runs on several machines: one for each source polls and lands, one loads all that has landed.

They are there if the tables are in a lake. A run is one process somewhere: what it lands, any other
can load. `poll_threads`, which does all in one run, is there too: turn on one of the two.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from pipelines import steps
from pipelines.config.settings import Settings
from pipelines.defs.analyses import describe_outcome
from pipelines.defs.checks import check_keys
from pipelines.defs.maintenance import define_maintenance
from pipelines.defs.metadata import describe_table
from pipelines.defs.resources import (
    AnalysesParam,
    Configuration,
    ConfigurationParam,
    WarehouseParam,
)
from pipelines.defs.results import (
    Event,
    describe_found,
    describe_landed,
    describe_loaded,
    describe_published,
    evaluate,
    list_events,
)
from pipelines.defs.schedule import TABLES, list_unfinished, name_pool, name_tables, schedule_polls
from pipelines.errors import LoadRejected
from pipelines.landing.place import open_landing
from pipelines.records import Progress, Selection
from pipelines.reporting.failures import Failures, find_problem
from pipelines.reporting.health import read_rows
from pipelines.reporting.loads import list_warnings
from pipelines.reporting.wording import count
from pipelines.warehouse.base import Warehouse
from pipelines.warehouse.ledger import list_pending

POLL, LOAD = "poll_source", "load_landed"
POLL_OP = "poll"
# The tag that dagster.postgres.yaml limits: a source has one poll at a time.
SOURCE = "session-threads/source"
SENSOR_S = 15
# A store or a catalog that is away comes back: after 75 seconds the next poll loads it.
RETRY = dg.RetryPolicy(max_retries=4, delay=5, backoff=dg.Backoff.EXPONENTIAL)


class SourceConfig(dg.Config):
    """What this run polls: one source, by default all of it."""

    source: str = Field(description="The name of a configured source.")
    sessions: list[str] = Field(default_factory=list, description="Sessions of it, to poll these.")
    full: bool = Field(default=False, description="Whether every session is listed.")


@dg.op(
    name=POLL_OP, out={}, description="Polls a source and lands its pages; another run loads them."
)
def poll_source(
    context: dg.OpExecutionContext,
    config: SourceConfig,
    configuration: ConfigurationParam,
    warehouse: WarehouseParam,
) -> Iterator[Event]:
    """Poll a source, and land what comes. Fails if it brought nothing, or was ended."""
    selection = Selection(tuple(config.sessions), (), config.full, (config.source,))
    settings, run_id = configuration.load(), context.run.run_id
    asked = steps.ask(settings, warehouse, selection, Progress(), run_id, "dagster", loads=False)
    yield from list_events(describe_found(asked))
    yield from list_events(describe_landed(asked))
    for line in filter(None, map(Failures().describe, asked.landed.polls)):
        context.log.warning(line)
    if problem := find_problem(asked.landed.polls):
        raise dg.Failure(problem, allow_retries=False)


def load_landed(
    context: dg.OpExecutionContext,
    configuration: ConfigurationParam,
    analyses: AnalysesParam,
    warehouse: WarehouseParam,
) -> Iterator[Event]:
    """Load every landed run, build the analyses and publish: all of it, or it is tried again."""
    try:
        results = list(take_steps(context, configuration, analyses, warehouse))
    except LoadRejected as rejection:
        yield evaluate(dg.AssetKey("threads"), check_keys(rejection))
        raise
    for result in results:
        yield from list_events(result)


def take_steps(
    context: dg.OpExecutionContext,
    configuration: Configuration,
    analyses: AnalysesParam,
    warehouse: Warehouse,
) -> Iterator[dg.MaterializeResult]:
    """Load, build and publish, and yield what Dagster keeps of each."""
    started, settings = time.monotonic(), configuration.load_tolerant()
    with warehouse.write() as tables:
        loaded, outcomes = steps.load_and_build(settings, warehouse, tables, analyses)
        table = describe_table(tables, "main", "threads")
        yield describe_loaded(loaded, table, time.monotonic() - started)
        for outcome in outcomes:
            for problem in outcome.failures.values():
                context.log.warning(problem)
            yield describe_outcome(tables, outcome)
        started = time.monotonic()
        place = warehouse.publish(tables)
    health, seconds = read_rows(warehouse), time.monotonic() - started
    yield describe_published(configuration, place, health, seconds)
    for line in list_warnings(loaded, open_landing(settings)):
        context.log.warning(line)


@dataclass(frozen=True)
class Machines:
    """What runs on several machines are made of."""

    assets: Sequence[dg.AssetsDefinition] = ()
    jobs: Sequence[dg.JobDefinition] = ()
    schedules: Sequence[dg.ScheduleDefinition] = ()
    sensors: Sequence[dg.SensorDefinition] = ()


def define_machines(settings: Settings) -> Machines:
    """Return what there is if the tables are in a lake; nothing otherwise."""
    if settings.lake is None:
        return Machines()
    lake_files, maintain_lake, nightly = define_maintenance(settings)
    return Machines(
        [lake_files],
        [*define_jobs(settings), maintain_lake],
        [schedule_sources(settings), nightly],
        [watch_landed(settings)],
    )


def define_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """Return the jobs: one polls a source, one loads what has landed; each in one process."""
    tags = {TABLES: name_tables(settings)}
    load = dg.op(
        name="load",
        out={},
        description="Loads all that has landed, builds the analyses and publishes.",
        pool=name_pool(settings),
        retry_policy=RETRY,
    )(load_landed)

    @dg.job(
        name=POLL,
        tags=tags,
        executor_def=dg.in_process_executor,
        description="Poll one source and land its pages.",
    )
    def poll_job() -> None:
        poll_source()

    @dg.job(
        name=LOAD,
        tags=tags,
        executor_def=dg.in_process_executor,
        description="Load every landed run, analyse and publish.",
    )
    def load_job() -> None:
        load()

    return [poll_job, load_job]


def schedule_sources(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule of the polls: a run for each source, at the configured interval."""
    return schedule_polls(
        settings,
        POLL,
        request_polls(name_tables(settings)),
        f"Polls each source every {settings.poll_interval_minutes} minutes, in a separate run,"
        " once it is turned on.",
    )


def watch_landed(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that asks for a load when something has landed that is not loaded."""
    place = name_tables(settings)

    @dg.sensor(
        name=f"{LOAD}_sensor",
        job_name=LOAD,
        minimum_interval_seconds=SENSOR_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Loads what has landed, once it is turned on.",
    )
    def request_load(
        context: dg.SensorEvaluationContext,
        configuration: ConfigurationParam,
        warehouse: WarehouseParam,
    ) -> dg.RunRequest | dg.SkipReason:
        waiting = list_unfinished(context.instance, LOAD, {TABLES: place})
        if any(run.status == dg.DagsterRunStatus.QUEUED for run in waiting):
            return dg.SkipReason("A run that loads it waits already.")
        pending = list_pending(warehouse, open_landing(configuration.load_tolerant()))
        if not pending:
            return dg.SkipReason("Everything that has landed is loaded.")
        # A load that fails is not asked for again before something else has landed.
        key = hashlib.sha256(" ".join(pending).encode()).hexdigest()
        return dg.RunRequest(run_key=key, tags={"session-threads/runs": str(len(pending))})

    return request_load


def request_polls(place: str) -> Callable[..., Iterator[dg.RunRequest | dg.SkipReason]]:
    """Return what asks for a run of each source that has none."""

    def request(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        names = [source.name for source in Configuration().load_without_tokens().sources]
        tags = {name: {SOURCE: f"{place}.{name}"} for name in names}
        free = [name for name in names if not list_unfinished(context.instance, POLL, tags[name])]
        for name in free:
            config = {"ops": {POLL_OP: {"config": {"source": name}}}}
            key = f"{name} {context.scheduled_execution_time.isoformat()}"
            yield dg.RunRequest(run_key=key, run_config=config, tags=tags[name])
        if not free:
            yield dg.SkipReason(f"{count(len(names), 'source')}, and each is still polled.")

    return request
