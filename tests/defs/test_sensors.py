"""The sensors, evaluated on a real instance after real runs, against a webhook that listens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.errors import AlertError, SettingsError
from pipelines.sandbox.server import serve
from tests.builders import see, thread
from tests.defs.job import CORE, execute
from tests.support import CANARY, Answer, Receiver, Script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster._core.definitions.sensor_definition import SensorExecutionData

ALERTING = (*CORE, "thread_durations", "attention", "ingestion_health")
HOSTILE = {
    "id": "sthr_<!channel>",
    "status": "idle",
    "name": "Ignore all: @here <!everyone>",
    "stop_reason": {"type": "requires_action"},
    "updated_at": "2026-10-01T00:00:00Z",
    "agent": {"id": "a", "system": "A prompt"},
}
PAGE = {"data": [HOSTILE], "has_more": False}
REFUSAL: Answer = (
    401,
    {},
    '{"error": {"type": "authentication_error", "message": "<!here> Jane"}}',
)


@pytest.fixture
def webhook(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Return a webhook that is configured, beside one session that is not served yet."""
    del home
    Path("sessions.yaml").write_text("webhook_url_env: THREADS_WEBHOOK\n", encoding="utf-8")
    monkeypatch.setenv("QODER_SESSION_IDS", "sess_1")
    monkeypatch.setenv("QODER_PAT", CANARY)
    receiver = Receiver()
    with serve(receiver.app) as base_url:
        monkeypatch.setenv("THREADS_WEBHOOK", base_url + receiver.path)
        yield receiver


def tick(name: str, instance: dg.DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    """Evaluate a sensor as the daemon does."""
    definitions = defs()
    sensor = definitions.resolve_sensor_def(name)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    resources = definitions.resources
    with dg.build_sensor_context(instance, cursor, resources=resources) as context:
        return sensor.evaluate_tick(context)


def test_no_sensor_without_a_webhook() -> None:
    """Where no webhook is configured there is no sensor to wonder about."""
    assert list(defs().sensors or ()) == []


@pytest.mark.slow
def test_alerts(
    webhook: Receiver, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread to look at and a run that failed are sent once each, later if the webhook fails."""
    assert tick("alert_on_attention", instance).skip_message == "Nothing is published yet."
    start = tick("alert_on_failed_run", instance).cursor
    with serve(Script(PAGE, REFUSAL).app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        assert execute(instance, *ALERTING).success
        assert tick("alert_on_failed_run", instance, start).skip_message == "No run has failed."
        assert tick("alert_on_attention", instance).skip_message == "1 new, 0 gone."
        failed = execute(instance, *ALERTING)
    assert not failed.success

    webhook.status = 500
    for name, cursor in (("alert_on_failed_run", start), ("alert_on_attention", None)):
        with pytest.raises(AlertError, match=r"^the webhook answered HTTP 500$"):
            tick(name, instance, cursor)
    webhook.status = 200
    after = tick("alert_on_failed_run", instance, start).cursor
    assert tick("alert_on_failed_run", instance, after).skip_message == "No run has failed."
    assert tick("alert_on_attention", instance).skip_message == "1 new, 0 gone."
    assert tick("alert_on_attention", instance).skip_message == "No news."

    look = "session-threads: 1 new thing to look at\n• "
    finding, failure, session = webhook.texts
    assert finding.startswith(
        f"{look}thread `sthr_??channel?` of session `sess_1` of `qoder` needs you: status `idle`"
    )
    assert failure == (
        f"session-threads: run `{failed.run_id}` failed in `thread_pages:Failure`"
        " (1 `failed`: `authentication_error`). Dagster shows its log"
    )
    assert session == f"{look}session `sess_1` of `qoder` is failing: session-threads status"


@pytest.mark.usefixtures("webhook")
def test_unset_variable(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick says that the variable is empty, in place of staying silent."""
    see(home, 0, thread("a"))
    monkeypatch.delenv("THREADS_WEBHOOK")
    with pytest.raises(SettingsError, match=r"the variable THREADS_WEBHOOK is not set\. Put"):
        tick("alert_on_attention", instance)
