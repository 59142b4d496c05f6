"""What a poll and the command may cost, counted and not timed: `make check` holds it.

    python -m benchmarks.guard

Counts are the same on every machine; how high they may be says benchmarks/limits.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import duckdb
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.limits import LIMITS
from benchmarks.server import FIRST, Fleet
from pipelines import steps
from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.server import serve
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.duckdb_file import WAREHOUSE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import Receive, Scope, Send

THREADS, SESSIONS = 1000, 4
# Packages that take long to import: none is needed to read the published copy, or not even that.
HEAVY = frozenset(
    {"aiohttp", "altair", "dagster", "httpx", "pandas", "polars", "starlette", "uvicorn"}
)
HEAVY_FOR_POLLS = frozenset({"altair", "dagster", "fsspec", "jinja2", "pygments", "upath"})
HEAVY_FOR_HELP = HEAVY | {"duckdb", "msgspec", "pydantic", "rich", "tenacity", "yaml"}
ASK = """
import json, sys
before = set(sys.modules)
from pipelines.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""


class Counted:
    """The server of the benchmarks without its latency, counting requests."""

    def __init__(self) -> None:
        self.fleet = Fleet(THREADS, SESSIONS, latency_s=0)
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count and answer."""
        self.requests += 1
        await self.fleet(scope, receive, send)


class CountedConnection:
    """A connection to DuckDB that counts the statements it executes, each of a script's."""

    statements = 0
    connections = 0
    counting = threading.Lock()

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, query: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        """Count and execute."""
        with self.counting:
            CountedConnection.statements += len(self._connection.extract_statements(query))
        return self._connection.execute(query, parameters)

    def cursor(self) -> CountedConnection:
        """Return another connection to the same database, which counts too."""
        return CountedConnection(self._connection.cursor())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the connection has it
        return getattr(self._connection, name)


@contextmanager
def count_statements() -> Iterator[type[CountedConnection]]:
    """Count every statement of every connection opened in the block."""
    CountedConnection.statements = CountedConnection.connections = 0
    connect = duckdb.connect

    def counted(*arguments: Any, **keys: Any) -> CountedConnection:  # noqa: ANN401
        CountedConnection.connections += 1
        return CountedConnection(connect(*arguments, **keys))

    with patch.object(duckdb, "connect", counted):
        yield CountedConnection


def count_polls() -> dict[str, int]:
    """Return the counts of a first and of an unchanged poll by the whole job."""
    counts, server = {}, Counted()
    pages = server.fleet.facts.states[FIRST].pages
    with tempfile.TemporaryDirectory() as directory, serve(server) as base_url:
        home = Path(directory) / "data"
        configure(Path(directory), f"{base_url}/{FIRST}", server.fleet.facts.sessions)
        for poll in ("first", "unchanged"):
            server.requests = 0
            if poll == "unchanged":
                shutil.copy(home / WAREHOUSE, home / "before.duckdb")
            landed = len(list((home / "raw").glob("*")))
            with count_statements() as counted:
                steps.run(load_settings(PROVIDERS))
            counts[f"requests beyond the pages, {poll} poll"] = server.requests - pages
            counts[f"SQL statements, {poll} poll"] = counted.statements
            counts[f"connections to DuckDB, {poll} poll"] = counted.connections
            counts[f"files landed, {poll} poll"] = len(list((home / "raw").glob("*"))) - landed
        counts["heavy packages imported by a poll"] = count_heavy(
            list(sys.modules), HEAVY_FOR_POLLS
        )
        counts["heavy packages imported by sql"] = count_heavy(
            list_modules("sql", "SELECT 1"), HEAVY
        )
        counts["heavy packages imported by plan"] = count_heavy(
            list_modules("plan"), HEAVY_FOR_POLLS | {"polars"}
        )
        written = find_written(home / "before.duckdb", home / WAREHOUSE)
    # The ledger's rows, and for which load each analysis was built.
    written.subtract(
        {
            "session_polls": SESSIONS,
            "source_polls": 1,
            "runs": 1,
            "analysis_builds": len(list_analyses()),
        }
    )
    counts["rows written beside the ledger, unchanged poll"] = sum(map(abs, written.values()))
    return counts


def configure(directory: Path, base_url: str, sessions: list[str]) -> None:
    """Let the product poll these sessions, as fast as it can."""
    for name in [name for name in os.environ if name.startswith(("QODER_", "DAGSTER_"))]:
        del os.environ[name]
    source = {"min_page_interval_ms": 0, "max_requests_per_second": 1000, "sessions": sessions}
    path = directory / "sessions.yaml"
    path.write_text(yaml.safe_dump({"sources": [source | {"base_url": base_url}]}), "utf-8")
    os.environ |= {
        "QODER_PAT": "pt-guard",
        "SESSION_THREADS_CONFIG": str(path),
        "SESSION_THREADS_HOME": str(directory / "data"),
    }


def find_written(before: Path, after: Path) -> Counter[str]:
    """Return table -> rows of schema main that are there after and were not so, there, before.

    A row that was deleted and inserted again has another `rowid`, and so have those behind it.
    """
    with duckdb.connect() as connection:
        for name, path in (("before", before), ("after", after)):
            connection.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables()"
            " WHERE database_name = 'after' AND schema_name = 'main' AND NOT internal"
        ).fetchall()
        written: Counter[str] = Counter()
        for (table,) in tables:
            rows = f"SELECT rowid, * FROM {{}}.main.{table}"  # noqa: S608 - one of ours
            query = f"({rows.format('after')}) EXCEPT ({rows.format('before')})"
            written[table] = len(connection.execute(query).fetchall())
    return written


def list_modules(*arguments: str) -> list[str]:
    """Return the modules that the command imports to answer, beyond those of Python's start."""
    result = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", ASK, *arguments], capture_output=True, text=True, check=True
    )
    modules: list[str] = json.loads(result.stderr.splitlines()[-1])
    return modules


def count_heavy(modules: list[str], heavy: frozenset[str]) -> int:
    """Return how many of the heavy packages are among the modules."""
    return len({name.partition(".")[0] for name in modules} & heavy)


def find_excesses(counts: Mapping[str, int], limits: Mapping[str, int] = LIMITS) -> list[str]:
    """Return what is above its limit, or was not counted, one line each."""
    excesses = [f"{name}: not counted" for name in limits if name not in counts]
    return excesses + [
        f"{name}: {counts[name]}, at most {limit} allowed"
        for name, limit in limits.items()
        if counts.get(name, 0) > limit
    ]


def main() -> int:
    """Count; print the counts beside their limits; return 1 where one is exceeded."""
    helping = list_modules("--help")
    counts = {
        "modules imported by --help": len(helping),
        "heavy packages imported by --help": count_heavy(helping, HEAVY_FOR_HELP),
        **count_polls(),
    }
    table = Table("count", "is", "at most")
    for name, limit in LIMITS.items():
        table.add_row(name, str(counts[name]), str(limit))
    Console().print(table)
    excesses = find_excesses(counts)
    for line in excesses:
        print(f"benchmarks/guard.py: {line}", file=sys.stderr)  # noqa: T201
    return bool(excesses)


if __name__ == "__main__":
    sys.exit(main())
