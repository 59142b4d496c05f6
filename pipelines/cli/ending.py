"""How a process ends when all is done: at once."""

from __future__ import annotations

import gc
import sys


def end_at_once() -> None:
    """Spare the interpreter its last garbage collection, unless DuckDB 2 would report leaks.

    Measured over 100,000 threads: `sql` takes 0.39 s of CPU instead of 0.51, `status` 0.60 instead
    of 0.77, a poll of 10,000 threads 2.4 instead of 2.6, and 4.4 instead of 5.0 by Dagster's job.
    """
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or duckdb.__version__.startswith("1."):
        gc.freeze()
