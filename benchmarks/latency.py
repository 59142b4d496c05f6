"""How long one waits for an answer: the command from its start to its end.

    python -m benchmarks.latency [THREADS [ROUNDS]]

By default 100,000 threads with five spells each, in 1,000 sessions.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.analyses import make_fleet
from benchmarks.contestants import clean, find_product
from benchmarks.limits import GOALS
from benchmarks.loads import publish_home
from benchmarks.measure import Cost, measure
from benchmarks.report import print_rows, save

SESSIONS = 1000


def ask(arguments: tuple[str, ...], home: Path) -> Cost:
    """Return what the command costs. Raises RuntimeError if it fails."""
    environ = clean(os.environ) | {"SESSION_THREADS_HOME": str(home)}
    cost = measure([find_product(), *arguments], home, environ)
    if cost.exit_code:
        raise RuntimeError(f"session-threads {' '.join(arguments)} ended with {cost.exit_code}")
    return cost


def main(threads: int = 100_000, rounds: int = 7) -> None:
    """Print and keep the medians of some rounds; each round asks every question once."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        make_fleet(home, threads, SESSIONS)
        publish_home(home)
        asked = [{command: ask(command, home) for command in GOALS} for _ in range(rounds)]
    rows = [
        {
            "command": f"session-threads {' '.join(command)}",
            "threads": threads,
            "median_wall_s": round(median(costs[command].wall_s for costs in asked), 3),
            "median_cpu_s": round(median(costs[command].cpu_s for costs in asked), 3),
            "median_peak_mb": round(median(costs[command].peak_mb for costs in asked), 1),
            "goal_s": goal,
        }
        for command, goal in GOALS.items()
    ]
    print_rows(rows)
    save("latency", rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
