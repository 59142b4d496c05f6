"""What the connections under httpx cost: its own, or those of aiohttp.

    python -m benchmarks.transports [THREADS [SESSIONS [ROUNDS]]]

Downloads every page (benchmarks/peers/floor.py) as fast as it can, and at the default limit. Needs
the environment of the peers: make .venv-peers/ready. pipelines/http/transport.py says what follows.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.compare import start_server
from benchmarks.contestants import TOKEN, clean, start_peer
from benchmarks.measure import Cost, measure
from benchmarks.report import print_rows
from pipelines.config.settings import Source

WAYS = ("httpx", "httpx-aiohttp", "aiohttp")


def download(way: str, base_url: str, sessions: list[str], per_second: float | None) -> Cost:
    """Return what downloading every page of the sessions costs, as a separate process."""
    with tempfile.TemporaryDirectory() as directory:
        listed = Path(directory) / "sessions.json"
        listed.write_text(json.dumps(sessions), encoding="utf-8")
        environ = clean(os.environ) | {
            "BENCH_SESSIONS": str(listed),
            "BENCH_BASE_URL": f"{base_url}/first",
            "BENCH_TOKEN": TOKEN,
        }
        arguments = (way,) if per_second is None else (way, str(per_second))
        cost = measure(start_peer("floor.py", *arguments), listed.parent, environ)
    if cost.exit_code:
        raise RuntimeError(f"floor.py {way} ended with {cost.exit_code}")
    return cost


def main(threads: int = 100_000, sessions: int = 200, rounds: int = 3) -> None:
    """Print the medians of some rounds."""
    default: float = Source.model_fields["max_requests_per_second"].default
    rows: list[dict[str, Any]] = []
    with start_server(threads, sessions) as (base_url, facts):
        for per_second in (None, default):
            for way in WAYS:
                costs = [download(way, base_url, facts.sessions, per_second) for _ in range(rounds)]
                rows.append(
                    {
                        "way": way,
                        "requests per second": per_second or "any",
                        "wall s": round(median(cost.wall_s for cost in costs), 2),
                        "CPU s": round(median(cost.cpu_s for cost in costs), 2),
                        "peak MB": round(median(cost.peak_mb for cost in costs)),
                    }
                )
    print_rows(rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
