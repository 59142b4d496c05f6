"""What `run` and `status` print: progress, summaries for people, one JSON document for machines."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.text import Text

from pipelines import clock
from pipelines.cli.tables import make_console, make_table
from pipelines.records import Poll, Progress
from pipelines.reporting.clocks import warn_of_skews
from pipelines.reporting.wording import Duration, count, to_printable
from pipelines.warehouse.ledger import ENDED_WELL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pipelines.cli.exit_status import ExitStatus
    from pipelines.reporting.health import Health
    from pipelines.steps import Result

SHOWN_SESSIONS = 20
SHOWN_DRIFT = 5
# With fewer columns a session's name does not fit beside all counts.
NARROW = 72
SHOWN_NARROW = 3
SUMMARY_COLUMNS = {
    "outcome": "outcome",
    "pages": "pages",
    "threads_listed": "threads",
    "threads_new": "new",
    "threads_changed": "changed",
    "threads_missing": "missing",
}


class _Lines(Progress):
    """Plain lines with their time, for a log: one as a session fails, or as each one ends."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def end(self, poll: Poll) -> None:
        if self._verbose or poll.outcome != "complete":
            click.echo(f"{stamp()} {describe_poll(poll)}", err=True)


class _Bar(Progress):
    """A progress bar and its counts, for a terminal; the first failing sessions leave a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("sessions"),
            TimeElapsedColumn(),
            expand=True,
        )
        self._bar.add_task("starting", start=False, total=None)
        (self._task,) = self._bar.tasks
        self._failures = 0
        self._pages = 0
        self._threads = 0
        self._waited_s = 0.0

    def begin(self, sessions: int) -> None:
        self._bar.start_task(self._task.id)
        self._bar.update(self._task.id, description="polling", total=sessions)

    def page(self, threads: int) -> None:
        self._pages += 1
        self._threads += threads

    def wait(self, seconds: float) -> None:
        self._waited_s += seconds

    def end(self, poll: Poll) -> None:
        if poll.outcome != "complete":
            self._failures += 1
            if self._failures <= SHOWN_SESSIONS:
                self._console.print(Text(describe_poll(poll)))
        self._bar.advance(self._task.id)
        if self._task.finished:
            self._bar.update(self._task.id, description="loading")

    def __rich__(self) -> Group:
        """Return the two lines as they are now."""
        rate = self._threads / max(self._task.finished_time or self._task.elapsed or 0, 1)
        counts = f"{count(self._pages, 'page')}, {count(self._threads, 'thread')}"
        wait = describe_wait("sessions waited", self._waited_s)
        return Group(self._bar, Text(f"{counts}, {rate:.0f} threads/s{wait}"))


def describe_poll(poll: Poll) -> str:
    """Return how a session's poll has ended, in one line."""
    counts = f"{count(poll.threads_listed, 'thread')} on {count(poll.pages, 'page')}"
    reason = f": {poll.error_message}" if poll.error_message else ""
    wait = describe_wait("waited", poll.wait_seconds)
    return to_printable(f"{poll.session_id}: {poll.outcome}, {counts}{wait}{reason}")


def describe_wait(what: str, seconds: float) -> str:
    """Return what waited how long, of several sessions added up; nothing of less than a second."""
    return f", {what} {seconds:.0f} s" if seconds >= 1 else ""


@contextmanager
def watch_poll(*, verbose: bool = False) -> Iterator[Progress]:
    """Show how a poll goes on, on standard error: a bar on a terminal, else lines for a log."""
    console = Console(stderr=True, highlight=False)
    if not console.is_interactive:
        yield _Lines(verbose=verbose)
        return
    bar = _Bar(console)
    with Live(bar, console=console, transient=True):
        yield bar


def stamp() -> str:
    """Return the time as a line of a log begins with it."""
    return f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"


def print_summary(result: Result, *, verbose: bool = False) -> None:
    """Print what a run has brought: tables for people, one line with its time for a log."""
    console = make_console()
    lines = [sum_up(result), *describe_drift(result.drift), *result.warnings]
    if console.is_terminal or verbose:
        print_sessions(console, result.ledger)
        for line in lines:
            console.print(Text(line))
    else:
        for line in lines:
            click.echo(f"{stamp()} {line}")


def print_sessions(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of the ledger as a table: what failed, then the largest sessions."""
    failing = [row for row in rows if row["outcome"] not in ENDED_WELL]
    fine = [row for row in rows if row["outcome"] in ENDED_WELL]
    columns = list(SUMMARY_COLUMNS.items())[: None if console.width >= NARROW else SHOWN_NARROW]
    cells = [
        {"session": row["label"] or row["session_id"]}
        | {title: row[column] for column, title in columns}
        for row in failing[:SHOWN_SESSIONS] + fine[:SHOWN_SESSIONS]
    ]
    console.print(make_table(cells))
    for kind, those in {"failing": failing, "complete": fine}.items():
        if len(those) > SHOWN_SESSIONS:
            console.print(f"and {count(len(those) - SHOWN_SESSIONS, f'more {kind} session')}")


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
    what = to_printable(", ".join(drift[:SHOWN_DRIFT]))
    return [f"New in the data, see schema_drift: {what}{more}"]


def print_health(lines: Sequence[Health], now: datetime) -> None:
    """Print a line per session; on a terminal the errors are below, because they are long."""
    console = make_console()
    records = [
        {
            "session": line.name,
            "state": line.state,
            "last complete": describe_age(line.last_complete_poll, now),
            "threads": line.threads,
            "open": line.open_threads,
        }
        for line in lines
    ]
    if not console.is_terminal:
        errors = [{"last error": line.last_error} for line in lines]
        records = [record | error for record, error in zip(records, errors, strict=True)]
    console.print(make_table(records))
    for line in lines if console.is_terminal else ():
        if line.last_error:
            console.print(Text(f"\n{to_printable(line.name)}: {to_printable(line.last_error)}"))
    for text in warn_of_skews({line.source: line.clock_skew_seconds for line in lines}):
        console.print(Text(text))


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
    make_console().print(f"\n[bold]{escape(text)}[/bold]")
