"""Runs as processes of code servers, as Dagster launches them, and found when they are gone.

A code server that is killed takes its runs with it, and Dagster's own launcher asks nobody about
them: they would stay STARTED, with their places in pools and a source's one poll, until
`max_runtime_seconds`. Here run monitoring asks the code server: one that was started anew has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import deserialize_value

if TYPE_CHECKING:
    import dagster as dg
    from dagster._grpc.client import DagsterGrpcClient

GONE = "its code server was started anew, and does not run it"
AWAY = "its code server does not answer"


class Launcher(DefaultRunLauncher):
    """What `run_launcher` in dagster.postgres.yaml names."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring may ask about a run."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether a run is one of its code server's processes.

        If the server does not answer, the run may go on: `max_runtime_seconds` decides.
        """
        client: DagsterGrpcClient | None = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # it has ended meanwhile
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            answer = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, AWAY)
        if run.run_id in answer.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, GONE)
