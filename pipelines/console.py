"""What a person sees in a terminal: progress, summaries and tables."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.api.poll import Observer, Poll
from pipelines.warehouse.load import ENDED_WELL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Records = Sequence[Mapping[str, Any]]

SHOWN_SESSIONS = 20
SHOWN_ROWS = 200
WIDE = 10_000
SUMMARY_COLUMNS = {
    "outcome": "outcome",
    "pages": "pages",
    "threads_listed": "threads",
    "threads_new": "new",
    "threads_changed": "changed",
    "threads_missing": "missing",
}


class _Lines(Observer):
    """Plain lines, for a log: one as each session ends."""

    def end(self, poll: Poll) -> None:
        counts = f"{poll.threads_listed} threads on {poll.pages} pages"
        reason = f": {poll.error_message}" if poll.error_message else ""
        line = f"{poll.session_id}: {poll.outcome}, {counts}{reason}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - a command's output


class _Bar(Observer):
    """A progress bar, for a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("polling", total=None, threads=0)
        self._threads = 0

    def begin(self, sessions: int) -> None:
        self._progress.update(self._task, total=sessions)

    def page(self, threads: int) -> None:
        self._threads += threads
        self._progress.update(self._task, threads=self._threads)

    def end(self, poll: Poll) -> None:
        del poll
        self._progress.advance(self._task)


@contextmanager
def watch_poll() -> Iterator[Observer]:
    """Show how a poll goes on, on standard error: a bar on a terminal, plain lines otherwise."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sessions, {task.fields[threads]} threads"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


def make_console(file: IO[str] | None = None) -> Console:
    """Return the console of a file or standard output; as wide as it takes where no terminal."""
    console = Console(highlight=False, file=file)
    return console if console.is_terminal else Console(highlight=False, file=file, width=WIDE)


def print_summary(ledger: Records, seconds: float, home: Path) -> None:
    """Print a run's ledger: what failed first, then the largest sessions, and the totals."""
    rows = sorted(ledger, key=lambda row: row["outcome"] in ENDED_WELL)
    failing = sum(row["outcome"] not in ENDED_WELL for row in rows)
    shown = rows[: failing + SHOWN_SESSIONS]
    names = [row["label"] or row["session_id"] for row in shown]
    cells = [
        {"session": name} | {title: row[column] for column, title in SUMMARY_COLUMNS.items()}
        for name, row in zip(names, shown, strict=True)
    ]
    console = make_console()
    console.print(make_table(cells))
    if len(rows) > len(shown):
        console.print(f"and {len(rows) - len(shown)} more complete sessions")
    threads, requests, retries = (
        sum(row[column] for row in ledger) for column in ("threads_listed", "requests", "retries")
    )
    console.print(
        f"{len(ledger) - failing} of {len(ledger)} sessions complete, {threads} threads,"
        f" {requests} requests, {retries} retries, {seconds:.1f} s. Data: {home}",
        soft_wrap=True,
    )


def print_rows(names: Sequence[str], rows: Sequence[tuple[Any, ...]], out: Path | None) -> None:
    """Print rows as a table, to standard output or a file; of very many the first alone."""
    records = [dict(zip(names, row, strict=True)) for row in rows[:SHOWN_ROWS]]
    with out.open("w", encoding="utf-8") if out else nullcontext() as file:
        console = make_console(file)
        table = make_table(records)
        if not records:
            console.print("no rows")
        elif measure_words(console, table) <= console.width:
            console.print(table)
        else:
            print_upright(console, records)
        if len(rows) > len(records):
            console.print(f"and {len(rows) - len(records)} more rows: --format csv shows them all")


def measure_words(console: Console, table: Table) -> int:
    """Return the width that a table needs so that no word of it is broken."""
    unbounded = console.options.update(width=WIDE)
    return Measurement.get(console, unbounded, table).minimum


def print_upright(console: Console, records: Records) -> None:
    """Print records that are too wide for the terminal one below the other, a line a column."""
    for number, record in enumerate(records, 1):
        console.print(Text(f"row {number}", style="bold"))
        grid = Table.grid(padding=(0, 2))
        for name, value in record.items():
            grid.add_row(f"  {name}", Text(format_value(value), overflow="fold"))
        console.print(grid)


def print_heading(text: str) -> None:
    """Print a line that begins a part of the output."""
    make_console().print(f"\n[bold]{escape(text)}[/bold]")


def make_table(records: Records) -> Table:
    """Return records as a table whose numbers align at the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in records[0] if records else ():
        is_number = all(isinstance(row[name], int | float | None) for row in records)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in records:
        table.add_row(*(Text(format_value(value)) for value in row.values()))
    return table


def format_value(value: object) -> str:
    """Return a value as a person reads it: control characters shown, seconds of a time cut."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)
