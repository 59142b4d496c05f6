"""The house: few modules at the top, and none of them, nor a function, longer than some screens."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOW = re.compile(r"\b(now|today|get_current_timestamp)\(|\bcurrent_(date|time)", re.IGNORECASE)
MODULES = sorted((ROOT / "pipelines").rglob("*.py"))


def list_functions(path: Path) -> dict[str, int]:
    """Return function -> its lines, decorators left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    """A module has less than 260 lines, a function at most 40."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 260
    assert {name: lines for name, lines in list_functions(path).items() if lines > 40} == {}


def test_rooms() -> None:
    """Six modules stand at the top of the package, everything else in rooms."""
    top = {path.stem for path in (ROOT / "pipelines").glob("*.py")} - {"__init__"}
    assert top == {"definitions", "steps", "records", "errors", "files", "clock"}


def test_nothing_is_found_by_a_hash() -> None:
    """No query takes two for the same whose hashes are: DuckDB's is no better than a checksum."""
    rooms = ("analyses", "ages", "views", "history", "ledger", "report", "alerts")
    texts = {
        path: path.read_text("utf-8") for room in rooms for path in ROOT.glob(f"sql/{room}/*.sql")
    }
    assert [path.name for path, text in texts.items() if re.search(r"\bhash\(", text)] == []


def test_one_clock() -> None:
    """The time of day is asked in one place alone, so that what rests on it is known."""
    asks = re.compile(r"datetime\.now|time\.time\(|utcnow|\.today\(|st_mtime")
    readers = {
        path.relative_to(ROOT / "pipelines").as_posix()
        for path in MODULES
        if asks.search(path.read_text(encoding="utf-8"))
    }
    # The sandbox plays a server, which has its own clock.
    assert {name for name in readers if not name.startswith("sandbox/")} == {"clock.py"}
    sql = [path for path in (ROOT / "sql").rglob("*.sql") if NOW.search(path.read_text("utf-8"))]
    assert sql == []
