"""What a run costs in which quiet sessions rest, beside one that lists everything.

    python -m benchmarks.planned [THREADS [SESSIONS]]

A separate server (benchmarks/quiet.py) is polled until it is trusted, as fast as it answers; then
5 % of its sessions change, and the whole command is run twice at the documented limits, each on a
copy of the data: as planned, and with --full. Both copies are checked. By default 100,000 threads
of 1,000 sessions; writes `planned` in docs/resting.json, for docs/polling.md, a row for each size.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import duckdb
import msgspec
import yaml

from benchmarks.contestants import TOKEN, UNLIMITED, clean, find_product
from benchmarks.measure import LOG, measure
from benchmarks.quiet import Truth
from benchmarks.report import print_rows
from benchmarks.resting import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CHANGED = 20  # one in so many sessions
HOUR = 60
# Where there are fewer threads, a run lasts as long as its start: that is kept nowhere.
KEPT = 100_000
# Minutes before each of the polls that earn trust, over more than three days; before each but the
# first so many sessions announce a change.
EARNING = (0, HOUR, 73 * HOUR)
ANNOUNCING = 30
INTERVAL = 15
STATUSES = "SELECT status, count(*) FROM threads GROUP BY status"


def main(threads: int = 100_000, sessions: int = 1_000) -> None:
    """Measure both runs; print them, and keep them. Raises SystemExit if a copy is wrong."""
    changed = sessions // CHANGED
    with start_server(threads, sessions) as base_url, tempfile.TemporaryDirectory() as name:
        trusted = Path(name) / "trusted"
        for number, minutes in enumerate(EARNING):
            move(base_url, minutes, number * ANNOUNCING, ANNOUNCING if number else 0)
            run(trusted, base_url, UNLIMITED | {"max_concurrency": 32})
        move(base_url, INTERVAL, len(EARNING) * ANNOUNCING, changed)
        rows = []
        for way in ("planned", "full"):
            shutil.copytree(trusted, Path(name) / way)
            arguments = ["--full"] if way == "full" else []
            rows.append({"run": way} | run(Path(name) / way, base_url, {}, *arguments))
    for row in rows:
        row["share"] = round(row["wall_s"] / rows[-1]["wall_s"], 3)
    print_rows(rows)
    if threads >= KEPT:
        keep({"threads": threads, "sessions": sessions, "changed": changed, "runs": rows})


@contextmanager
def start_server(threads: int, sessions: int) -> Iterator[str]:
    """Give the base URL of a server in a separate process; at last its clock is right."""
    hours = -(-(sum(EARNING) + INTERVAL) // HOUR)
    command = [sys.executable, "-m", "benchmarks.quiet", *map(str, (threads, sessions, hours))]
    with subprocess.Popen(  # noqa: S603 - a module of the benchmark
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdin  # noqa: S101 - for the type checker
        assert server.stdout  # noqa: S101
        yield server.stdout.readline().strip()
        server.stdin.close()


def move(base_url: str, minutes: float, first: int, count: int) -> None:
    """Move the server's clock, and let so many of its sessions change."""
    urlopen(f"{base_url}/move?{minutes=}&{first=}&{count=}").close()  # noqa: S310 - on loopback


def run(directory: Path, base_url: str, keys: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """Run the command; return what that cost, and check its copy."""
    directory.mkdir(exist_ok=True)
    source = {"base_url": base_url, "discover": True, "token_env": "QUIET_PAT"} | keys
    (directory / "sessions.yaml").write_text(yaml.safe_dump({"sources": [source]}), "utf-8")
    environ = clean(os.environ) | {"QUIET_PAT": TOKEN}
    ask_truth(base_url)
    cost = measure([find_product(), "run", *arguments], directory, environ)
    truth = ask_truth(base_url)
    with duckdb.connect(str(directory / "data" / "threads.duckdb"), read_only=True) as connection:
        held = dict(connection.execute(STATUSES).fetchall())
    if cost.exit_code or held != truth.statuses:
        said = (directory / LOG).read_text(encoding="utf-8", errors="replace")
        raise SystemExit(
            f"exit {cost.exit_code}, {held} instead of {truth.statuses}: {said[-500:]}"
        )
    times = {"fetch_s": truth.fetch_s, "after_s": truth.after_s}
    seconds = {"wall_s": cost.wall_s, "cpu_s": cost.cpu_s} | times
    return {"requests": truth.requests} | {key: round(value, 2) for key, value in seconds.items()}


def ask_truth(base_url: str) -> Truth:
    """Return what a right copy holds, and what was asked since the last question."""
    with urlopen(f"{base_url}/truth") as answer:  # noqa: S310 - on loopback
        return msgspec.json.decode(answer.read(), type=Truth)


def keep(row: dict[str, Any]) -> None:
    """Put a row into docs/resting.json, in place of another of its size."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = [each for each in results.get("planned", []) if each["threads"] != row["threads"]]
    results["planned"] = sorted([*rows, row], key=lambda each: each["threads"])
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
