"""What `run` and `status` print: summaries for people, one JSON document for machines."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.cli.printing import echo, is_log, make_console, print_text, stamp
from pipelines.extract.resting import count_reasons
from pipelines.reporting.clocks import warn_of_skews
from pipelines.reporting.plans import describe_resting, sum_up_plan
from pipelines.reporting.wording import Duration, count, describe_wait
from pipelines.warehouse.ledger import ENDED_WELL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from rich.console import Console

    from pipelines.cli.exit_status import ExitStatus
    from pipelines.reporting.health import Health
    from pipelines.reporting.loads import Result

SHOWN_SESSIONS = 20
SHOWN_ERRORS = 10
SHOWN_DRIFT = 5
SUMMARY_COLUMNS = {
    "outcome": "outcome",
    "pages": "pages",
    "threads_listed": "threads",
    "threads_new": "new",
    "threads_changed": "changed",
    "threads_missing": "missing",
}


def print_summary(result: Result, *, verbose: bool = False) -> None:
    """Print what a run has brought: tables for people, one line with its time for a log."""
    plan = sum_up_plan(result.choices)
    lines = [
        sum_up(result),
        *([plan] if plan else []),
        *describe_drift(result.drift),
        *result.warnings,
    ]
    if not verbose and (is_log(sys.stdout) or not make_console().is_terminal):
        for line in lines:
            echo(stamp(line))
        return
    console = make_console()
    print_sessions(console, result.ledger)
    for line in lines:
        print_text(console, line)


def print_sessions(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of the ledger as a table: what failed, then the largest sessions."""
    from pipelines.cli.tables import print_records  # noqa: PLC0415 - logs need none

    failing = [row for row in rows if row["outcome"] not in ENDED_WELL]
    fine = [row for row in rows if row["outcome"] in ENDED_WELL]
    shown = failing[:SHOWN_SESSIONS] + fine[:SHOWN_SESSIONS]
    sources = name_sources([row["source"] for row in rows])
    records = [
        sources[row["source"]]
        | {"session": row["label"] or row["session_id"]}
        | {title: row[column] for column, title in SUMMARY_COLUMNS.items()}
        for row in shown
    ]
    print_records(console, records)
    for kind, those in {"failing": failing, "complete": fine}.items():
        if len(those) > SHOWN_SESSIONS:
            console.print(f"and {count(len(those) - SHOWN_SESSIONS, f'more {kind} session')}")


def name_sources(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return source -> its cell of a record, which there is only if there are several."""
    return {name: {"source": name} if len(set(names)) > 1 else {} for name in names}


def sum_up(result: Result) -> str:
    """Return a run's totals in one line."""
    rows = result.ledger
    complete = sum(row["outcome"] in ENDED_WELL for row in rows)
    threads, requests, retries, waited_s = (
        sum(row[column] for row in rows)
        for column in ("threads_listed", "requests", "retries", "wait_seconds")
    )
    return (
        f"{complete} of {count(len(rows), 'session')} complete, {count(threads, 'thread')},"
        f" {count(requests, 'request')}, {count(retries, 'retry', 'retries')}"
        f"{describe_wait('sessions waited', waited_s)}, {result.seconds:.1f} s."
        f" Data: {result.data}"
    )


def describe_drift(drift: Sequence[str]) -> list[str]:
    """Return the first of what was never seen before in one line; none if there is nothing."""
    if not drift:
        return []
    more = f" and {len(drift) - SHOWN_DRIFT} more" if len(drift) > SHOWN_DRIFT else ""
    return [f"New in the data, see schema_drift: {', '.join(drift[:SHOWN_DRIFT])}{more}"]


def print_health(lines: Sequence[Health], now: datetime) -> None:
    """Print a line per session and their number; on a terminal the errors are below, being long."""
    from pipelines.cli.tables import print_records  # noqa: PLC0415 - as above

    console = make_console()
    sources = name_sources([line.source for line in lines])
    has_labels = any(line.label for line in lines)
    print_records(
        console,
        [
            sources[line.source]
            | {
                "session": line.name,
                "state": line.state,
                "last complete": describe_age(line.last_complete_poll, now),
                "threads": line.threads,
                "open": line.open_threads,
            }
            | ({"id": line.session_id if line.label else ""} if has_labels else {})
            | ({} if console.is_terminal else {"last error": line.last_error})
            for line in lines
        ],
    )
    if not lines:
        return
    states = Counter(line.state for line in lines)
    found = ", ".join(f"{number} {state}" for state, number in states.most_common())
    print_text(console, f"{count(len(lines), 'session')}: {found}")
    for text in describe_resting(lines, now):
        print_text(console, text)
    for text in warn_of_skews({line.source: line.clock_skew_seconds for line in lines}):
        print_text(console, text)
    if console.is_terminal:
        print_errors(console, lines)


def print_errors(console: Console, lines: Sequence[Health]) -> None:
    """Print the last error of the first sessions that have one."""
    failing = [line for line in lines if line.last_error]
    for line in failing[:SHOWN_ERRORS]:
        console.print()
        print_text(console, f"{line.name}: {line.last_error}")
    if len(failing) > SHOWN_ERRORS:
        console.print(f"\nand {count(len(failing) - SHOWN_ERRORS, 'more error')}")


def describe_age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago it was, by a clock that may be wrong."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    return f"{Duration(seconds)} ago" if seconds >= 0 else f"in {Duration(-seconds)}"


def print_run_json(result: Result, ending: ExitStatus) -> None:
    """Print what a run has brought as one JSON document."""
    named = ("run_id", "drift", "warnings", "findings", "data")
    print_json(
        msgspec.structs.asdict(ending)
        | {name: getattr(result, name) for name in named}
        | {"plan": count_reasons(result.choices)}
        | {"sessions": result.ledger}
    )


def print_health_json(lines: Sequence[Health], now: datetime, ending: ExitStatus) -> None:
    """Print the state of each session as one JSON document."""
    print_json(msgspec.structs.asdict(ending) | {"as_of": now, "sessions": lines})


def print_json(document: object) -> None:
    """Print a document on one line, in ASCII: exact, and nothing that a terminal obeys."""
    encoded = msgspec.to_builtins(document, enc_hook=str)
    json.dump(encoded, sys.stdout)
    sys.stdout.write("\n")


def print_heading(text: str) -> None:
    """Print a line that begins a part of the output."""
    echo("")
    print_text(make_console(), text, style="bold")
