"""Records for people: tables that fit the terminal."""

from __future__ import annotations

import math
from datetime import datetime, time
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipelines.reporting.wording import Duration, to_printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import JustifyMethod

    Records = Sequence[Mapping[str, Any]]

WIDE = 10_000
MOST_DIGITS = 1e15


def make_console(file: IO[str] | None = None) -> Console:
    """Return the console of a file or standard output; as wide as its rows if no terminal."""
    console = Console(highlight=False, file=file)
    return console if console.is_terminal else Console(highlight=False, file=file, width=WIDE)


def print_records(console: Console, records: Records) -> None:
    """Print records as a table, or one record below the other if the terminal is too narrow."""
    table = make_table(records)
    if not records:
        console.print("no rows")
    elif measure_words(console, table) <= console.width:
        keep_words_whole(table)
        console.print(table)
    else:
        print_upright(console, records)


def measure_words(console: Console, table: Table) -> int:
    """Return the width that a table needs so that no word of it is broken."""
    unbounded = console.options.update(width=WIDE)
    return Measurement.get(console, unbounded, table).minimum


def keep_words_whole(table: Table) -> None:
    """Let only those columns fold in which there is a space to fold at."""
    for column in table.columns:
        column.no_wrap |= all(" " not in str(cell) for cell in column.cells)


def print_upright(console: Console, records: Records) -> None:
    """Print records that are too wide for the terminal one below the other, a line per column."""
    for number, record in enumerate(records, 1):
        console.print(Text(f"row {number}", style="bold"))
        grid = Table.grid(padding=(0, 2))
        for name, value in record.items():
            grid.add_row(f"  {name}", Text(format_value(value), overflow="fold"))
        console.print(grid)


def make_table(records: Records) -> Table:
    """Return records as a table whose numbers align at the right."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for name in records[0] if records else ():
        is_number = all(isinstance(row[name], int | float | None) for row in records)
        justify: JustifyMethod = "right" if is_number else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=is_number)
    for row in records:
        table.add_row(*(Text(format_value(value)) for value in row.values()))
    return table


def read_duration(value: object) -> object:
    """Return a number of seconds as a Duration, and whatever else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    return Duration(value) if math.isfinite(value) else value


def format_value(value: object) -> str:
    """Return a value for people: control characters shown, seconds of a time cut."""
    if value is None:
        return ""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < MOST_DIGITS else f"{value:g}"
    if isinstance(value, time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return to_printable(str(value))
