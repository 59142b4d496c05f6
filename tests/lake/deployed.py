"""What docs/deploy/lake/start.py has started, as people use it."""

from __future__ import annotations

import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import yaml

from docs.deploy.lake.start import DAGSTER_YAML, Deployment
from tests.support import invoke

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCATIONS = """
    query { workspaceOrError { ... on Workspace { locationEntries {
        name loadStatus locationOrLoadError { __typename }
    } } } }
"""
LAUNCH = """
    mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename
        ... on LaunchRunSuccess { run { runId } }
        ... on PythonError { message }
    } }
"""
START = """
    mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
        __typename ... on PythonError { message }
    } }
"""
RUNS = """
    query { runsOrError { ... on Runs { results {
        runId jobName status startTime endTime repositoryOrigin { repositoryLocationName }
    } } } }
"""
# What an operator leaves to minutes.
OFTEN = {
    "run_queue": {
        "dequeue_interval_seconds": 1,
        "max_user_code_failure_retries": 30,
        "user_code_failure_retry_delay": 5,
    },
    "run_monitoring": {"poll_interval_seconds": 3},
}
READY_S = 240  # on a busy machine; a tenth of it where nothing else runs
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


class Deployed:
    """A deployment that runs."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.url = f"http://127.0.0.1:{deployment.ports['webserver']}/graphql"

    def ask(self, query: str, **variables: object) -> Any:
        """Return what GraphQL answers."""
        with httpx.Client(trust_env=False, timeout=READY_S) as client:
            answer = client.post(self.url, json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def wait_until_ready(self) -> None:
        """Return when every code server is known."""
        for _ in range(READY_S * 2):
            with suppress(httpx.TransportError):
                entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
                kinds = {(each["locationOrLoadError"] or {}).get("__typename") for each in entries}
                if kinds == {"RepositoryLocation"}:
                    return
            time.sleep(0.5)
        raise TimeoutError

    def select(self, team: str) -> dict[str, str]:
        """Return a team's repository."""
        return {"repositoryLocationName": team, "repositoryName": "__repository__"}

    def poll(self, team: str, source: str) -> str:
        """Ask for a poll of a source as the schedule does; return the run."""
        params = {
            "selector": self.select(team) | {"jobName": "poll_source"},
            "mode": "default",
            "runConfigData": {"ops": {"poll": {"config": {"source": source}}}},
            "executionMetadata": {
                "tags": [{"key": "session-threads/source", "value": f"{team}.{source}"}]
            },
        }
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def start_sensor(self, team: str) -> None:
        """Load what lands from now on."""
        selector = self.select(team) | {"sensorName": "load_landed_sensor"}
        started = self.ask(START, selector=selector)["startSensor"]
        assert started["__typename"] == "Sensor", started

    def list_runs(self) -> list[dict[str, Any]]:
        """Return every run, the newest first."""
        runs: list[dict[str, Any]] = self.ask(RUNS)["runsOrError"]["results"]
        return runs

    def wait_for(self, run_ids: list[str]) -> list[str]:
        """Return how these runs have ended."""
        for _ in range(READY_S * 2):
            states = {run["runId"]: run["status"] for run in self.list_runs()}
            if all(states[run_id] in ENDED for run_id in run_ids):
                return [states[run_id] for run_id in run_ids]
            time.sleep(0.5)
        raise TimeoutError(self.list_runs())

    def read(self, team: str, query: str) -> list[dict[str, Any]]:
        """Return what a team's reader finds in what is published; nothing before that."""
        result = invoke("sql", query, "--format", "json", **self.variables(team, "reader"))
        rows: list[dict[str, Any]] = msgspec.json.decode(result.stdout or "[]")
        return rows

    def find_secrets(self, *others: str) -> list[str]:
        """Return the logs and tables that hold a password, a key or one of the others."""
        words = [*self.deployment.secrets.values(), *others]
        texts = {file.name: file.read_bytes() for file in self.deployment.home.glob("*.log")}
        found = [name for name, text in texts.items() if any(w.encode() in text for w in words)]
        with self.deployment.connect("dagster") as server:
            query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            for (name,) in server.execute(query).fetchall():
                held = f"SELECT 1 FROM {name} AS rows WHERE rows::text LIKE ANY(%s) LIMIT 1"
                patterns = [f"%{word}%" for word in words]
                found += [name for _ in server.execute(held, [patterns]).fetchall()]
        return found

    def variables(self, team: str, role: str) -> Mapping[str, str]:
        """Return the environment of a role."""
        return self.deployment.configure(team, role)


@contextmanager
def make_deployment(teams: Mapping[str, Path]) -> Iterator[Deployment]:
    """Make a deployment where PostgreSQL's user can enter; end what it started."""
    with tempfile.TemporaryDirectory(prefix="deployed-") as home:
        deployment = Deployment(Path(home), teams)
        try:
            yield deployment
        finally:
            deployment.stop_all(signal.SIGKILL)


def write_instance(file: Path) -> Path:
    """Write the Dagster instance of several machines, whose daemon looks often; return the file."""
    settings = yaml.safe_load(DAGSTER_YAML.read_text(encoding="utf-8"))
    for name, values in OFTEN.items():
        settings[name] |= values
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file
