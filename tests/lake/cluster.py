"""Code servers of lakes that polls keep busy, with what can be taken away from under them."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from docs.deploy.lake.start import find_team
from pipelines.config.loader import load_settings
from pipelines.errors import WarehouseError
from pipelines.landing.directory import list_runs
from pipelines.landing.place import open_landing
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.faults import PASSING, Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ledger import list_pending
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.place import open_warehouse
from pipelines.warehouse.publication import publish
from tests.lake.deployed import Deployed, make_deployment, write_instance
from tests.lake.front import Front
from tests.lake.tables import read_all
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pytest

    from pipelines.warehouse.base import Warehouse

# Two code servers of one lake, and one of another team.
SERVERS = ("team_a", "team_a-2")
OTHER = "team_b"
LOAD = "load_landed"
UNFINISHED = ("STARTED", "STARTING", "QUEUED")
# Of one snapshot: what the load wrote, and what the analyses made of it.
WHOLE = """
    SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM threads WHERE missing_since IS NULL),
        (SELECT sum(threads) + max(threads_unwatched) FROM analytics.status_distribution
        WHERE dimension = 'all')
"""
LOCKED = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND datname = 'threads'
"""


class Reader(threading.Thread):
    """Reads what is published, again and again, and notes what was not whole."""

    def __init__(self, warehouse: Warehouse, pause_s: float) -> None:
        super().__init__(daemon=True)
        self.warehouse = warehouse
        self.pause_s = pause_s
        self.transactions = 0
        self.wrong: list[Any] = []
        self.said: set[str] = set()
        self.is_over = threading.Event()

    def has_read_since(self, transactions: int) -> bool:
        """Whether it has read once more."""
        return self.transactions > transactions

    def run(self) -> None:
        """Read until it is over; in an outage nothing can be read."""
        last = 0
        while not self.is_over.wait(self.pause_s):
            try:
                with self.warehouse.read() as tables:
                    runs, threads, analysed = tables.execute(WHOLE).fetchall()[0]
            except WarehouseError as error:
                self.said.add(str(error))
                continue
            self.transactions += 1
            if threads != analysed or runs < last:
                self.wrong.append((last, runs, threads, analysed))
            last = runs


class Cluster:
    """Two code servers that poll sources into one lake, two who read it, and another team."""

    def __init__(
        self, deployed: Deployed, worlds: Mapping[str, list[World]], front: Front, pause_s: float
    ) -> None:
        self.deployed = deployed
        self.worlds = worlds["team_a"]
        self.others = worlds[OTHER]
        self.front = front
        self.polls = 0
        self.settings = load_settings(PROVIDERS)
        self.lake = open_warehouse(self.settings.home, self.settings.lake)
        self.readers = [Reader(self.lake, pause_s) for _ in range(2)]

    def poll(self, *others: tuple[str, str]) -> None:
        """Poll every source, half of them on each server; a run that crashes is started again.

        Others are polled too, each a server and the name of a source. What lands is loaded then.
        """
        self.polls += 1
        for world in self.worlds:
            world.advance(600)
        self.ask(len(self.worlds), *others)
        for server in (*SERVERS, OTHER):
            self.deployed.start_sensor(server)

    def ask(self, sources: int, *others: tuple[str, str]) -> set[str]:
        """Poll the first sources, and others; return how the runs have ended."""
        places = [(SERVERS[number % 2], f"source-{number}") for number in range(sources)]
        runs = [self.deployed.poll(*place) for place in (*places, *others)]
        return set(self.deployed.wait_for(runs))

    def list_loads(self, *statuses: str, server: str = "") -> list[dict[str, Any]]:
        """Return the loads that have one of the statuses: of every code server, or of one."""
        return [
            run
            for run in self.deployed.list_runs()
            if run["jobName"] == LOAD and run["status"] in statuses
            if server in {"", run["repositoryOrigin"]["repositoryLocationName"]}
        ]

    def wait_for_load(self) -> dict[str, Any]:
        """Return a load that holds the lake's lock, once the polls have given back theirs."""

        def find_load() -> dict[str, Any] | None:
            with self.deployed.deployment.connect("threads") as catalog:
                is_locked = catalog.execute(LOCKED).fetchone()
            return next(iter(self.list_loads("STARTED")), None) if is_locked else None

        load: dict[str, Any] = wait_for(find_load, 120)
        return load

    def wait_until_loaded(self, limit_s: float) -> None:
        """Return when every poll has landed and is loaded and published, and no load runs."""

        def is_loaded() -> bool:
            landing = open_landing(self.settings)
            return not (
                self.list_loads(*UNFINISHED)
                or len(list_runs(landing)) < self.polls * len(self.worlds)
                or list_pending(self.lake, landing)
                or self.list_loads(*UNFINISHED)
            )

        wait_for(is_loaded, limit_s)

    def find_status(self, load: dict[str, Any]) -> str:
        """Return how a load has ended, or what it does."""
        runs = {run["runId"]: run for run in self.deployed.list_runs()}
        return str(runs[load["runId"]]["status"])

    def kill_server_of(self, load: dict[str, Any]) -> None:
        """End a run's code server with its runs, and start it as what looks after it would."""
        deployment = self.deployed.deployment
        server = load["repositoryOrigin"]["repositoryLocationName"]
        deployment.stop(server, signal.SIGKILL)
        deployment.start_code_server(server)

    def check(self, home: Path) -> None:
        """Compare every table with one load of all that has landed, and what readers saw."""
        read = [reader.transactions for reader in self.readers]
        file = DuckdbFile(home)
        home.mkdir(mode=0o700)
        with file.write() as tables:
            load_landed(tables, open_landing(self.settings))
            publish(file, tables, {})
        expected, found = read_all(file), read_all(self.lake)
        assert {name: found[name] for name in expected} == expected
        assert len(found["main.runs"]) == self.polls * len(self.worlds)
        for reader, transactions in zip(self.readers, read, strict=True):
            wait_for(partial(reader.has_read_since, transactions), 60)
        assert [reader.wrong for reader in self.readers] == [[], []]
        self.check_messages(repr(found))

    def check_messages(self, tables: str) -> None:
        """Check that readers were told what failed in one line, and that nothing holds a secret."""
        said = sorted(set().union(*(reader.said for reader in self.readers)))
        assert [text for text in said if "\n" in text] == []
        secrets = [CANARY, *self.deployed.deployment.secrets.values()]
        assert [secret for secret in secrets if secret in "".join([tables, *said])] == []
        assert self.deployed.find_secrets(CANARY) == []


