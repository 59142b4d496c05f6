"""What a query reads: asked of DuckDB's parser."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.errors import AnalysisError
from pipelines.warehouse.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_tables(query: str) -> set[str]:
    """Return the tables and views that a query reads, as it names them.

    Asks DuckDB's parser, which needs none of them to exist. Raises AnalysisError for anything else
    than one SELECT.
    """
    try:
        # No parameter: binding one makes DuckDB import pandas, if that is installed.
        statement = f"SELECT json_serialize_sql({quote(query)})"
        cursor = _open_parser().cursor().execute(statement)
        document = json.loads((cursor.fetchone() or ("{}",))[0])
        nodes = list(_list_nodes(document))
    except (duckdb.Error, RecursionError) as error:
        raise AnalysisError(f"the query cannot be parsed: {error}") from None
    if document.get("error"):
        raise AnalysisError(f"the query cannot be parsed: {document['error_message']}")
    if len(document["statements"]) != 1:
        raise AnalysisError("the file must hold one query")
    named = {
        ".".join(filter(None, (node["schema_name"], node["table_name"])))
        for node in nodes
        if node.get("type") == "BASE_TABLE"
    }
    return named - {entry["key"] for node in nodes for entry in _list_ctes(node)}


def check_query(query: str) -> None:
    """Raise AnalysisError for anything else than one SELECT. Its tree is not looked at."""
    try:
        statements = _open_parser().cursor().extract_statements(query)
    except duckdb.Error as error:
        raise AnalysisError(f"the query cannot be parsed: {error}") from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise AnalysisError("the query cannot be parsed: a check is one SELECT")


@cache
def _open_parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _list_nodes(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from _list_nodes(inner)


def _list_ctes(node: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.get("cte_map", {}).get("map", [])
    return found
