"""The job and when it runs."""

from collections.abc import Sequence
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

poll_threads = dg.define_asset_job(
    "poll_threads",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(report),
    executor_def=dg.in_process_executor,
    description="Poll every configured session, load, analyse and publish.",
    # What the launchpad shows at first: every key of a run's configuration.
    config={"ops": {"thread_pages": {"config": {"sessions": [], "statuses": []}}}},
)


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule of the job, at the configured interval; it starts stopped."""
    minutes = settings.poll_interval_minutes
    return dg.ScheduleDefinition(
        name="poll_threads_schedule",
        job=poll_threads,
        execution_fn=request_run,
        cron_schedule="0 * * * *" if minutes == 60 else f"*/{minutes} * * * *",  # noqa: PLR2004
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Polls every {minutes} minutes (poll_interval_minutes), once it is turned on.",
    )


def request_run(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run, unless one of the job runs or waits already: it polls the same sessions."""
    ahead = context.instance.get_runs(
        dg.RunsFilter(job_name=poll_threads.name, statuses=UNFINISHED), ascending=True
    )
    if not ahead:
        return dg.RunRequest()
    states = [f"{run.run_id} is {run.status.value.lower()}" for run in ahead[:MOST_NAMED]]
    more = f", and {len(ahead) - len(states)} more" if len(ahead) > len(states) else ""
    problem = f"{len(ahead)} of poll_threads not finished: {', '.join(states)}{more}"
    return dg.SkipReason(f"{problem}. Another run would only wait for them.")


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
