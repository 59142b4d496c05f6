"""Dagster's own tools, as people start them, on a copy of the project."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from dagster._core.scheduler.instigation import ScheduleInstigatorData

from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.defs.instances import open_instance
from tests.support import CANARY, ROOT, Receiver, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import dagster as dg

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
SETTINGS = "poll_interval_minutes: 1\nwebhook_url_env: THREADS_WEBHOOK\n"
# How often the daemon looks at runs, at the queue and after failures, in place of minutes.
OFTEN = {
    "dagster_home/dagster.yaml": (
        "\nrun_monitoring:\n",
        "\nrun_queue: {dequeue_interval_seconds: 1}\nrun_monitoring:\n  poll_interval_seconds: 3\n",
    ),
    "pipelines/defs/sensors.py": ("\nINTERVAL_S = 30\n", "\nINTERVAL_S = 5\n"),
}
READY_S = 240  # on a busy machine; a twentieth of it where nothing else runs
RUN_S = 240

LOCATIONS = """
    query { workspaceOrError { __typename ... on Workspace { locationEntries {
        name loadStatus
        locationOrLoadError {
            __typename
            ... on RepositoryLocation { repositories { name jobs { name } } }
            ... on PythonError { message }
        }
    } } } }
"""
ASSET = """
    query ($path: [String!]!) { assetNodes(assetKeys: [{path: $path}]) {
        groupName description kinds owners { __typename }
        freshnessStatusInfo { freshnessStatus }
        assetMaterializations(limit: 1) { runId metadataEntries {
            label ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue }
        } }
        assetChecksOrError { ... on AssetChecks { checks {
            name executionForLatestMaterialization { runId status evaluation { severity } }
        } } }
    } }
"""
START = """
    mutation ($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
        ... on ScheduleStateResult { scheduleState { id } } ... on PythonError { message }
    } }
"""
STOP = """
    mutation ($id: String!) { stopRunningSchedule(id: $id) {
        ... on ScheduleStateResult { scheduleState { status } }
    } }
"""
SENSORS = """
    query ($selector: RepositorySelector!) { sensorsOrError(repositorySelector: $selector) {
        ... on Sensors { results { name sensorState { status ticks(limit: 1) { status } } } }
    } }
"""
RUNS = """
    query { runsOrError { ... on Runs { results {
        runId status parentRunId tags { key value }
        eventConnection { events { ... on MessageEvent { message } } }
    } } } }
"""
LAUNCH = """
    mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename
        ... on LaunchRunSuccess { run { runId } }
        ... on PythonError { message }
    } }
"""
RUN = """
    query ($id: ID!) { runOrError(runId: $id) { ... on Run {
        status stats { ... on RunStatsSnapshot { enqueuedTime } }
    } } }
"""


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, the environment that configures it, and the fleet it polls."""

    root: Path
    env: dict[str, str] = field(repr=False)  # the developer's own, in part
    world: World
    sandbox: Sandbox
    webhook: Receiver

    def open_instance(self) -> dg.DagsterInstance:
        """Open the instance that the tools have open, too."""
        return open_instance(self.root / "dagster_home")


@dataclass(frozen=True)
class Tool:
    """A running web server of Dagster."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def ask(self, query: str, **variables: object) -> Any:
        """Return what GraphQL answers."""
        body = {"query": query, "variables": variables}
        with httpx.Client(trust_env=False, timeout=READY_S) as client:
            answer = client.post(f"{self.url}/graphql", json=body).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def wait_for_locations(self) -> list[dict[str, Any]]:
        """Return the code locations as soon as all of them have been loaded, well or not."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                entries: list[dict[str, Any]]
                entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
                if all(entry["loadStatus"] == "LOADED" for entry in entries):
                    return entries
            time.sleep(0.2)
        pytest.fail(f"no code location after {READY_S} s:\n{self.read_log()}")

    def wait_for_run(self, run_id: str) -> dict[str, Any]:
        """Return the run as soon as it has ended, or as it is when that takes too long."""
        deadline = time.monotonic() + RUN_S
        while True:
            run: dict[str, Any] = self.ask(RUN, id=run_id)["runOrError"]
            ended = run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}
            if ended or time.monotonic() > deadline:
                return run
            time.sleep(0.5)

    def wait_for(self, what: str, find: Callable[[], Any]) -> Any:
        """Return what is found as soon as there is something."""
        deadline = time.monotonic() + RUN_S
        while time.monotonic() < deadline:
            if found := find():
                return found
            time.sleep(0.5)
        pytest.fail(f"no {what} after {RUN_S} s:\n{self.read_log()}")

    def list_runs(self) -> list[dict[str, Any]]:
        """Return every run, the newest first."""
        runs: list[dict[str, Any]] = self.ask(RUNS)["runsOrError"]["results"]
        return runs

    def read_log(self) -> str:
        """Return all that the tool and its children have said."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Copy what Dagster reads of the checkout, so that a run there leaves nothing in it.

    A developer's own sessions.yaml and .env stay behind: only the sandbox is polled.
    """
    root = tmp_path_factory.mktemp("checkout")
    for name in ("pipelines", "sql"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "dagster_home").mkdir()
    for name in ("pyproject.toml", "workspace.yaml", "dagster_home/dagster.yaml"):
        shutil.copy(ROOT / name, root / name)
    for name, (seldom, often) in OFTEN.items():
        text = (root / name).read_text(encoding="utf-8")
        assert seldom in text
        (root / name).write_text(text.replace(seldom, often), encoding="utf-8")
    (root / "sessions.yaml").write_text(SETTINGS, encoding="utf-8")
    world, webhook = World([30, 2, 1]), Receiver()
    sandbox = Sandbox(world, token=CANARY)
    with serve(sandbox.app) as base_url, serve(webhook.app) as webhook_url:
        settings = {
            "DAGSTER_HOME": str(root / "dagster_home"),
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
            # Before the checkout, which is installed editable.
            "PYTHONPATH": f"{root}{os.pathsep}{os.environ['PYTHONPATH']}",
            "QODER_BASE_URL": base_url,
            "QODER_PAT": CANARY,
            "QODER_SESSION_IDS": ",".join(world.sessions),
            "SESSION_THREADS_CONFIG": "",
            "SESSION_THREADS_HOME": str(root / "data"),
            "THREADS_WEBHOOK": webhook_url + webhook.path,
        }
        yield Checkout(root, os.environ | settings, world, sandbox, webhook)


