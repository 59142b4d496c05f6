"""The analyses: one SQL file each, whose header says what it answers and what must hold.

The comment lines at the head of a file are YAML: `answers`, `grain`, `columns` (name: meaning and
unit), `needs` (the tables it reads) and `checks` (name: a query that must find no row). Below them
stands one query. The file's name is the name of the table in schema `analytics`.
"""

from __future__ import annotations

import hashlib
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import AnalysisError
from pipelines.warehouse.database import fetch_records, read_sql, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "analytics"


class Header(BaseModel):
    """What a file says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: str
    grain: str
    columns: dict[str, str] = Field(min_length=1)
    needs: tuple[str, ...]
    checks: dict[str, str] = {}


class Analysis(BaseModel):
    """One analysis: `name` is its table in schema `analytics`, `query` fills it."""

    model_config = ConfigDict(frozen=True)

    name: str
    header: Header
    query: str
    version: str


class Built(BaseModel):
    """What building an analysis gave: its rows, and its columns' types in order."""

    rows: int
    types: dict[str, str]


def list_analyses() -> dict[str, Analysis]:
    """Return name -> analysis of every file, each after those it needs."""
    found = {name: parse_analysis(name, text) for name, text in read_sql("analyses")}
    needs = {name: set(analysis.header.needs) & set(found) for name, analysis in found.items()}
    return {name: found[name] for name in TopologicalSorter(needs).static_order()}


def parse_analysis(name: str, text: str) -> Analysis:
    """Split a file into header and query. Raises AnalysisError that names the file."""
    lines = text.splitlines()
    length = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    try:
        document = yaml.safe_load("\n".join(line[2:].removeprefix(" ") for line in lines[:length]))
        header = Header.model_validate(document)
    except (yaml.YAMLError, ValidationError) as error:
        problem = " ".join(str(error).split())
        raise AnalysisError(
            f"sql/analyses/{name}.sql: the header is malformed: {problem}"
        ) from None
    query = "\n".join(lines[length:]).strip().removesuffix(";")
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Analysis(name=name, header=header, query=query, version=version)


def build_analysis(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    """Fill an analysis's table, commented and checked before anyone can see it.

    Raises AnalysisError, and leaves the table of before, where the query fails, its columns are
    not those of the header, or a check finds a row.
    """
    table = f"{SCHEMA}.{analysis.name}"
    try:
        with transaction(connection):
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS {analysis.query}")
            types = _read_types(connection, analysis)
            _write_comments(connection, table, analysis.header)
            _run_checks(connection, analysis)
            counted = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    except duckdb.Error as error:
        problem = " ".join(str(error).split())
        raise AnalysisError(f"sql/analyses/{analysis.name}.sql: {problem}") from None
    return Built(rows=counted[0] if counted else 0, types=types)


def _read_types(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> dict[str, str]:
    described = fetch_records(connection, f"DESCRIBE {SCHEMA}.{analysis.name}")
    types = {str(column["column_name"]): str(column["column_type"]) for column in described}
    if list(types) != list(analysis.header.columns):
        raise AnalysisError(
            f"sql/analyses/{analysis.name}.sql: the query gives the columns {list(types)},"
            f" the header describes {list(analysis.header.columns)}"
        )
    return types


def _write_comments(connection: duckdb.DuckDBPyConnection, table: str, header: Header) -> None:
    summary = f"{header.answers} Grain: {header.grain}."
    connection.execute(f"COMMENT ON TABLE {table} IS {quote(summary)}")
    for column, meaning in header.columns.items():
        connection.execute(f"COMMENT ON COLUMN {table}.{column} IS {quote(meaning)}")


def _run_checks(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> None:
    for check, query in analysis.header.checks.items():
        if found := fetch_records(connection, f"FROM ({query}) LIMIT 1"):
            raise AnalysisError(
                f"analysis {analysis.name}: check {check} found {_show(found[0])}."
                " The table of before is kept"
            )


def _show(record: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in record.items())


def quote(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
