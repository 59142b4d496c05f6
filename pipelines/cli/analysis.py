"""One analysis: which of its rows and columns are wanted, and its table for people."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import duckdb
import msgspec

from pipelines.cli.output import read_published, write_rows
from pipelines.cli.tables import SECONDS, Column, fit, make_table, print_important, print_whole
from pipelines.config.rejections import suggest_name
from pipelines.errors import QueryError, SettingsError
from pipelines.warehouse.analysis import OR
from pipelines.warehouse.sql import quote_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rich.console import Console

    from pipelines.cli.target import Target
    from pipelines.warehouse.analysis import Analysis
    from pipelines.warehouse.base import Connection, Warehouse


class Choice(msgspec.Struct, frozen=True):
    """Which rows and columns of an analysis, and in which order; a `wide` table has all columns."""

    where: str | None = None
    sort: str | None = None
    desc: bool = False
    columns: tuple[str, ...] = ()
    wide: bool = False
    limit: int | None = None


def write_analysis(
    warehouse: Warehouse, analysis: Analysis, target: Target, choice: Choice | None = None
) -> None:
    """Write the chosen rows of an analysis' published table to the target, as write_rows does.

    Raises SettingsError for a column that it does not have.
    """
    choice = choice or Choice()
    with read_published(warehouse, target) as (connection, file):
        known = list_columns(connection, analysis)
        choice = msgspec.structs.replace(
            choice,
            columns=tuple(find_column(known, "--columns", name) for name in choice.columns),
            sort=choice.sort and find_column(known, "--sort", choice.sort),
        )
        printer = partial(print_analysis, analysis=analysis, choice=choice)
        select = write_select(analysis, choice)
        write_rows(connection, select, target, file, analysis.durations, printer)


def list_columns(connection: Connection, analysis: Analysis) -> list[str]:
    """Return the columns of an analysis' published table. Raises QueryError if there is none."""
    try:
        return [name for name, *_ in connection.execute(f"DESCRIBE {analysis.table}").fetchall()]
    except duckdb.CatalogException:
        hint = "`session-threads run` builds it, or says why it cannot"
        raise QueryError(
            f"analytics.{analysis.name}: not in the published copy yet. {hint}"
        ) from None


def find_column(known: Sequence[str], option: str, name: str) -> str:
    """Return the column that an option names; a duration goes without its unit too."""
    wanted = name.strip().casefold()
    for spelled in (wanted, wanted + SECONDS):
        for column in known:
            if column.casefold() == spelled:
                return column
    fix = suggest_name(name, list(known), "columns")
    raise SettingsError(f"{option} {name}", "there is no such column", fix)


def write_select(analysis: Analysis, choice: Choice) -> str:
    """Return the query of the chosen rows and columns."""
    columns = ", ".join(map(quote_name, choice.columns)) or "*"
    query = f"SELECT {columns} FROM {analysis.table}"  # noqa: S608 - quoted names
    query += f" WHERE (\n{choice.where}\n)" if choice.where else ""
    if choice.sort:
        direction = "DESC" if choice.desc else "ASC"
        query += f"\nORDER BY {quote_name(choice.sort)} {direction} NULLS LAST"
    return query + (f"\nLIMIT {choice.limit}" if choice.limit is not None else "")


def print_analysis(
    console: Console, columns: Mapping[str, Column], analysis: Analysis, choice: Choice
) -> None:
    """Print columns as a table: all of them, those that were chosen, or those that matter most."""
    if choice.wide or choice.columns:
        fitting = [] if choice.wide else fit(list(columns.values()), console.width)
        if len(fitting) == len(columns):
            console.print(make_table(fitting))
        else:
            print_whole(console, list(columns.values()))
        return
    entries = choose_entries(columns, analysis.header.show or columns, choice.sort)
    print_important(console, columns, entries, "--wide, --columns")


def choose_entries(
    known: Collection[str], show: Iterable[str], sort: str | None
) -> list[list[str]]:
    """Return columns in the order of their weight, what is sorted by first; see Header.show.

    What the published table does not have, being older, is left out.
    """
    split = ([name for name in entry.split(OR) if name in known] for entry in show)
    entries = [names for names in split if names]
    first = [names for names in entries if names[0] == sort] or ([[sort]] if sort else [])
    return first + [names for names in entries if names not in first]
