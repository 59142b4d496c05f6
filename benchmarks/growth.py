"""What polling without change leaves behind: the time of a poll and the size of what it writes.

    python -m benchmarks.growth [THREADS [SESSIONS [POLLS]]]

By default 1,000 polls of 10,000 threads: ten days, one poll every 15 minutes. Each is landed,
loaded, analysed and published as a run does it, in one process and without HTTP; no landed page is
removed, as none is within the 14 days that pages are kept by default.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.loads import land_pages, load_home, measure, publish_home
from benchmarks.report import print_rows, save
from benchmarks.server import FIRST, encode_pages, render_states
from pipelines.warehouse.duckdb_file import WAREHOUSE
from pipelines.warehouse.opening import PUBLISHED

INTERVAL = timedelta(minutes=15)
SHOWN = (1, 10, 100, 300, 1000)
NEAR = 4  # polls around a shown one whose median is its time


def poll(home: Path) -> tuple[float, float]:
    """Load, analyse and publish what has landed; return the seconds of loading and of the rest."""
    return measure(lambda: load_home(home)), measure(lambda: publish_home(home))


def weigh(home: Path) -> dict[str, float]:
    """Return the sizes of both databases and of the landed pages, in MB."""
    landed = sum(path.stat().st_size for path in (home / "raw").iterdir())
    sizes = {"warehouse": (home / WAREHOUSE).stat().st_size, "landed": landed}
    sizes["published"] = (home / PUBLISHED).stat().st_size
    return {f"{name}_mb": round(size / 2**20, 1) for name, size in sizes.items()}


def main(count: int = 10_000, sessions: int = 20, polls: int = 1000) -> None:
    """Poll; print and keep what the shown polls took, and how large everything was after them."""
    fleet = render_states(count, sessions)[FIRST]
    pages = {session: [page for _, page in encode_pages(b)] for session, b in fleet.items()}
    listed = {session: len(bodies) for session, bodies in fleet.items()}
    seconds, sizes, started = [], {}, datetime.now(UTC)
    with tempfile.TemporaryDirectory() as directory:
        for number in range(1, polls + 1):
            land_pages(Path(directory), started + number * INTERVAL, pages, listed)
            seconds.append(poll(Path(directory)))
            if number in SHOWN or number == polls:
                sizes[number] = weigh(Path(directory))
    rows = []
    for number, weights in sizes.items():
        near = seconds[max(min(number - 1, 1), number - NEAR) : number + NEAR]
        load, rest = (round(median(pair[i] for pair in near), 3) for i in range(2))
        poll_row = {"poll": number, "load_s": load, "analyses_and_publication_s": rest}
        rows.append({"threads": count, "sessions": sessions, **poll_row, **weights})
    print_rows(rows)
    save("growth", rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
