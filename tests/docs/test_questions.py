"""The ten questions: each has one query, and it is answered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.warehouse.build import build_all
from pipelines.warehouse.sql import fetch_records
from tests.warehouse.worlds import connect, parsed_analyses, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

TEXT = (Path(__file__).parents[2] / "docs" / "questions.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\*\*([^*]+\?)\*\*.*?```sql\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def fleet() -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a warehouse of half a day, in which every analysis is built."""
    with connect(simulate(21, 300, sessions=3, polls=40)) as connection:
        assert not [
            outcome.failures
            for outcome in build_all(connection, parsed_analyses())
            if outcome.failures
        ]
        yield connection


def test_ten() -> None:
    """Ten questions, as many queries, and no two alike."""
    assert len(QUESTIONS) == TEXT.count("```sql") == len(dict(QUESTIONS)) == 10


@pytest.mark.parametrize(("question", "query"), QUESTIONS)
def test_question(fleet: duckdb.DuckDBPyConnection, question: str, query: str) -> None:
    """The query is one, and finds an answer."""
    assert len(fleet.extract_statements(query)) == 1
    assert fetch_records(fleet, query), question
