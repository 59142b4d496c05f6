"""The analyses that there are: those in sql/analyses, and a user's own."""

from __future__ import annotations

import keyword
import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from pipelines.config.rejections import suggest_name
from pipelines.errors import AnalysisError, SettingsError
from pipelines.files import find_others
from pipelines.warehouse.analysis import Analysis, Header, hash_text, parse_analysis
from pipelines.warehouse.sql import quote, read_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

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
