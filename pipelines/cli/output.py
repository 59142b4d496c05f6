"""A query's rows, in the format and at the place that was asked for."""

from __future__ import annotations

import io
import re
import signal
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import duckdb

from pipelines.cli.printing import make_console
from pipelines.cli.tables import Column, make_columns, print_important, print_whole
from pipelines.errors import QueryError
from pipelines.warehouse.sql import quote, quote_name, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from rich.console import Console

    from pipelines.cli.target import Target
    from pipelines.warehouse.base import Connection, Warehouse

    Printer = Callable[[Console, Mapping[str, Column]], None]

SHOWN_ROWS = 200
# What matters of a session, the most first: what it is called, and what becomes of it.
REGISTRY = (
    ("name", "session_id"),
    *(("state",), ("state_reason",), ("threads",), ("last_complete_poll",), ("origin",)),
    *(("session_id",), ("status",), ("created_at",), ("source",)),
)
# Types whose values a server could write; a number that begins with a minus is one.
TEXT_TYPES = ("VARCHAR", "JSON", "ENUM", "BLOB", "UNION", "VARIANT")
# What a spreadsheet takes for a formula begins so, also in full width. A quote before it makes it
# text; text that begins with quotes and then so gets one more, so that taking one away is exact.
QUOTED = r"'\1"
FORMULA = "^('*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"


def write_catalogue(answers: Mapping[str, str], target: Target) -> None:
    """Write the names of the analyses and what each answers, as write_query does."""
    rows = ", ".join(f"({quote(name)}, {quote(answers[name])})" for name in sorted(answers))
    with explain_failures(target), target.open() as file, duckdb.connect() as connection:
        write_rows(connection, f"FROM (VALUES {rows}) AS _(name, answers)", target, file)


def write_query(warehouse: Warehouse, query: str, target: Target) -> None:
    """Write the rows of a query of the published copy to the target. Raises QueryError."""
    with read_published(warehouse, target) as (connection, file):
        write_rows(connection, query, target, file)


def write_registry(warehouse: Warehouse, target: Target) -> None:
    """Write every session ever configured or found to the target."""
    printer = partial(print_important, entries=REGISTRY, ways="--format csv")
    with read_published(warehouse, target) as (connection, file):
        query = read_query("ledger", "registry")
        write_rows(connection, query, target, file, print_columns=printer)


@contextmanager
def read_published(warehouse: Warehouse, target: Target) -> Iterator[tuple[Connection, IO[bytes]]]:
    """Open the published copy, and the target, the only file that a query can reach."""
    with (
        explain_failures(target),
        target.open() as file,
        warehouse.read([name_descriptor(file)]) as connection,
    ):
        yield connection, file


def write_rows(
    connection: Connection,
    query: str,
    target: Target,
    file: IO[bytes],
    durations: Collection[str] = (),
    print_columns: Printer = lambda console, columns: print_whole(console, [*columns.values()]),
) -> None:
    """Write a query's rows to the target, which is open as `file`. Raises QueryError.

    A table shows the first of very many, by `print_columns`; its columns `durations`, which are in
    seconds, read as 2h 05m.
    """
    query = query.strip().removesuffix(";")
    with explain_failures(target):
        reject_all_but_select(connection, query)
        subquery = f"FROM (\n{query}\n)"
        if target.form != "table":
            copy_rows(connection, subquery, target, file)
            return
        rows, names, total = read_first(connection, subquery)
        columns = make_columns(names, rows, durations)
        with open_console(target, file) as console:
            if rows:
                print_columns(console, dict(zip(names, columns, strict=True)))
            print_rest(console, total)


def read_first(
    connection: Connection, subquery: str
) -> tuple[list[tuple[Any, ...]], list[str], int]:
    """Return the rows of a query that are shown, its columns, and how many rows it has in all."""
    rows = execute(connection, f"{subquery} LIMIT {SHOWN_ROWS + 1}")
    names, total = [column[0] for column in connection.description], len(rows)
    if total > SHOWN_ROWS:
        ((total,),) = execute(connection, f"SELECT count(*) {subquery}")
    return rows[:SHOWN_ROWS], names, total


def reject_all_but_select(connection: Connection, query: str) -> None:
    """Raise QueryError for anything else than one query."""
    statements = connection.extract_statements(query)
    # A PIVOT is several statements, all without a text, or (from DuckDB 2 on) a MULTI.
    types = [statement.type.name for statement in statements if statement.query]
    if not statements or types not in ([], ["SELECT"], ["MULTI"]):
        raise QueryError("the query is rejected: it must be one SELECT")


@contextmanager
def open_console(target: Target, file: IO[bytes]) -> Iterator[Console]:
    """Give the console on which a table is printed: standard output's, or a file's."""
    if target.out is None:
        yield make_console()
        return
    text = io.TextIOWrapper(file, encoding="utf-8")
    yield make_console(text)
    text.detach()  # flushed, and still open


def print_rest(console: Console, rows: int) -> None:
    """Say how many rows there are beside those that were shown, or that there are none."""
    if not rows:
        console.print("no rows")
    elif rows > SHOWN_ROWS:
        console.print(f"and {rows - SHOWN_ROWS} more rows: --format csv shows them all")


def copy_rows(connection: Connection, subquery: str, target: Target, file: IO[bytes]) -> None:
    """Let DuckDB write a query's rows to the target, as data."""
    if target.form == "csv" and not target.raw:
        subquery = quote_formulas(connection, subquery)
    # It writes through the descriptor, for it would write over a file that is appended to.
    options = f"{target.copy_options}, USE_TMP_FILE false"
    execute(connection, f"COPY ({subquery}) TO {quote(name_descriptor(file))} ({options})")


def name_descriptor(file: IO[bytes]) -> str:
    """Return the path by which DuckDB can open a file that is open here."""
    return f"/dev/fd/{file.fileno()}"


def quote_formulas(connection: Connection, subquery: str) -> str:
    """Return the query with a quote before text that a spreadsheet would take for a formula."""
    execute(connection, f"{subquery} LIMIT 0")
    # Columns are known by position: PIVOT makes names out of data.
    aliases = [f"c{number}" for number in range(len(connection.description))]
    columns = [
        f"{quote_formula(alias) if str(kind).startswith(TEXT_TYPES) else alias}"
        f" AS {quote_name(re.sub(FORMULA, QUOTED, name))}"
        for alias, (name, kind, *_) in zip(aliases, connection.description, strict=True)
    ]
    return f"SELECT {', '.join(columns)} {subquery} AS _({', '.join(aliases)})"


def quote_formula(column: str) -> str:
    """Return the SQL of a column's text with that quote."""
    return f"regexp_replace({column}::VARCHAR, {quote(FORMULA)}, {quote(QUOTED)})"


def execute(connection: Connection, query: str) -> list[tuple[Any, ...]]:
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
def explain_failures(target: Target) -> Iterator[None]:
    """Turn what ends a query into QueryError; a reader that has read enough ends it well."""
    try:
        yield
    except BrokenPipeError:
        pass
    except duckdb.Error as error:
        raise QueryError(f"the query failed: {error}") from None
    except OSError as error:
        problem = f"{target.out or 'the output'}: cannot be written ({error.strerror or error})"
        raise QueryError(problem) from None
