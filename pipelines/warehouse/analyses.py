"""The analyses: one SQL file each, whose header says what it answers and what must hold.

The comment lines at the head of a file are YAML: `answers`, `grain`, `show` (what matters most, for
a table on a screen: columns, or `a or b`, which is b where a is empty), `columns` (name: meaning,
its unit in brackets at the end), `checks` and `warnings` (name: a query that finds no row; if a
check does, the previous table is kept). Below them is one query. The file is named like its table
in the schema `analytics`. What an analysis reads follows from its query; views read no analysis.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.config.rejections import suggest_name
from pipelines.errors import AnalysisError, SettingsError
from pipelines.files import find_others
from pipelines.warehouse.parser import check_query, find_tables
from pipelines.warehouse.sql import quote, quote_name, read_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SCHEMA = "analytics"
BUILT = "is_built"
# Names that Dagster keeps for itself, and those of assets that are no analysis.
TAKEN = frozenset(
    {
        *("context", "conf", "config", "meta", "input", "output", "type"),
        *("int", "str", "float", "bool", "dict"),
        *("arg_dict", "input_arg_dict", "output_arg_dict"),
        *("analyses", "sessions", "thread_pages", "threads", "published_database", "report"),
    }
)
LARGEST = 1_000_000
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


def list_analyses(own: Path | None = None) -> dict[str, Analysis]:
    """Return name -> analysis of every file, each after those it reads.

    `own` is the user's directory of further files. One of them that cannot be used does not affect
    the others: it becomes an analysis that fails when it is built, and says why.
    """
    found = {name: parse_analysis(name, text) for name, text in read_sql("analyses")}
    for path in sorted(own.glob("*.sql")) if own else ():
        try:
            analysis = parse_analysis(path.stem, _read_text(path))
            _reject_name(analysis, found.values())
        except AnalysisError as error:
            analysis = _stand_in(_name_broken(path.stem, found), f"{path}: {error}")
        found[analysis.name] = analysis
    while True:
        graph = {name: analysis.after & found.keys() for name, analysis in found.items()}
        try:
            return _follow_lineage({n: found[n] for n in TopologicalSorter(graph).static_order()})
        except CycleError as error:
            circle = sorted(set(error.args[1]))
            problem = f"{own}: these need each other: {', '.join(circle)}"
            found |= {name: _stand_in(name, problem) for name in circle}


def _follow_lineage(ordered: Mapping[str, Analysis]) -> dict[str, Analysis]:
    """Let the lineage of each, which comes after those that it reads, follow theirs."""
    followed: dict[str, Analysis] = {}
    for name, analysis in ordered.items():
        read = [followed[other].lineage for other in sorted(analysis.after & followed.keys())]
        lineage = hash_text("".join([analysis.version, *read]))
        followed[name] = analysis.model_copy(update={"lineage": lineage})
    return followed


def find_analysis(known: Mapping[str, Analysis], name: str) -> Analysis:
    """Return the analysis of this name. Raises SettingsError."""
    if name not in known:
        fix = suggest_name(name, sorted(known), "analyses")
        raise SettingsError(name, "there is no such analysis", fix)
    return known[name]


def choose_analyses(known: Mapping[str, Analysis], name: str) -> dict[str, Analysis]:
    """Return one analysis after those that it reads, and what these read. Raises SettingsError."""
    wanted = {find_analysis(known, name).name}
    for each in reversed(list(known)):
        if each in wanted:
            wanted |= known[each].after
    return {each: known[each] for each in known if each in wanted}


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise AnalysisError("it is no file. Remove it")
    if path.stat().st_size > LARGEST:
        raise AnalysisError(f"it has more than {LARGEST} bytes: it is no query")
    if problem := find_others(path):
        raise AnalysisError(f"it {problem}. Own it, and let nobody else write")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnalysisError(f"it cannot be read: {error}") from None


def _reject_name(analysis: Analysis, others: Iterable[Analysis]) -> None:
    """Raise if Dagster could take the analysis or its checks for others."""
    name = analysis.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise AnalysisError("its name may have small letters, digits and _ alone. Rename it")
    taken = TAKEN.union(keyword.kwlist, *(other.names for other in others))
    if clash := sorted(analysis.names & taken):
        raise AnalysisError(f"the name {clash[0]} is taken. Rename it, or its checks")


def _name_broken(stem: str, found: Mapping[str, Analysis]) -> str:
    name = f"{re.sub(r'[^A-Za-z0-9_]', '_', stem)}_is_broken"
    while name in found:
        name += "_"
    return name


def _stand_in(name: str, problem: str) -> Analysis:
    """Return an analysis that fails with the problem whenever it is built."""
    return Analysis(
        name=name,
        header=Header(answers=problem, grain="none", columns={"problem": "none"}),
        query=f"SELECT error({quote(problem)}) AS problem",
        version=hash_text(problem),
        lineage=hash_text(problem),
        reads=frozenset(),
        problem=problem,
    )


def hash_text(text: str) -> str:
    """Return a short name of a text's content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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
