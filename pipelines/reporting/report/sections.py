"""The numbers of the report: a section per query in sql/report/, read from the published copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from pipelines.errors import ReportError
from pipelines.warehouse.sql import fetch_records, read_sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = dict[str, Any]
    Sections = Mapping[str, "Section"]


class Section(msgspec.Struct, frozen=True):
    """The rows of a section, and of how many they are the first."""

    rows: list[Row]
    total: int


def read_sections(connection: duckdb.DuckDBPyConnection) -> dict[str, Section]:
    """Return name -> section of every query.

    Raises ReportError if an analysis that one reads is not in the published copy.
    """
    return {name: read_section(connection, name, query) for name, query in read_sql("report")}


def read_section(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> Section:
    """Return the rows of a section's query; its column `total` counts them without a limit."""
    try:
        rows = fetch_records(connection, query)
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        first = str(error).splitlines()[0]
        problem = f"its section {name} finds something missing in the published copy ({first})"
        hint = "`session-threads run` builds it, or says why it cannot"
        raise ReportError(f"report: {problem}. {hint}") from None
    return Section(rows, rows[0].get("total", len(rows)) if rows else 0)
