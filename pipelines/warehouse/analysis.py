"""One analysis: what the head of its SQL file says of it, and its query.

The comment lines at the head of a file are YAML: `answers`, `grain`, `show` (what matters most, for
a table on a screen: columns, or `a or b`, which is b where a is empty), `columns` (name: meaning,
its unit in brackets at the end), `checks` and `warnings` (name: a query that finds no row; if a
check does, the previous table is kept). Below them is one query. The file is named like its table
in the schema `analytics`. What an analysis reads follows from its query; views read no analysis.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.errors import AnalysisError
from pipelines.warehouse.parser import check_query, find_tables
from pipelines.warehouse.sql import quote_name

SCHEMA = "analytics"
BUILT = "is_built"
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SECONDS = " (seconds)"
OR = " or "


class Header(BaseModel):
    """What a file says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: str
    grain: str
    columns: dict[str, str] = Field(min_length=1)
    show: tuple[str, ...] = ()
    checks: dict[Name, str] = {}
    warnings: dict[Name, str] = {}

    @model_validator(mode="after")
    def reject_unknown(self) -> Header:
        """Reject a column to show that the table does not have."""
        shown = [name for entry in self.show for name in entry.split(OR)]
        if unknown := [name for name in shown if name not in self.columns]:
            raise ValueError(f"{unknown[0]!r} in show is no column")
        return self

    @model_validator(mode="after")
    def reject_names(self) -> Header:
        """Reject the name of the check that says whether the query succeeds, and a name twice."""
        if BUILT in self.checks or BUILT in self.warnings:
            raise ValueError(f"no check may be called {BUILT}")
        if both := sorted(self.checks.keys() & self.warnings.keys()):
            raise ValueError(f"{both[0]} is a check and a warning")
        return self


class Analysis(BaseModel):
    """One analysis: `name` is its table in schema `analytics`, `query` fills it.

    `reads` names the tables and views of the query, `version` follows the file's content, `lineage`
    also that of the files of the analyses that it reads.
    `problem` is why the file cannot be used; the analysis then fails whenever it is built. `ages`
    suffices if only ages have changed in its table: statements, and the number of its rows.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    header: Header
    query: str
    version: str
    lineage: str
    reads: frozenset[str]
    problem: str | None = None
    ages: str | None = None

    @property
    def after(self) -> frozenset[str]:
        """The analyses that it reads, and is built after."""
        prefix = f"{SCHEMA}."
        return frozenset(t.removeprefix(prefix) for t in self.reads if t.startswith(prefix))

    @property
    def table(self) -> str:
        """Its table, as SQL names it."""
        return f"{SCHEMA}.{quote_name(self.name)}"

    @property
    def names(self) -> frozenset[str]:
        """What Dagster calls it and its checks."""
        checks = (BUILT, *self.header.checks, *self.header.warnings)
        return frozenset({self.name, *(f"{self.name}_{check}" for check in checks)})

    @property
    def durations(self) -> frozenset[str]:
        """The columns that are in seconds."""
        columns = self.header.columns.items()
        return frozenset(name for name, meaning in columns if meaning.endswith(SECONDS))

    @property
    def description(self) -> str:
        """What it answers, and its grain."""
        return f"{self.header.answers} Grain: {self.header.grain}."


@cache
def parse_analysis(name: str, text: str) -> Analysis:
    """Split a file into header and query. Raises AnalysisError that says what is wrong."""
    lines = text.lstrip().splitlines()
    length = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    header = _parse_header("\n".join(line[2:].removeprefix(" ") for line in lines[:length]))
    query = "\n".join(lines[length:]).strip().removesuffix(";")
    reads = frozenset(find_tables(query))
    for check in (*header.checks.values(), *header.warnings.values()):
        check_query(check)
    digest = hash_text(text)
    return Analysis(
        name=name, header=header, query=query, version=digest, lineage=digest, reads=reads
    )


def _load_texts(text: str) -> Any:  # noqa: ANN401 - any YAML
    """Return YAML in which every value is text: what looks like a number or a date is none."""
    try:
        return yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - of BaseLoader
    except yaml.YAMLError:
        return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it says better what is wrong


def _parse_header(text: str) -> Header:
    try:
        return Header.model_validate(_load_texts(text))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors()]
        raise AnalysisError(f"the header is malformed: {'; '.join(found)}") from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise AnalysisError(f"the header is malformed: {problem}") from None


def hash_text(text: str) -> str:
    """Return a short name of a text's content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
