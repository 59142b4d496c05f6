"""The analyses: one SQL file each, whose header says what it answers and what must hold.

The comment lines at the head of a file are YAML: `answers`, `grain`, `columns` (name: meaning, its
unit in brackets at the end), `needs` (the tables it reads) and `checks` (name: a query that finds
no row). Below them stands one query. The name of the file is that of the table in the schema
`analytics`. What an analysis has to wait for is read off its query.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import AnalysisError
from pipelines.warehouse.database import (
    quote,
    read_folder,
    sql_directory,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SCHEMA = "analytics"
# Assets that are no analysis: no file may take their names.
TAKEN = frozenset({"thread_pages", "threads", "published_database"})
BUILT = "is_built"
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SECONDS = " (seconds)"


class Header(BaseModel):
    """What a file says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: str
    grain: str
    columns: dict[str, str] = Field(min_length=1)
    needs: tuple[str, ...]
    checks: dict[Name, str] = {}


class Analysis(BaseModel):
    """One analysis: `name` is its table in schema `analytics`, `query` fills it.

    `after` names the analyses that the query reads, `version` follows the file's content.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    header: Header
    query: str
    version: str
    after: frozenset[str]

    @property
    def durations(self) -> frozenset[str]:
        """The columns that are in seconds."""
        columns = self.header.columns.items()
        return frozenset(name for name, meaning in columns if meaning.endswith(SECONDS))

    @property
    def description(self) -> str:
        """What it answers, and its grain."""
        return f"{self.header.answers} Grain: {self.header.grain}."


def list_analyses(own: Path | None = None) -> dict[str, Analysis]:
    """Return name -> analysis of every file, each after those it needs.

    `own` is the user's directory of further files. One of them that cannot be used does not take
    the others away: it becomes an analysis that fails when it is built, and says why.
    """
    found = {name: parse_analysis(name, text) for name, text in read_folder(_folder())}
    for stem, text in read_folder(own) if own else ():
        name = re.sub(r"\W", "_", stem)
        try:
            _refuse_name(stem, found)
            found[name] = parse_analysis(name, text)
        except AnalysisError as error:
            found |= _explain_broken(f"{name}_is_broken", f"{own}/{stem}.sql: {error}")
    while True:
        graph = {name: analysis.after & found.keys() for name, analysis in found.items()}
        try:
            return {name: found[name] for name in TopologicalSorter(graph).static_order()}
        except CycleError as error:
            names = ", ".join(sorted(set(error.args[1])))
            found |= _explain_broken(error.args[1][0], f"{own}: these need each other: {names}")


def _folder() -> Path:
    return sql_directory() / "analyses"


def _refuse_name(stem: str, found: Mapping[str, Analysis]) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
        raise AnalysisError("its name may have small letters, digits and _ alone. Rename it")
    if stem in TAKEN | found.keys():
        raise AnalysisError("its name is one of session-threads' own. Rename it")


def _explain_broken(name: str, problem: str) -> dict[str, Analysis]:
    """Return an analysis, by its name, that fails with the problem when it is built."""
    header = Header(answers=problem, grain="none", columns={"problem": "none"}, needs=())
    query = f"SELECT error({quote(problem)}) AS problem"
    return {
        name: Analysis(name=name, header=header, query=query, version=problem, after=frozenset())
    }


@cache
def parse_analysis(name: str, text: str) -> Analysis:
    """Split a file into header and query. Raises AnalysisError that says what is wrong."""
    lines = text.splitlines()
    length = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    try:
        document = yaml.safe_load("\n".join(line[2:].removeprefix(" ") for line in lines[:length]))
        header = Header.model_validate(document)
    except (yaml.YAMLError, ValidationError) as error:
        problem = " ".join(str(error).split())
        raise AnalysisError(f"the header is malformed: {problem}") from None
    query = "\n".join(lines[length:]).strip().removesuffix(";")
    tables = find_tables(query)
    needs = {table.removeprefix(f"{SCHEMA}.") for table in tables}
    if needs != set(header.needs):
        raise AnalysisError(
            f"the query reads {sorted(needs)}, the header needs {sorted(header.needs)}"
        )
    return Analysis(
        name=name,
        header=header,
        query=query,
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
        after=frozenset(t.removeprefix(f"{SCHEMA}.") for t in tables if t.startswith(SCHEMA)),
    )


def find_tables(query: str) -> set[str]:
    """Return the tables and views that a query reads, as it names them.

    Asks DuckDB's parser, which needs none of them to exist. Raises AnalysisError for anything else
    than one SELECT.
    """
    row = _open_parser().cursor().execute("SELECT json_serialize_sql(?)", [query]).fetchone()
    document = json.loads(row[0]) if row else {}
    if document.get("error"):
        raise AnalysisError(f"the query cannot be parsed: {document['error_message']}")
    if len(document["statements"]) != 1:
        raise AnalysisError("the file must hold one query")
    nodes = list(_walk(document))
    named = {
        ".".join(filter(None, (node["schema_name"], node["table_name"])))
        for node in nodes
        if node.get("type") == "BASE_TABLE"
    }
    return named - {entry["key"] for node in nodes for entry in _list_ctes(node)}


@cache
def _open_parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _walk(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from _walk(inner)


def _list_ctes(node: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.get("cte_map", {}).get("map", [])
    return found
