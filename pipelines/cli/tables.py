"""Rows for people: values as they read them, and tables that fit the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipelines.cli.printing import WIDE, print_text
from pipelines.reporting.wording import Duration, cut_middle, shorten_ids, to_printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rich.console import Console, JustifyMethod

MOST_DIGITS = 1e15
GAP = 2
# A longer name may be shortened so far: sess_01…00aa.
SHORTEST = 12
# A longer text in a column called so is a message, folded into so many columns at least.
MESSAGES = ("error", "message", "answers")
LONGEST_NAME = 80
COMFORTABLE = 16
NUMBERS = int | float | Decimal | None
TIMES = date | time | timedelta
SECONDS = "_seconds"


@dataclass(frozen=True)
class Column:
    """A column as people see it: its header and its cells, all printable.

    Cells that are `fixed`, such as numbers and times, are never shortened or folded. Of the others,
    names and ids are shortened, and messages folded.
    """

    name: str
    cells: Sequence[str]
    is_number: bool = False
    is_fixed: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether every row says the same, and there are several."""
        return len(self.cells) > 1 and len(set(self.cells)) == 1

    @cached_property
    def names(self) -> set[str]:
        """The cells that may be shortened."""
        if self.is_fixed:
            return set()
        may_fold = self.name.endswith(MESSAGES)
        return {cell for cell in self.cells if not may_fold or is_name(cell)}

    @cached_property
    def widths(self) -> tuple[int, int, int]:
        """The widths of the header and what is fixed, of the widest name, and of a message."""
        rest = max((cell_len(cell) for cell in set(self.cells) - self.names), default=0)
        fixed, message = (rest, 0) if self.is_fixed else (0, rest)
        widest = max(map(cell_len, self.names), default=0)
        return max(cell_len(self.name), fixed), widest, message

    def measure(self, names: int, messages: int) -> int:
        """Return the width that it needs if names and messages take no more than that."""
        fixed, name, message = self.widths
        return max(fixed, min(name, names), min(message, max(messages, COMFORTABLE)))


def is_name(cell: str) -> bool:
    """Whether a cell where messages are is short enough to be a name."""
    return " " not in cell or len(cell) <= LONGEST_NAME


def make_columns(
    names: Sequence[str], rows: Sequence[Sequence[Any]], durations: Collection[str] = ()
) -> list[Column]:
    """Return rows as columns. Those of `durations`, which are in seconds, read as 2h 05m."""
    return [
        make_column(name, [row[index] for row in rows], is_duration=name in durations)
        for index, name in enumerate(names)
    ]


def make_column(name: str, values: Sequence[Any], *, is_duration: bool = False) -> Column:
    """Return values as a column."""
    return Column(
        to_printable(name.removesuffix(SECONDS) if is_duration else name),
        [format_value(read_duration(value) if is_duration else value) for value in values],
        is_number=all(isinstance(value, NUMBERS) for value in values),
        is_fixed=all(isinstance(value, NUMBERS | TIMES) for value in values),
    )


def print_records(console: Console, records: Sequence[Mapping[str, Any]]) -> None:
    """Print records, if any, as a table that fits; the columns that matter most come first."""
    if not records:
        return
    names = list(records[0])
    columns = make_columns(names, [list(record.values()) for record in records])
    console.print(make_table(fit(columns, console.width)))


def print_important(
    console: Console, columns: Mapping[str, Column], entries: Iterable[Sequence[str]], ways: str
) -> None:
    """Print the columns that matter most as a table, by their names in the order of their weight.

    The last of them are left out if the console is too narrow, and so is what is the same in every
    row; lines below the table name them, and the ways to see them.
    """
    important = [combine(columns, names) for names in entries]
    varying = [column for column in important if not column.is_constant] or important
    fitting = fit(varying, console.width)
    console.print(make_table(fitting))
    print_notes(console, columns, {column.name for column in fitting}, ways)


def combine(columns: Mapping[str, Column], names: Sequence[str]) -> Column:
    """Return a column with the first cell of each row that is not empty.

    It is called as the first that has any; where that has all, it is that column.
    """
    used = [columns[name] for name in names if any(columns[name].cells)] or [columns[names[0]]]
    if all(used[0].cells) or len(used) == 1:
        return used[0]
    rows = zip(*(column.cells for column in used), strict=True)
    return replace(
        used[0],
        cells=[next(filter(None, row), "") for row in rows],
        is_number=all(column.is_number for column in used),
        is_fixed=all(column.is_fixed for column in used),
    )


def print_notes(
    console: Console, columns: Mapping[str, Column], shown: Collection[str], ways: str
) -> None:
    """Print which columns are the same in every row, and which are not shown at all."""
    same = {name: column.cells[0] for name, column in columns.items() if column.is_constant}
    rest = [
        name for name, column in columns.items() if column.name not in shown and name not in same
    ]
    if same:
        text = ", ".join(f"{name} {cell or '(empty)'}" for name, cell in same.items())
        print_text(console, f"the same in every row: {text}", "dim")
    if rest:
        print_text(console, f"more columns ({ways}): {', '.join(rest)}", "dim")


def print_whole(console: Console, columns: Sequence[Column]) -> None:
    """Print whole values: as a table, or one row below the other if the terminal is too narrow."""
    table = make_table(columns)
    unbounded = console.options.update(width=WIDE)
    if Measurement.get(console, unbounded, table).minimum <= console.width:
        console.print(table)
    else:
        print_upright(console, columns)


def print_upright(console: Console, columns: Sequence[Column]) -> None:
    """Print rows one below the other, a line per column."""
    for number, row in enumerate(zip(*(column.cells for column in columns), strict=True), 1):
        console.print(Text(f"row {number}", style="bold"))
        grid = Table.grid(padding=(0, 2))
        for column, cell in zip(columns, row, strict=True):
            grid.add_row(Text(f"  {column.name}"), Text(cell, overflow="fold"))
        console.print(grid)


def fit(columns: Sequence[Column], width: int) -> list[Column]:
    """Return as many of the first columns as fit into the width, with long names shortened.

    Two different names never look the same. The first column is there even if it is too wide.
    """
    limit = min(width, max((column.widths[1] for column in columns), default=0))
    while limit > SHORTEST and measure(columns, limit, limit) > width:
        limit -= 1
    short = shorten_ids(set().union(*(column.names for column in columns)), limit)
    fitted = [
        replace(
            column,
            cells=[short.get(cell) or cut_middle(cell, width, width) for cell in column.cells],
        )
        for column in columns
    ]
    if len(columns) <= 1 or measure(fitted, WIDE, limit) <= width:
        return fitted
    return fit(columns[:-1], width)


def measure(columns: Sequence[Column], names: int, messages: int) -> int:
    """Return the width of a table in which names and messages take no more than that."""
    return sum(column.measure(names, messages) + GAP for column in columns) - GAP


def make_table(columns: Sequence[Column]) -> Table:
    """Return columns as a table: numbers align at the right, words stay whole, texts fold."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for column in columns:
        justify: JustifyMethod = "right" if column.is_number else "left"
        table.add_column(
            Text(column.name),
            justify=justify,
            overflow="fold",
            no_wrap=column.is_number or all(" " not in cell for cell in column.cells),
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


def read_duration(value: object) -> object:
    """Return a number of seconds as a Duration, and whatever else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    return Duration(value) if math.isfinite(value) else value


def format_value(value: object) -> str:
    """Return a value for people: control characters shown, seconds of a time cut."""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < MOST_DIGITS else f"{value:g}"
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    if isinstance(value, time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else to_printable(str(value))
