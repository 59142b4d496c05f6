"""Troubleshooting names all that the program can say: what is new and not explained fails here."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from pipelines.defs.checks import LOAD_CHECKS, PUBLICATION_CHECKS
from pipelines.errors import INTERRUPTED, TOKEN_REJECTED, ApiError, SessionThreadsError
from pipelines.http.response import ERROR_TYPES
from pipelines.records import EndReason
from pipelines.warehouse.analysis import BUILT
from pipelines.warehouse.ledger import ABSENT, ENDED_WELL
from tests.support import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def read_first_cells(heading: str) -> set[str]:
    """Return what the first cells of the tables below a heading name."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]*) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.split(r"`, `|`", cell) if name}


def list_errors(root: type[SessionThreadsError] = SessionThreadsError) -> set[type]:
    """Return every class of error below the root."""
    below = root.__subclasses__()
    return set(below).union(*(list_errors(error) for error in below))


def read_code(pattern: str) -> set[str]:
    """Return what the pattern finds in the code."""
    files = (ROOT / "pipelines").rglob("*.py")
    return {found for file in files for found in re.findall(pattern, file.read_text("utf-8"))}


def test_errors() -> None:
    """Every class of error is named, and nothing that is none."""
    assert read_first_cells("Errors") - {"error", "---"} == {e.__name__ for e in list_errors()}


def test_exit_statuses() -> None:
    """Every exit status is named: those of errors, and those that commands end with."""
    own = {getattr(error, "exit_code", None) for error in list_errors()}
    fixed = read_code(r"(?:fail\(.*, |ExitStatus\()(\d+)") | {"0", "3"}
    assert {str(status) for status in own} | fixed == read_first_cells("Exit status") - {
        "status",
        "---",
    }


OUTCOMES = {getattr(error, "outcome", ApiError.outcome) for error in list_errors()}


@pytest.mark.parametrize(
    "names",
    [
        OUTCOMES | ENDED_WELL,
        set(get_args(EndReason)),
        {*ERROR_TYPES.values(), TOKEN_REJECTED, INTERRUPTED},
    ],
    ids=["outcome", "end_reason", "error_type"],
)
def test_ledger(names: set[str]) -> None:
    """Every outcome, every end of a listing, and every type of error that we give is named."""
    assert names - read_first_cells("The ledger") == set()


def test_states() -> None:
    """Every state of a session is named."""
    states = read_code(r'return "(ok|stale|failing|never polled)"')
    states |= read_code(r'return "(ok|stale)" if') | read_code(r' else "(stale|resting)"') | ABSENT
    assert states == read_first_cells("What `status` calls a session") - {"state", "---"}


def test_checks() -> None:
    """Every asset check that no analysis' header holds is named."""
    own = {spec.name for spec in (*LOAD_CHECKS, *PUBLICATION_CHECKS)} | {BUILT}
    assert own - read_first_cells("Asset checks in Dagster") == set()
