"""session-threads against its peers and against the floor of downloading alone.

    python -m benchmarks.compare [--large | --small]

Every contestant runs in a separate process, in turn, several rounds, and polls the same server
(benchmarks/server.py, in a separate process too) with eight sessions side by side. In a round
each polls four times: a first time, again when nothing has changed, when one thread in a hundred
has, and when nothing has but durations that grow by themselves. Its copy is checked after each
poll, and the server says how long after the last page the process has ended. docs/performance.md
says what is compared and how.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

import msgspec

from benchmarks.contestants import (
    CONTESTANTS,
    DAGSTER,
    DLT_DEFAULTS,
    DLT_TUNED,
    FETCH,
    FLOORS,
    LIMITED,
    PRODUCT,
    SCRIPT,
    run,
)
from benchmarks.report import COLUMNS, print_rows, save
from benchmarks.server import CHANGED, FIRST, GROWN, Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

POLLS = {"first": FIRST, "unchanged": FIRST, "1 % changed": CHANGED, "durations grow": GROWN}
KEEPERS = (PRODUCT, DAGSTER, DLT_TUNED)
COSTS = ("wall_s", "cpu_s", "peak_mb", "fetch_s", "after_s")


class Case(NamedTuple):
    """A fleet, and who polls it: `once` only the first time, `keepers` four times."""

    threads: int
    sessions: int
    rounds: int
    keepers: Sequence[str]
    once: Sequence[str] = ()


CASES = (
    Case(10_000, 100, 3, (*KEEPERS, DLT_DEFAULTS, SCRIPT), (FETCH, *FLOORS)),
    Case(100_000, 200, 3, KEEPERS, (SCRIPT, FETCH, *FLOORS)),
)
# To see that all of it runs: kept nowhere.
SMALL_CASES = (Case(1_000, 10, 1, (*KEEPERS, DLT_DEFAULTS, SCRIPT), (FETCH, *FLOORS)),)
LARGE_CASES = (
    Case(100_000, 200, 1, (), (PRODUCT, LIMITED, DLT_DEFAULTS)),
    Case(100_000, 8, 1, KEEPERS, (FETCH, *FLOORS)),
    Case(1_000_000, 1000, 1, KEEPERS, (FETCH, *FLOORS)),
)


@contextmanager
def start_server(threads: int, sessions: int) -> Iterator[tuple[str, Facts]]:
    """Give the base URL of a server in a separate process, and what it holds."""
    command = [sys.executable, "-m", "benchmarks.server", str(threads), str(sessions)]
    with subprocess.Popen(  # noqa: S603 - a module of the benchmark
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdin  # noqa: S101 - for the type checker
        assert server.stdout  # noqa: S101
        base_url = server.stdout.readline().strip()
        if not base_url:
            raise RuntimeError("the server did not start; what it says is above")
        with urlopen(f"{base_url}/facts") as answer:  # noqa: S310 - on loopback
            facts = msgspec.json.decode(answer.read(), type=Facts)
        yield base_url, facts
        server.stdin.close()


ROOT = Path(__file__).parents[1]


def compare(case: Case) -> list[dict[str, Any]]:
    """Return one row per poll and contestant, with the costs of every round."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    with (
        start_server(case.threads, case.sessions) as (base_url, facts),
        tempfile.TemporaryDirectory() as directory,
    ):
        for number in range(case.rounds):
            for poll, name in order_runs(case, number):
                place = Path(directory) / f"{number}" / f"{list(CONTESTANTS).index(name)}"
                cost, times, fault = run(name, place, base_url, facts, POLLS[poll])
                print(f"{case.threads} {poll}: {name} {cost.wall_s:.1f} s {fault}", file=sys.stderr)  # noqa: T201
                row = rows.setdefault((poll, name), start_row(case, poll, name))
                measured = cost._asdict() | msgspec.structs.asdict(times)
                for key in COSTS:
                    row[key].append(round(measured[key], 3))
                row["fault"] = row["fault"] or fault
    return list(rows.values())


def order_runs(case: Case, number: int) -> Iterator[tuple[str, str]]:
    """Yield (poll, contestant) of a round; another contestant begins in each."""
    for poll in POLLS:
        names = [*case.keepers, *(case.once if poll == "first" else ())]
        begin = number % max(1, len(names))
        for name in [*names[begin:], *names[:begin]]:
            yield poll, name


def start_row(case: Case, poll: str, name: str) -> dict[str, Any]:
    """Return a row without costs."""
    return {
        "threads": case.threads,
        "sessions": case.sessions,
        "poll": poll,
        "contestant": name,
        "fault": "",
    } | {key: [] for key in COSTS}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with medians, and with their ratios to the product's in the same poll."""
    rows = [row | {f"median_{key}": median(row[key]) for key in COSTS} for row in rows]
    key = ("threads", "sessions", "poll")
    ours = {tuple(row[k] for k in key): row for row in rows if row["contestant"] == PRODUCT}
    for row in rows:
        product = ours.get(tuple(row[k] for k in key))
        row["ratio_wall"] = product and round(row["median_wall_s"] / product["median_wall_s"], 2)
        row["ratio_cpu"] = product and round(row["median_cpu_s"] / product["median_cpu_s"], 2)
    return rows


def main(arguments: list[str]) -> None:
    """Compare in every case; print the table, and put it into docs/performance.json."""
    is_large, is_small = "--large" in arguments, "--small" in arguments
    cases = SMALL_CASES if is_small else LARGE_CASES if is_large else CASES
    rows = summarise([row for case in cases for row in compare(case)])
    print_rows(rows, COLUMNS)
    if not is_small:
        save("comparison_large" if is_large else "comparison", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
