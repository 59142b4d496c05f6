"""What a person sees in a terminal: progress, summaries and tables."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any

import duckdb
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.api.poll import Observer, Poll
from pipelines.errors import QueryError
from pipelines.settings import data_home
from pipelines.warehouse.database import open_published, quote
from pipelines.warehouse.load import ENDED_WELL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipelines.warehouse.health import Health

    Records = Sequence[Mapping[str, Any]]

COPY_OPTIONS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY",
    "parquet": "FORMAT parquet",
}
SHOWN_SESSIONS = 20
SHOWN_DRIFT = 5
SHOWN_ROWS = 200
WIDE = 10_000
MINUTE_S = 60
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
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


def print_summary(ledger: Records, drift: Sequence[str], seconds: float, home: Path) -> None:
    """Print a run's ledger: what failed first, then the largest sessions, totals, and drift."""
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
    if drift:
        more = f" and {len(drift) - SHOWN_DRIFT} more" if len(drift) > SHOWN_DRIFT else ""
        what = format_value(", ".join(drift[:SHOWN_DRIFT]))
        console.print(Text(f"New in the data, see schema_drift: {what}{more}"), soft_wrap=True)


def print_health(lines: Sequence[Health]) -> None:
    """Print a line per session."""
    titles = {"last_complete_poll": "last complete poll", "open_threads": "open"}
    titles |= {"last_error": "last error"}
    records = [
        {titles.get(name, name): value for name, value in msgspec.structs.asdict(line).items()}
        for line in lines
    ]
    make_console().print(make_table(records))


def write_query(
    query: str, form: str | None, out: Path | None, durations: Collection[str] = ()
) -> None:
    """Write a query's rows in a format, to standard output or a file.

    In a table the columns `durations`, which are in seconds, read as 2h 05m.
    """
    suffix = out.suffix.removeprefix(".") if out else ""
    form = form or (suffix if suffix in COPY_OPTIONS else "table")
    subquery = f"FROM (\n{query.strip().removesuffix(';')}\n)"
    target = quote(str(out) if out else "/dev/stdout")
    with open_published(data_home()) as connection:
        try:
            if form == "table":
                relation = connection.sql(subquery)
                print_rows(relation.columns, relation.fetchall(), out, durations)
            else:
                connection.execute(f"COPY ({subquery}) TO {target} ({COPY_OPTIONS[form]})")
        except (duckdb.Error, OSError) as error:
            if "Broken pipe" in str(error):  # whoever reads has read enough
                return
            raise QueryError(f"the query failed: {error}") from None


def print_rows(
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    out: Path | None,
    durations: Collection[str] = (),
) -> None:
    """Print rows as a table, to standard output or a file; of very many the first alone."""
    records = [
        {
            name: Duration(value) if name in durations and value is not None else value
            for name, value in zip(names, row, strict=True)
        }
        for row in rows[:SHOWN_ROWS]
    ]
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


class Duration(float):
    """Seconds, which a person reads in the two largest units: 2h 05m."""

    def __str__(self) -> str:
        """Return the two largest units."""
        sign, rest = "-" if self < 0 else "", abs(self)
        if round(rest, 1) < MINUTE_S:
            return f"{sign}{rest:.1f}s"
        for (size, name), (part, part_name) in pairwise(UNITS):
            if round(rest / part) * part >= size:
                whole, parts = divmod(round(rest / part), round(size / part))
                return f"{sign}{whole}{name} {parts:02d}{part_name}"
        raise AssertionError


def format_value(value: object) -> str:
    """Return a value as a person reads it: control characters shown, seconds of a time cut."""
    if value is None:
        return ""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)
