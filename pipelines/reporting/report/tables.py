"""The report's tables: what a cell shows of a value."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.reporting.formats import LONGEST, format_value
from pipelines.reporting.report.labels import label_groups
from pipelines.reporting.report.layouts import LAYOUTS, Layout
from pipelines.reporting.wording import Parts, split_ids, to_printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.reporting.report.layouts import Column
    from pipelines.reporting.report.sections import Row, Section, Sections

# Each curve has one row in the table beside it.
SUMMARIZED = {"survival": "is_first"}
# Sections whose rows are groups of threads.
GROUPED = frozenset({"durations", "survival"})
MOST_OF_AN_ID = 200


class Cell(msgspec.Struct, frozen=True):
    """A cell: its text, a second line, and what it is sorted by, None of a text.

    An id is in three parts, of which the middle is hidden.
    """

    text: str
    id: Parts | None
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
    ids = split_ids(
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
            [[make_cell(column, row, ids) for column in layout.columns] for row in rows[name]],
            sections[name].total,
        )
        for name, layout in LAYOUTS.items()
    }


def list_rows(name: str, section: Section) -> list[Row]:
    """Return the rows that a section's table shows."""
    flag = SUMMARIZED.get(name)
    rows = [row for row in section.rows if flag is None or row[flag]]
    if name not in GROUPED:
        return rows
    return [
        row | {"label": text} for text, row in zip(label_groups(rows, LONGEST), rows, strict=True)
    ]


def make_cell(column: Column, row: Mapping[str, Any], ids: Mapping[str, Parts]) -> Cell:
    """Return the cell of a row in a column; without a name an id stands alone."""
    value, id_ = row[column.field], row[column.id] if column.id else None
    shown = clean(ids[id_]) if id_ else None
    is_nameless = id_ is not None and value in {None, id_}
    text = "" if is_nameless else format_value(value, column.kind)
    return Cell(text, shown, find_order(value))


def clean(parts: Parts) -> Parts:
    """Return the parts of an id, whoever wrote it, as a page can show them."""
    head, middle, tail = (to_printable(part[:MOST_OF_AN_ID]) for part in parts)
    return head, middle, tail


def find_order(value: object) -> float | None:
    """Return what a value is sorted by; None of a text, which is sorted as it reads."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if isinstance(value, int | float) else None
