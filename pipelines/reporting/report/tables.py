"""The report's tables: what a cell shows of a value."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.reporting.formats import LONGEST, format_value
from pipelines.reporting.report.labels import label_groups
from pipelines.reporting.report.layouts import LAYOUTS, Layout
from pipelines.reporting.report.versions import describe_version
from pipelines.reporting.wording import shorten_ids, to_printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.reporting.report.layouts import Column
    from pipelines.reporting.report.sections import Row, Section, Sections

# Each curve has one row in the table beside it.
SUMMARIZED = {"survival": "is_first"}
# Sections whose rows are groups of threads.
GROUPED = frozenset({"durations", "survival"})
MOST = 200
Parts = tuple[str, str, str]


class Cell(msgspec.Struct, frozen=True):
    """A cell: its text, what stands below it, and what it is sorted by, None of a text.

    An id is in three parts, of which the middle is hidden.
    """

    text: str
    id: Parts | None
    lines: list[str]
    order: float | None


class Table(msgspec.Struct, frozen=True):
    """A table as the page shows it, with some of the section's `total` rows."""

    name: str
    layout: Layout
    rows: list[list[Cell]]
    total: int


def make_tables(sections: Sections) -> dict[str, Table]:
    """Return every section that has a layout as a table; ids read alike on all of the page."""
    rows = {name: list_rows(name, sections[name]) for name in LAYOUTS}
    fields = {
        name: [column.id for column in layout.columns if column.id]
        for name, layout in LAYOUTS.items()
    }
    shown = shorten_ids(
        row[field]
        for name, members in rows.items()
        for row in members
        for field in fields[name]
        if row[field]
    )
    return {
        name: Table(
            name,
            layout,
            [[make_cell(column, row, shown) for column in layout.columns] for row in rows[name]],
            sections[name].total,
        )
        for name, layout in LAYOUTS.items()
    }


def list_rows(name: str, section: Section) -> list[Row]:
    """Return the rows that a section's table shows."""
    flag = SUMMARIZED.get(name)
    rows = [row for row in section.rows if flag is None or row[flag]]
    if name == "versions":
        return [describe_version(row) for row in rows]
    if name not in GROUPED:
        return rows
    return [
        row | {"label": text} for text, row in zip(label_groups(rows, LONGEST), rows, strict=True)
    ]


def make_cell(column: Column, row: Mapping[str, Any], shown: Mapping[str, str]) -> Cell:
    """Return the cell of a row in a column; without a name an id stands alone."""
    value, id_ = row[column.field], row[column.id] if column.id else None
    is_nameless = id_ is not None and value in {None, id_}
    text = "" if is_nameless else format_value(value, column.kind)
    parts = fold(id_, shown[id_]) if id_ else None
    return Cell(text, parts, row[column.lines] if column.lines else [], find_order(value))


def fold(id_: str, shown: str) -> Parts:
    """Return the beginning, the middle that is not shown, and the end of an id."""
    cuts = (at for at, letter in enumerate(shown) if letter == "…")
    ends = ((shown[:at], shown[at + 1 :]) for at in cuts)
    fits = ((a, b) for a, b in ends if shown != id_ and id_.startswith(a) and id_.endswith(b))
    head, tail = next(fits, (id_, ""))
    middle = id_[len(head) : len(id_) - len(tail)]
    return to_printable(head[:MOST]), to_printable(middle[:MOST]), to_printable(tail[:MOST])


def find_order(value: object) -> float | None:
    """Return what a value is sorted by; None of a text, which is sorted as it reads."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if isinstance(value, int | float) else None