def wait_for(find: Callable[[], Any], limit_s: float) -> Any:
    """Return what is found, as soon as it is true."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        if found := find():
            return found
        time.sleep(0.2)
    raise TimeoutError


def serve_sources(worlds: list[World], file: Path, running: ExitStack) -> None:
    """Serve a team's worlds by servers that fail now and then; write what it polls."""
    described = []
    for number, world in enumerate(worlds):
        faulty = Faulty(Sandbox(world, token=CANARY).app, rate=1 / 16, kinds=PASSING)
        described.append(
            {
                "name": f"source-{number}",
                "base_url": running.enter_context(serve(faulty)),
                "token_env": "SOME_TOKEN",
                "sessions": list(world.sessions),
            }
        )
    file.write_bytes(msgspec.json.encode({"sources": described}))


@contextmanager
def start_cluster(
    home: Path, monkeypatch: pytest.MonkeyPatch, sources: int, pause_s: float
) -> Iterator[Cluster]:
    """Start two code servers of one lake, and one of another."""
    monkeypatch.setenv("SOME_TOKEN", CANARY)
    monkeypatch.setenv("DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS", "1")
    instance = write_instance(home / "dagster.yaml")
    monkeypatch.setattr("docs.deploy.lake.start.DAGSTER_YAML", instance)
    worlds = {
        "team_a": [World([20, 3], seed=seed) for seed in range(sources)],
        OTHER: [World([30, 4], seed=sources)],
    }
    files = {team: home / f"{team}.json" for team in worlds}
    with ExitStack() as running:
        for team, file in files.items():
            serve_sources(worlds[team], file, running)
        servers = {server: files[find_team(server)] for server in (*SERVERS, OTHER)}
        deployment = running.enter_context(make_deployment(servers))
        front = running.enter_context(Front(deployment.ports["s3"]))
        deployment.front = front.port
        deployment.start()
        deployed = Deployed(deployment)
        deployed.wait_until_ready()
        for name, value in deployed.variables("team_a", "loader").items():
            monkeypatch.setenv(name, value)
        cluster = Cluster(deployed, worlds, front, pause_s)
        for reader in cluster.readers:
            reader.start()
        yield cluster
        for reader in cluster.readers:
            reader.is_over.set()
            reader.join()
