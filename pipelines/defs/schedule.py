"""The job and when it runs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import dagster as dg

from pipelines.config.settings import Settings
from pipelines.defs.report import PUBLISHED, report

# What a run goes through until it ends. One that was never queued (NOT_STARTED) may stay so.
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
MOST_NAMED = 3
# Of the assets that each run makes, with those of analyses; a lake has others.
GROUPS = ("ingestion", "analyses", "publication")
POLL_THREADS = "poll_threads"
# The tag that says whose run it is: one Dagster may have the runs of several teams.
TABLES = "session-threads/tables"


def name_tables(settings: Settings) -> str:
    """Return what runs call the tables that they load: by the schema of a lake."""
    return settings.lake.catalog.schema_name if settings.lake else "file"


def name_pool(settings: Settings) -> str:
    """Return the pool of what writes into the lake, one run at a time."""
    return f"load_{name_tables(settings)}"


def define_poll_job(settings: Settings) -> dg.JobDefinition:
    """Return the job that takes all steps in one run."""
    # The type that is declared covers jobs that are resolved later, as this one is.
    return dg.define_asset_job(  # type: ignore[return-value]
        POLL_THREADS,
        selection=dg.AssetSelection.groups(*GROUPS) - dg.AssetSelection.assets(report),
        executor_def=dg.in_process_executor,
        description="Poll every configured session, load, analyse and publish.",
        tags={TABLES: name_tables(settings)},
        # What the launchpad shows at first: every key of a run's configuration.
        config={"ops": {"thread_pages": {"config": {"sessions": [], "statuses": []}}}},
    )


def schedule_polls(
    settings: Settings, job: str, evaluate: Callable[..., object], description: str
) -> dg.ScheduleDefinition:
    """Return a schedule at the configured interval; it starts stopped."""
    minutes = settings.poll_interval_minutes
    return dg.ScheduleDefinition(
        name="poll_threads_schedule" if job == POLL_THREADS else f"{job}_schedule",
        job_name=job,
        execution_fn=evaluate,
        cron_schedule="0 * * * *" if minutes == 60 else f"*/{minutes} * * * *",  # noqa: PLR2004
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule of the job that takes all steps."""
    place = name_tables(settings)

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return request_run(context.instance, place)

    minutes = settings.poll_interval_minutes
    said = f"Polls every {minutes} minutes (poll_interval_minutes), once it is turned on."
    return schedule_polls(settings, POLL_THREADS, request, said)


def request_run(instance: dg.DagsterInstance, place: str) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run, unless one of the job runs or waits already: it polls the same sessions."""
    ahead = list_unfinished(instance, POLL_THREADS, {TABLES: place})
    if not ahead:
        return dg.RunRequest()
    states = [f"{run.run_id} is {run.status.value.lower()}" for run in ahead[:MOST_NAMED]]
    more = f", and {len(ahead) - len(states)} more" if len(ahead) > len(states) else ""
    problem = f"{len(ahead)} of poll_threads not finished: {', '.join(states)}{more}"
    return dg.SkipReason(f"{problem}. Another run would only wait for them.")


def list_unfinished(
    instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]
) -> Sequence[dg.DagsterRun]:
    """Return the runs of a job with these tags that have not ended, the oldest first."""
    wanted = dg.RunsFilter(job_name=job, statuses=UNFINISHED, tags=dict(tags))
    return instance.get_runs(wanted, ascending=True)


def expect_each_interval(
    settings: Settings, assets: Sequence[dg.AssetsDefinition]
) -> list[dg.AssetsDefinition]:
    """Return the assets; those of every run are overdue when `status` calls a session stale."""
    policy = dg.FreshnessPolicy.time_window(fail_window=settings.stale_after)
    return list(dg.map_asset_specs(partial(expect, policy), assets))


def expect(policy: dg.FreshnessPolicy, spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the spec with the policy, if every run makes its asset."""
    of_each_run = spec.group_name == "ingestion" or spec.key == PUBLISHED
    return spec.replace_attributes(freshness_policy=policy) if of_each_run else spec
