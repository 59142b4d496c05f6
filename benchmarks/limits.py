"""How much things may cost: the one place that says it.

MEASURED are counts, the same on every machine. LIMITS are those and ten per cent: `make check`
prints what is counted now, and fails above them (benchmarks/guard.py). Put the new counts in place
of the old ones when the code needs less, or in a commit that says why it needs more. GOALS are
times, which `make bench` measures and no test holds: machines differ.
"""

from __future__ import annotations

# Of a poll of 1,000 threads in 4 sessions, and of the command's help.
MEASURED = {
    "requests beyond the pages, first poll": 0,
    "requests beyond the pages, unchanged poll": 0,
    "SQL statements, first poll": 1002,
    "SQL statements, unchanged poll": 457,
    "connections to DuckDB, unchanged poll": 3,
    "rows written beside the ledger, unchanged poll": 0,
    "files landed, unchanged poll": 1,
    "modules imported by --help": 74,
    "heavy packages imported by --help": 0,
    "heavy packages imported by a poll": 0,
    "heavy packages imported by sql": 0,
    # A run imports polars while its pages come.
    "heavy packages imported by plan": 0,
}
# Ten per cent of room: one statement more needs no reason, a tenth more does. None stays none.
LIMITS = {name: count * 11 // 10 for name, count in MEASURED.items()}

# Arguments of session-threads -> seconds it may take, on 100,000 threads.
GOALS = {
    ("--help",): 0.3,
    ("show",): 1.0,
    ("show", "status_distribution"): 1.0,
    ("show", "thread_durations", "--limit", "20"): 1.0,
    ("show", "attention", "--format", "json"): 1.0,
    ("sql", "SELECT status, count(*) FROM threads GROUP BY status"): 1.0,
}
