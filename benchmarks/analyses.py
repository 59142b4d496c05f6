"""What the analyses cost: seconds of each and of CPU, and peak memory, on a made-up fleet.

    python benchmarks/analyses.py [THREADS [SESSIONS [ROUNDS]]]

By default 1,000,000 threads with 5,000,000 spells, on two cores. All are built as a run builds them
in the memory that the configuration gives by default. Every round runs in a new process.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from string import Template

from rich.console import Console
from rich.table import Table

from pipelines.config.settings import Settings
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_all
from pipelines.warehouse.duckdb_file import DuckdbFile

FLEET = Path(__file__).with_name("fleet.sql")
SPELLS = 5
POLLS = 24
CORES = 2
TOTAL = "(all)"


def make_fleet(home: Path, threads: int, sessions: int) -> None:
    """Fill a warehouse with a fleet of so many threads."""
    template = Template(FLEET.read_text(encoding="utf-8"))
    statements = template.substitute(threads=threads, sessions=sessions, spells=SPELLS, polls=POLLS)
    with DuckdbFile(home).write() as connection:
        connection.execute(statements)


def measure(home: Path) -> dict[str, list[float]]:
    """Return analysis -> seconds and rows, and TOTAL -> seconds of CPU and peak memory in MB."""
    with DuckdbFile(home).write() as connection:
        connection.execute(f"SET threads = {CORES}")
        started = time.process_time()
        outcomes = build_all(connection, list_analyses(), memory_mb=Settings().analyses_memory_mb)
        cpu_s = time.process_time() - started
    figures = {o.analysis.name: [o.seconds, o.built.rows if o.built else 0] for o in outcomes}
    return figures | {TOTAL: [cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]}


def measure_apart(home: Path) -> dict[str, list[float]]:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--measure", str(home)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    figures: dict[str, list[float]] = json.loads(result.stdout)
    return figures


def main(threads: int = 1_000_000, sessions: int = 1000, rounds: int = 3) -> None:
    """Print the medians of some rounds."""
    with tempfile.TemporaryDirectory() as directory:
        make_fleet(Path(directory), threads, sessions)
        measured = [measure_apart(Path(directory)) for _ in range(rounds)]
    totals = [figures.pop(TOTAL) for figures in measured]
    seconds = {name: statistics.median(r[name][0] for r in measured) for name in measured[0]}
    table = Table("analysis", "s", "share", "rows")
    for name in sorted(seconds, key=lambda name: -seconds[name]):
        share, rows = seconds[name] / sum(seconds.values()), int(measured[0][name][1])
        table.add_row(name, f"{seconds[name]:.2f}", f"{share:.0%}", f"{rows}")
    cpu_s, peak = statistics.median(t[0] for t in totals), max(t[1] for t in totals)
    console = Console()
    console.print(
        f"{threads} threads with {SPELLS} spells each in {sessions} sessions, {CORES} cores,"
        f" medians of {rounds} rounds"
    )
    console.print(table)
    console.print(f"all together {cpu_s:.1f} s of CPU, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]))))  # noqa: T201 - to the process that asked
    else:
        main(*map(int, sys.argv[1:]))
