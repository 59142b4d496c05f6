"""Rows for people: values as they read them, and tables that fit the terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipelines.cli.printing import WIDE
from pipelines.reporting.wording import Duration, to_printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rich.console import Console, JustifyMethod

MOST_DIGITS = 1e15
GAP = 2
# A longer word may be shortened so far: sess_…000aa. A text gets so much before it is folded.
SHORTEST = 12
COMFORTABLE = 24
# What is left of the end of a word if its two halves are also those of another.
TAILS = (4, 2)
SECONDS = "_seconds"


class Column(msgspec.Struct, frozen=True):
    """A column as people see it: its header and its cells, all printable."""

    name: str
    cells: Sequence[str]
    is_number: bool

    @property
    def is_constant(self) -> bool:
        """Whether every row says the same, and there are several."""
        return len(self.cells) > 1 and len(set(self.cells)) == 1

    @property
    def words(self) -> set[str]:
        """The cells that are one word, such as ids; none in a column of numbers."""
        return set() if self.is_number else {cell for cell in self.cells if " " not in cell}

    def measure(self) -> tuple[int, int]:
        """Return the width that it needs at least, and the length of its longest word."""
        most = WIDE if self.is_number else COMFORTABLE
        words = self.words
        fixed = (min(cell_len(cell), most) for cell in set(self.cells) - words)
        return max(cell_len(self.name), *fixed, 0), max(map(cell_len, words), default=0)


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
        all(isinstance(value, int | float | Decimal | None) for value in values),
    )


def print_records(console: Console, records: Sequence[Mapping[str, Any]]) -> None:
    """Print records as a table that fits; the columns that matter most come first."""
    names = list(records[0]) if records else []
    columns = make_columns(names, [list(record.values()) for record in records])
    console.print(make_table(fit(columns, console.width)))


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
    """Return as many of the first columns as fit into the width, with long words shortened.

    Two different words never look the same.
    """
    kept, sizes = list(columns), [column.measure() for column in columns]
    while len(kept) > 1 and measure(sizes, SHORTEST) > width:
        kept.pop()
        sizes.pop()
    longest = max((word for _, word in sizes), default=0)
    while longest > SHORTEST and measure(sizes, longest) > width:
        longest -= 1
    short = shorten_words(set().union(*(column.words for column in kept)), longest)
    return [
        msgspec.structs.replace(
            column, cells=[short.get(cell) or shorten(cell, width) for cell in column.cells]
        )
        for column in kept
    ]


def measure(sizes: Sequence[tuple[int, int]], longest: int) -> int:
    """Return the width of a table whose words are not longer than that."""
    return sum(max(fixed, min(word, longest)) + GAP for fixed, word in sizes) - GAP


def shorten_words(words: Collection[str], longest: int) -> dict[str, str]:
    """Return each word -> what it is shortened to, which no other has; whole if need be."""
    short: dict[str, str] = {}
    for tail in (longest // 2, *TAILS, longest - 2):
        short = {word: shorten(word, longest, tail) for word in words}
        if len(set(short.values())) == len(short):
            return short
    found = Counter(short.values())
    return {word: cut if found[cut] == 1 else word for word, cut in short.items()}


def shorten(text: str, width: int, tail: int | None = None) -> str:
    """Return a text of at most so many cells, of which both ends are kept."""
    if cell_len(text) <= width:
        return text
    tail = width // 2 if tail is None else tail
    end = set_cell_size(text[::-1], tail)[::-1]
    return f"{set_cell_size(text, width - 1 - tail)}…{end}"


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
        is_word = all(" " not in cell for cell in column.cells)
        justify: JustifyMethod = "right" if column.is_number else "left"
        table.add_column(
            Text(column.name), justify=justify, overflow="fold", no_wrap=column.is_number or is_word
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
