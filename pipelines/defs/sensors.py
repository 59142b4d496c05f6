"""The sensors, if a webhook is configured: what happened since the last tick is posted to it.

A tick whose message the webhook does not accept fails and says why. Its cursor, or the list of what
was sent, stays as it was: the next tick tries again. Dagster's run failure sensor would move on.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

import dagster as dg

from pipelines import clock
from pipelines.defs.machines import LOAD, POLL
from pipelines.defs.resources import ConfigurationParam, WarehouseParam, WebhookParam
from pipelines.defs.schedule import POLL_THREADS, TABLES, name_tables
from pipelines.reporting.alerts import ALERTED, compose_failure, describe_polls, send_alerts
from pipelines.reporting.webhook import find_webhook, post
from pipelines.warehouse.base import Warehouse

INTERVAL_S = 30
MOST_RUNS = 10
JOBS = (POLL_THREADS, POLL, LOAD)
WILL_RETRY = "dagster/will_retry"


def build_sensors(variable: str) -> list[dg.SensorDefinition]:
    """Return the sensors, turned on, which post to the webhook whose URL is in the variable."""
    return [
        turn_on(
            alert_on_failed_run, f"Posts failed and crashed runs to the webhook in {variable}."
        ),
        turn_on(
            alert_on_attention,
            "Posts what is new in attention, and sessions that are failing or stale, to the"
            f" webhook in {variable}: each once, and again if it has gone and come back.",
        ),
    ]


def turn_on(
    evaluate: Callable[..., dg.SensorResult | dg.SkipReason], description: str
) -> dg.SensorDefinition:
    """Return the sensor that the function evaluates, under its name."""
    return dg.sensor(
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )(evaluate)


def alert_on_failed_run(
    context: dg.SensorEvaluationContext,
    configuration: ConfigurationParam,
    warehouse: WarehouseParam,
    webhook_variable: WebhookParam,
) -> dg.SensorResult:
    """Report the runs that failed since the last tick; at the first tick none."""
    if context.cursor is None:
        newest = list_failures(context.instance, limit=1, ascending=False)
        start = str(newest[0].storage_id) if newest else "0"
        return dg.SensorResult(skip_reason="Reports runs that fail from now on.", cursor=start)
    listed = list_failures(context.instance, after=int(context.cursor), limit=MOST_RUNS)
    failures = list(takewhile(partial(is_decided, context.instance), listed))
    place = name_tables(configuration.load_tolerant())
    found = map(partial(find_run, context.instance), failures)
    runs = [run for run in found if run and run.tags.get(TABLES) == place]
    if runs:
        text = "\n".join(describe_failure(context.instance, run, warehouse) for run in runs)
        post(find_webhook(webhook_variable), text)
    cursor = str(failures[-1].storage_id) if failures else context.cursor
    reason = f"Reported {len(runs)} failed runs." if runs else "No run has failed."
    return dg.SensorResult(skip_reason=reason, cursor=cursor)


def alert_on_attention(
    configuration: ConfigurationParam, warehouse: WarehouseParam, webhook_variable: WebhookParam
) -> dg.SkipReason:
    """Report threads and sessions to look at that were not reported yet."""
    if not warehouse.is_published():
        return dg.SkipReason("Nothing is published yet.")
    settings = configuration.load_without_tokens()
    send = partial(post, find_webhook(webhook_variable))
    come, gone = send_alerts(warehouse, settings.home / ALERTED, settings, clock.now(), send)
    return dg.SkipReason(f"{come} new, {gone} gone." if come or gone else "No news.")


def list_failures(
    instance: dg.DagsterInstance, *, limit: int, after: int = 0, ascending: bool = True
) -> Sequence[dg.EventLogRecord]:
    """Return the events of failed runs, of any job."""
    filter_ = dg.RunStatusChangeRecordsFilter(
        event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=after
    )
    return instance.fetch_run_status_changes(filter_, limit=limit, ascending=ascending).records


def is_decided(instance: dg.DagsterInstance, failure: dg.EventLogRecord) -> bool:
    """Whether Dagster has recorded if it retries the run: a moment after the failure."""
    run = find_run(instance, failure)
    return run is None or not instance.run_retries_enabled or WILL_RETRY in run.tags


def find_run(instance: dg.DagsterInstance, failure: dg.EventLogRecord) -> dg.DagsterRun | None:
    """Return the failed run, if it is of one of the jobs and still there."""
    run = instance.get_run_by_id(failure.event_log_entry.run_id)
    return run if run and run.job_name in JOBS else None


def describe_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, warehouse: Warehouse) -> str:
    """Return one line on a failed run, with the names of its errors alone."""
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
    ).records
    causes = []
    for event in (record.event_log_entry.get_dagster_event() for record in records):
        error = event.step_failure_data.error
        cause = (error and error.cause) or error
        causes.append(f"{event.step_key}:{cause.cls_name if cause else 'Failure'}")
    return compose_failure(
        run.run_id,
        causes,
        describe_polls(warehouse, run.run_id),
        is_retried=run.tags.get(WILL_RETRY) == "true",
    )