@pytest.fixture(scope="module")
def dev(checkout: Checkout) -> Iterator[Tool]:
    """Run what `make dev` runs: the guarded web server, and the daemon."""
    with start_tool(checkout, "python", "-m", "pipelines.defs.server", "--daemon", "-p") as tool:
        yield tool


@contextlib.contextmanager
def start_tool(checkout: Checkout, command: str, *arguments: str) -> Iterator[Tool]:
    """Start a tool whose last option is the port; stop it with all of its children at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log = checkout.root / f"{command}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / command, *arguments, str(port)],
            cwd=checkout.root,
            env=checkout.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Tool(process, f"http://127.0.0.1:{port}", log)
    finally:
        stop_group(process)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process like Ctrl-C; then end what is left of its group."""
    os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_dg(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `dg` to its end."""
    return subprocess.run(
        [BIN / "dg", *arguments],
        cwd=checkout.root,
        env=checkout.env,
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )


def test_dg_check_defs(checkout: Checkout) -> None:
    """`dg check defs` finds nothing wrong."""
    done = run_dg(checkout, "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr


def test_webserver_loads_the_workspace(checkout: Checkout) -> None:
    """`dagster-webserver` serves the one location of workspace.yaml, under its name."""
    with start_tool(checkout, "dagster-webserver", "-w", "workspace.yaml", "-p") as tool:
        find_repository(tool)


def test_dev_loads_the_workspace(dev: Tool) -> None:
    """What `make dev` starts gives the location the same name."""
    find_repository(dev)


def test_no_page_commands_the_server(checkout: Checkout, dev: Tool) -> None:
    """What pages of others can send launches no run, and others cannot enter Dagster's files."""
    repository = find_repository(dev)
    selector = {
        "repositoryLocationName": "pipelines",
        "repositoryName": repository,
        "jobName": "poll_threads",
    }
    variables = {"params": {"selector": selector, "mode": "default"}}
    asked = {"query": LAUNCH, "variables": json.dumps(variables)}
    page = {"origin": "http://attacker.example"}
    with httpx.Client(trust_env=False, timeout=READY_S) as client:
        url = f"{dev.url}/graphql"
        answers = [
            client.get(url, params=asked),
            client.get(url, params=asked, headers=page | {"host": "attacker.example"}),
            client.post(url, params=asked, headers={"content-type": "text/plain"}),
            client.post(url, json=asked, headers=page),
            client.post(url, json=asked, headers={"host": "attacker.example"}),
        ]
    assert [answer.status_code for answer in answers] == [405, 421, 405, 403, 421]
    assert dev.list_runs() == []
    home = checkout.root / "dagster_home"
    assert home.stat().st_mode & 0o777 == 0o700


def find_repository(tool: Tool) -> str:
    """Return the repository of the job; the tool must have loaded `pipelines` and nothing else."""
    (entry,) = tool.wait_for_locations()
    location = entry["locationOrLoadError"]
    assert (entry["name"], location["__typename"]) == ("pipelines", "RepositoryLocation"), location
    (repository,) = location["repositories"]
    assert "poll_threads" in {job["name"] for job in repository["jobs"]}
    return str(repository["name"])


def test_run_launched_from_the_ui(checkout: Checkout, dev: Tool) -> None:
    """A run launched in the UI is queued, dequeued by the daemon, succeeds and publishes.

    Its numbers and checks stand there then.
    """
    selector = {
        "repositoryLocationName": "pipelines",
        "repositoryName": find_repository(dev),
        "jobName": "poll_threads",
    }
    launched = dev.ask(LAUNCH, params={"selector": selector, "mode": "default"})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    run = dev.wait_for_run(run_id)
    assert run["status"] == "SUCCESS", dev.read_log()
    assert run["stats"]["enqueuedTime"]
    record = checkout.root / "dagster_home" / "history" / "runs" / f"{run_id}.db"
    assert record.stat().st_mode & 0o777 == 0o600
    published = checkout.root / "data" / "threads.duckdb"
    ledger = read_table(published, f"FROM session_polls WHERE run_id = '{run_id}'")
    assert {row["session_id"] for row in ledger} == checkout.world.sessions.keys()
    assert {row["outcome"] for row in ledger} == {"complete"}
    checks = {
        "sessions": {},
        "thread_pages": {},
        "threads": {
            "every_session_complete": "ERROR",
            "keys_are_unique": "ERROR",
            "evidence_holds": "WARN",
            "no_schema_drift": "WARN",
        },
        "data_quality": {"examples_stand_beside_findings": "ERROR", "nothing_is_odd": "WARN"},
        "published_database": {"every_session_fresh": "ERROR"},
    }
    listed = sum(row["threads_listed"] for row in ledger)
    counts = {
        "sessions": {"sessions_configured": 3, "listings": 0},
        "thread_pages": {"threads": listed, "sessions_complete": 3, "retries": 0},
        "threads": {"dagster/row_count": listed, "rows_new": listed, "rows_changed": 0},
        "data_quality": {},
        "published_database": {"threads": listed, "sessions_failing": 0},
    }
    for name, expected in checks.items():
        (asset,) = dev.ask(ASSET, path=[name])["assetNodes"]
        (materialized,) = asset["assetMaterializations"]
        assert materialized["runId"] == run_id
        entries = {e["label"]: e.get("intValue") for e in materialized["metadataEntries"]}
        assert entries.items() >= counts[name].items()
        assert "seconds" in entries
        assert asset["description"]
        assert asset["owners"]
        assert asset["groupName"] != "default"
        assert {
            check["name"]: check["executionForLatestMaterialization"]["evaluation"]["severity"]
            for check in asset["assetChecksOrError"].get("checks", [])
        } == expected
        for check in asset["assetChecksOrError"].get("checks", []):
            assert check["executionForLatestMaterialization"]["status"] == "SUCCEEDED"
            assert check["executionForLatestMaterialization"]["runId"] == run_id


def test_scheduled_run_that_crashes(checkout: Checkout, dev: Tool) -> None:
    """The schedule launches runs; one that is killed is reported and retried, and succeeds then."""
    repository = {
        "repositoryLocationName": "pipelines",
        "repositoryName": find_repository(dev),
    }

    def list_ticks() -> dict[str, list[dict[str, Any]]]:
        answer = dev.ask(SENSORS, selector=repository)["sensorsOrError"]["results"]
        assert {sensor["sensorState"]["status"] for sensor in answer} == {"RUNNING"}
        return {sensor["name"]: sensor["sensorState"]["ticks"] for sensor in answer}

    dev.wait_for("tick of each sensor", lambda: all(list_ticks().values()))
    before = {run["runId"] for run in dev.list_runs()}
    checkout.sandbox.latency_s = 60  # the run waits for its first page until it is killed
    selector = repository | {"scheduleName": "poll_threads_schedule"}
    state = dev.ask(START, selector=selector)["startSchedule"]["scheduleState"]
    backdate_schedule(checkout)

    def find_worker() -> tuple[str, int] | None:
        for run in dev.list_runs():
            messages = [event.get("message") or "" for event in run["eventConnection"]["events"]]
            found = re.search(r"Started process for run \(pid: (\d+)\)", "\n".join(messages))
            if run["runId"] not in before and found and any("thread_pages" in m for m in messages):
                return run["runId"], int(found[1])
        return None

    run_id, pid = dev.wait_for("worker of a scheduled run", find_worker)
    stopped = dev.ask(STOP, id=state["id"])["stopRunningSchedule"]["scheduleState"]
    assert stopped["status"] == "STOPPED"
    checkout.sandbox.latency_s = 0
    os.kill(pid, signal.SIGKILL)

    def find_retry() -> dict[str, Any] | None:
        runs = [run for run in dev.list_runs() if run["parentRunId"] == run_id]
        return runs[0] if runs else None

    retry = dev.wait_for("second try", find_retry)
    assert dev.wait_for_run(retry["runId"])["status"] == "SUCCESS", dev.read_log()
    assert dev.wait_for_run(run_id)["status"] == "FAILURE"
    found = dev.wait_for(
        "alert", lambda: [text for text in checkout.webhook.texts if f"`{run_id}`" in text]
    )
    ended = f"run `{run_id}` failed without a word: its process ended. It is tried again"
    assert found == [f"session-threads: {ended}"]


def backdate_schedule(checkout: Checkout) -> None:
    """Let the running schedule have begun a minute ago, so that a tick is due now."""
    with checkout.open_instance() as instance:
        states = {state.instigator_name: state for state in instance.all_instigator_state()}
        state = states["poll_threads_schedule"]
        data = state.instigator_data
        assert isinstance(data, ScheduleInstigatorData)
        begun = data._replace(start_timestamp=time.time() - 60)
        instance.update_instigator_state(state.with_data(begun))
