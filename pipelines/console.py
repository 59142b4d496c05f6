"""What a person sees in a terminal: progress, summaries and tables."""

from __future__ import annotations

import math
import shutil
import signal
import sys
from contextlib import contextmanager, nullcontext
from datetime import datetime, time
from decimal import Decimal
from tempfile import TemporaryFile
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
from pipelines.wording import Duration, to_printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipelines.warehouse.analyses import Analysis
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


def write_analysis(
    analysis: Analysis, form: str | None, out: Path | None, where: str | None, limit: int | None
) -> None:
    """Write an analysis' published rows, as write_query does."""
    table = f"analytics.{analysis.name}"
    query = f"SELECT * FROM {table}"  # noqa: S608 - one of ours
    query += f" WHERE (\n{where}\n)" if where else ""
    query += f"\nLIMIT {limit}" if limit is not None else ""
    with open_published(data_home()) as connection:
        try:
            connection.execute(f"DESCRIBE {table}")
        except duckdb.CatalogException:
            hint = "The next `session-threads run` builds it"
            raise QueryError(f"{table}: not in the published copy yet. {hint}") from None
        write_rows(connection, query, form, out, analysis.durations)


def write_catalogue(answers: Mapping[str, str], form: str | None, out: Path | None) -> None:
    """Write the names of the analyses and what each answers, as write_query does."""
    rows = ", ".join(f"({quote(name)}, {quote(answers[name])})" for name in sorted(answers))
    with duckdb.connect() as connection:
        write_rows(connection, f"FROM (VALUES {rows}) AS _(name, answers)", form, out)


def write_query(query: str, form: str | None, out: Path | None) -> None:
    """Write the rows of a query of the published copy in a format, to standard output or a file."""
    with open_published(data_home()) as connection:
        write_rows(connection, query, form, out)


def write_rows(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    form: str | None,
    out: Path | None,
    durations: Collection[str] = (),
) -> None:
    """Write a query's rows in a format, to standard output or a file.

    In a table the columns `durations`, which are in seconds, read as 2h 05m.
    """
    suffix = out.suffix.removeprefix(".") if out else ""
    form = form or (suffix if suffix in COPY_OPTIONS else "table")
    query = query.strip().removesuffix(";")
    with explain_failures():
        refuse_all_but_select(connection, query)
        subquery = f"FROM (\n{query}\n)"
        if form == "table":
            rows = execute(connection, subquery)
            names = [column[0] for column in connection.description]
            print_rows(names, rows, out, durations)
        elif out:
            execute(connection, f"COPY ({subquery}) TO {quote(str(out))} ({COPY_OPTIONS[form]})")
        else:
            copy_to_stdout(connection, subquery, form)


def refuse_all_but_select(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise QueryError for anything else than one query."""
    statements = connection.extract_statements(query)
    # A PIVOT is several statements, all without a text, or (from DuckDB 2 on) a MULTI.
    types = [statement.type.name for statement in statements if statement.query]
    if not statements or types not in ([], ["SELECT"], ["MULTI"]):
        raise QueryError("the query is refused: it must be one SELECT")


def copy_to_stdout(connection: duckdb.DuckDBPyConnection, subquery: str, form: str) -> None:
    """Send a query's rows on; DuckDB itself would write over a file that is appended to.

    They pass through a file without a name, of which nothing is left however the process ends.
    """
    with TemporaryFile() as rows, open(sys.stdout.fileno(), "wb", closefd=False) as stdout:
        options = f"{COPY_OPTIONS[form]}, USE_TMP_FILE false"
        execute(connection, f"COPY ({subquery}) TO '/dev/fd/{rows.fileno()}' ({options})")
        rows.seek(0)
        shutil.copyfileobj(rows, stdout)


def execute(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """Return a query's rows. Ctrl-C ends the process at once, which a shell calls status 130.

    DuckDB looks for signals too seldom, and holds Python up meanwhile. It only reads: nothing is
    lost.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return connection.execute(query).fetchall()
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn what ends a query into QueryError; a reader that has read enough ends it well."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if "Broken pipe" not in str(error):
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
            name: read_duration(value) if name in durations else value
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


def read_duration(value: object) -> object:
    """Return a number of seconds as a Duration, and whatever else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    return Duration(value) if math.isfinite(value) else value


def format_value(value: object) -> str:
    """Return a value as a person reads it: control characters shown, seconds of a time cut."""
    if value is None:
        return ""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return to_printable(str(value))
