"""How much things may cost: the one place that says it.

LIMITS are counts, the same on every machine; `make check` holds them (benchmarks/guard.py). Lower
one when the code needs less; raise one only with the reason in the commit. GOALS are times, which
`make bench` measures and no test holds: machines differ.
"""

from __future__ import annotations

# Of a poll of 1,000 threads in 4 sessions, and of the command's help.
LIMITS = {
    "requests beyond the pages, first poll": 0,
    "requests beyond the pages, unchanged poll": 0,
    "SQL statements, first poll": 605,
    "SQL statements, unchanged poll": 415,
    "connections to DuckDB, unchanged poll": 6,
    "rows written beside the ledger, unchanged poll": 0,
    "files landed, unchanged poll": 1,
    "modules imported by --help": 75,
    "heavy packages imported by --help": 0,
    "heavy packages imported by a poll": 0,
    "heavy packages imported by sql": 0,
}

# Arguments of session-threads -> seconds it may take, on 100,000 threads.
GOALS = {
    ("--help",): 0.3,
    ("show",): 1.0,
    ("show", "status_distribution"): 1.0,
    ("show", "thread_durations", "--limit", "20"): 1.0,
    ("show", "attention", "--format", "json"): 1.0,
    ("sql", "SELECT status, count(*) FROM threads GROUP BY status"): 1.0,
}
