"""What a command costs: seconds of wall clock and of CPU, and the memory of its largest process.

    python -S measure.py COMMAND …

prints that of the command and its children as one line of JSON. `measure` starts it so: Linux
counts for a new process what its parent held when it started it, and this one holds next to
nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOG = "output.log"


class Cost(NamedTuple):
    """Of one process and its children; `peak_mb` of the largest of them."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    exit_code: int


def measure(
    command: Sequence[str], directory: Path, environ: Mapping[str, str], timeout_s: float = 1800
) -> Cost:
    """Return what the command costs; what it prints goes to LOG in the directory it runs in."""
    result = subprocess.run(  # noqa: S603 - commands of the benchmark
        [sys.executable, "-S", __file__, *command],
        cwd=directory,
        env=dict(environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=timeout_s,
    )
    return Cost(*json.loads(result.stdout))


def main(command: list[str]) -> None:
    """Run the command and print what it cost."""
    with open(LOG, "ab") as log:  # noqa: PTH123 - pathlib would be loaded for this alone
        started = time.perf_counter()
        process = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), number) for number in (1, 2)],
        )
        _, status, usage = os.wait4(process, 0)
        wall_s = time.perf_counter() - started
    cpu_s, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(json.dumps([wall_s, cpu_s, peak_mb, os.waitstatus_to_exitcode(status)]))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
