"""A query's rows, in the format and at the place that was asked for."""

from __future__ import annotations

import io
import re
import shutil
import signal
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import duckdb
import msgspec

from pipelines.cli.tables import make_console, print_records, read_duration
from pipelines.errors import QueryError
from pipelines.reporting.wording import to_printable
from pipelines.warehouse.sql import quote, quote_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pipelines.warehouse.analyses import Analysis
    from pipelines.warehouse.base import Warehouse

COPY_OPTIONS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY",
    "parquet": "FORMAT parquet",
}
SHOWN_ROWS = 200
# Types whose values a server could write; a number that begins with a minus is one.
TEXT_TYPES = ("VARCHAR", "JSON", "ENUM", "BLOB", "UNION", "VARIANT")
# What a spreadsheet takes for a formula begins so, also in full width. A quote before it makes it
# text; text that begins with quotes and then so gets one more, so that taking one away is exact.
QUOTED = r"'\1"
FORMULA = "^('*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"


class Target(msgspec.Struct, frozen=True):
    """How and where rows are written: by default a table, or what the name of `out` ends in.

    Without `out` they go to standard output. `raw` leaves text as it is, even if a spreadsheet
    or a terminal would obey it.
    """

    form: str | None = None
    out: Path | None = None
    raw: bool = False

    def places(self, spool: IO[bytes]) -> list[str]:
        """Return what DuckDB may write: the file and what it writes before, or else the spool."""
        if self.out is None:
            return [f"/dev/fd/{spool.fileno()}"]
        return [str(self.out), str(self.out.with_name(f"tmp_{self.out.name}"))]

    def choose_form(self) -> str:
        """Return the format: table, csv, json or parquet. Raises QueryError if it cannot be."""
        suffix = self.out.suffix.removeprefix(".") if self.out else ""
        form = self.form or (suffix if suffix in COPY_OPTIONS else "table")
        if self.raw and form == "table":
            raise QueryError("--raw needs --format csv or json: a table is for people")
        if form == "parquet" and self.is_terminal:
            raise QueryError("parquet is not for a terminal: name a file with --out")
        return form

    @property
    def is_terminal(self) -> bool:
        """Whether a terminal shows what is written."""
        return self.out is None and sys.stdout.isatty()


def write_analysis(
    warehouse: Warehouse,
    analysis: Analysis,
    target: Target,
    where: str | None = None,
    limit: int | None = None,
) -> None:
    """Write an analysis' published rows, as write_query does."""
    table = f"analytics.{analysis.name}"
    query = f"SELECT * FROM {table}"  # noqa: S608 - one of ours
    query += f" WHERE (\n{where}\n)" if where else ""
    query += f"\nLIMIT {limit}" if limit is not None else ""
    with read_published(warehouse, target) as (connection, spool):
        try:
            connection.execute(f"DESCRIBE {table}")
        except duckdb.CatalogException:
            hint = "`session-threads run` builds it, or says why it cannot"
            raise QueryError(f"{table}: not in the published copy yet. {hint}") from None
        write_rows(connection, query, target, spool, analysis.durations)


def write_catalogue(answers: Mapping[str, str], target: Target) -> None:
    """Write the names of the analyses and what each answers, as write_query does."""
    rows = ", ".join(f"({quote(name)}, {quote(answers[name])})" for name in sorted(answers))
    with TemporaryFile() as spool, duckdb.connect() as connection:
        write_rows(connection, f"FROM (VALUES {rows}) AS _(name, answers)", target, spool)


def write_query(warehouse: Warehouse, query: str, target: Target) -> None:
    """Write the rows of a query of the published copy to the target. Raises QueryError."""
    with read_published(warehouse, target) as (connection, spool):
        write_rows(connection, query, target, spool)


@contextmanager
def read_published(
    warehouse: Warehouse, target: Target
) -> Iterator[tuple[duckdb.DuckDBPyConnection, IO[bytes]]]:
    """Open the published copy, of which no query can reach a file but the target.

    What goes to standard output passes through the spool, a file without a name: DuckDB itself
    would write over a file that is appended to. Nothing of it is left however the process ends.
    """
    with TemporaryFile() as spool, warehouse.read(target.places(spool)) as connection:
        yield connection, spool


def write_rows(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    target: Target,
    spool: IO[bytes],
    durations: Collection[str] = (),
) -> None:
    """Write a query's rows to the target.

    In a table the columns `durations`, which are in seconds, read as 2h 05m.
    """
    form = target.choose_form()
    query = query.strip().removesuffix(";")
    with explain_failures():
        reject_all_but_select(connection, query)
        subquery = f"FROM (\n{query}\n)"
        if form == "table":
            rows = execute(connection, subquery)
            names = [column[0] for column in connection.description]
            print_rows(names, rows, target.out, durations)
            return
        if form == "csv" and not target.raw:
            subquery = quote_formulas(connection, subquery)
        options = COPY_OPTIONS[form] + ("" if target.out else ", USE_TMP_FILE false")
        place = quote(target.places(spool)[0])
        execute(connection, f"COPY ({subquery}) TO {place} ({options})")
        if target.out is None:
            send_on(spool, printable=target.is_terminal and not target.raw)


def reject_all_but_select(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise QueryError for anything else than one query."""
    statements = connection.extract_statements(query)
    # A PIVOT is several statements, all without a text, or (from DuckDB 2 on) a MULTI.
    types = [statement.type.name for statement in statements if statement.query]
    if not statements or types not in ([], ["SELECT"], ["MULTI"]):
        raise QueryError("the query is rejected: it must be one SELECT")


def quote_formulas(connection: duckdb.DuckDBPyConnection, subquery: str) -> str:
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


def send_on(rows: IO[bytes], *, printable: bool) -> None:
    """Write a file to standard output, line by line if a terminal shows it."""
    with open(sys.stdout.fileno(), "wb", closefd=False) as stdout:
        rows.seek(0)
        if printable:
            stdout.writelines(print_lines(rows))
        else:
            shutil.copyfileobj(rows, stdout)


def print_lines(rows: IO[bytes]) -> Iterator[bytes]:
    """Yield lines of text that are safe for a terminal: it obeys their ends and tabs alone."""
    for line in io.TextIOWrapper(rows, encoding="utf-8", errors="replace", newline="\n"):
        cells = line.removesuffix("\n").split("\t")
        yield ("\t".join(map(to_printable, cells)) + "\n").encode()


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
        print_records(console, records)
        if len(rows) > len(records):
            console.print(f"and {len(rows) - len(records)} more rows: --format csv shows them all")
