"""Who is compared, how each is started, and whether what it holds afterwards is right."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen

import duckdb
import msgspec
import yaml

from benchmarks.measure import LOG, Cost, measure
from benchmarks.server import Times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.server import Facts, State

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
TOKEN = "pt-bench"  # noqa: S105 - the server asks for none
DOWNLOADED = "downloaded.json"

PRODUCT, LIMITED = "session-threads", "session-threads, documented limits"
DAGSTER = "session-threads: Dagster's job"
FETCH = "session-threads: fetch and land alone"
DLT_TUNED, DLT_DEFAULTS = "dlt, tuned", "dlt, defaults"
SCRIPT = "script: httpx and polars"
FLOORS = ("download only: httpx", "download only: httpx over aiohttp", "download only: aiohttp")


class Contestant(NamedTuple):
    """A command; its copy lies in `database`, where `threads` gives (session, id, status).

    One without a database keeps nothing but the count of what it downloaded.
    """

    command: list[str]
    database: str | None = "threads.duckdb"
    threads: str = "SELECT session_id, id, status FROM threads"


def start_peer(script: str, *arguments: str) -> list[str]:
    """Return the command of one of the scripts that run in the peers' environment."""
    return [str(PEERS_PYTHON), str(ROOT / "benchmarks" / "peers" / script), *arguments]


def find_product(program: str = "session-threads") -> str:
    """Return the path of the command: in the environment of a user, where `make` has made it.

    Beside the tools of the tests lies pandas, which DuckDB imports where it finds it.
    """
    is_made = (ROOT / ".venv-product" / "ready").exists()
    directory = ROOT / ".venv-product" / "bin" if is_made else Path(sys.executable).parent
    return str(directory / program)


def start_product(*, by_dagster: bool = False) -> Contestant:
    """Return the product: the whole command, from its start to the published copy, or the job."""
    job = ["job", "execute", "-m", "pipelines.definitions", "-j", "poll_threads"]
    command = [find_product("dagster"), *job] if by_dagster else [find_product(), "run"]
    query = "SELECT session_id, thread_id, status FROM threads"
    return Contestant(command, "data/threads.duckdb", query)


CONTESTANTS = {
    PRODUCT: start_product(),
    LIMITED: start_product(),
    DAGSTER: start_product(by_dagster=True),
    FETCH: Contestant([find_product("python"), "-m", "benchmarks.fetch"], None),
    DLT_TUNED: Contestant(start_peer("dlt_rest_api.py", "tuned")),
    DLT_DEFAULTS: Contestant(start_peer("dlt_rest_api.py", "defaults")),
    SCRIPT: Contestant(start_peer("script.py")),
    **{
        name: Contestant(start_peer("floor.py", way), None)
        for name, way in zip(FLOORS, ("httpx", "httpx-aiohttp", "aiohttp"), strict=True)
    },
}
# The documented limits are those of the product's defaults; everyone else goes as fast as it can.
UNLIMITED = {"min_page_interval_ms": 0, "max_requests_per_second": 1000}


def run(
    name: str, directory: Path, base_url: str, facts: Facts, state: str
) -> tuple[Cost, Times, str]:
    """Let a contestant poll a state; return what it cost, and what is wrong with its copy or "".

    What it keeps from poll to poll lies in the directory. The server says when pages came.
    """
    directory.mkdir(parents=True, exist_ok=True)
    sessions = directory / "sessions.json"
    sessions.write_text(json.dumps(facts.sessions), encoding="utf-8")
    source = {"sessions": facts.sessions, **({} if name == LIMITED else UNLIMITED)}
    (directory / "sessions.yaml").write_text(yaml.safe_dump({"sources": [source]}), "utf-8")
    environ = clean(os.environ) | {
        "BENCH_SESSIONS": str(sessions),
        "BENCH_BASE_URL": f"{base_url}/{state}",
        "BENCH_TOKEN": TOKEN,
        "QODER_BASE_URL": f"{base_url}/{state}",
        "QODER_PAT": TOKEN,
        "DAGSTER_HOME": str(make_dagster_home(directory)),
    }
    ask_times(base_url)
    cost = measure(CONTESTANTS[name].command, directory, environ)
    times = ask_times(base_url)
    if cost.exit_code:
        lines = (directory / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        return cost, times, f"exit {cost.exit_code}: {' '.join(lines[-1:])[:200]}"
    return cost, times, find_fault(CONTESTANTS[name], directory, facts.states[state])


def ask_times(base_url: str) -> Times:
    """Return when pages were asked for since the previous question."""
    with urlopen(f"{base_url}/times") as answer:  # noqa: S310 - on loopback
        return msgspec.json.decode(answer.read(), type=Times)


def make_dagster_home(directory: Path) -> Path:
    """Return the home of a separate Dagster, configured as ours is."""
    home = directory / "dagster_home"
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    return home


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what configures the product, Dagster, or Python.

    If that is told to keep no compiled modules, those of the product are compiled in every run, and
    those that were installed are not.
    """
    configuring = ("QODER_", "SESSION_THREADS_", "DAGSTER_", "PYTHON")
    return {name: value for name, value in environ.items() if not name.startswith(configuring)}


def find_fault(contestant: Contestant, directory: Path, state: State) -> str:
    """Return what is wrong with the contestant's copy of a state, "" of a right one."""
    if contestant.database is None:
        came = json.loads((directory / DOWNLOADED).read_text(encoding="utf-8"))
        whole = {"pages": state.pages, "bytes": state.bytes}
        return "" if came == whole else f"downloaded {came} instead of {whole}"
    with duckdb.connect(str(directory / contestant.database), read_only=True) as connection:
        rows = connection.execute(contestant.threads).fetchall()
    held = len(rows), len({row[:2] for row in rows})
    if held != (state.threads, state.threads):
        return f"{held[0]} rows of {held[1]} threads instead of {state.threads}"
    statuses = Counter(status for *_, status in rows)
    if statuses != state.statuses:
        return f"{dict(statuses)} instead of {state.statuses}"
    return ""
