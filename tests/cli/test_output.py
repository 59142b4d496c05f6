"""Rows in every format: hard values against one golden file each, and text that would harm."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from tempfile import TemporaryFile

import duckdb
import polars as pl
import pytest

from pipelines.cli.output import Target, write_rows
from pipelines.errors import QueryError
from tests.support import ROOT

GOLDEN = ROOT / "tests" / "cli" / "golden"
# What a spreadsheet takes for the beginning of a formula, also in full width.
STARTS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
HARD = (GOLDEN / "hard.sql").read_text(encoding="utf-8")
TEXTS = f"SELECT text FROM (\n{HARD})"


def write(query: str, target: Target) -> bytes:
    """Write a query's rows to a file, as the command does, and return what it holds."""
    with TemporaryFile() as spool, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        write_rows(connection, query, target, spool)
    assert target.out
    return target.out.read_bytes()


def read_texts() -> list[str | None]:
    """Return the hard texts as they are."""
    with duckdb.connect() as connection:
        return [text for (text,) in connection.execute(TEXTS).fetchall()]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables be written as for a terminal of 80 columns without colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", ["hard.txt", "hard.csv", "hard.json"])
def test_golden_files(name: str) -> None:
    """Hard values are written as the golden file of the format holds them."""
    assert write(HARD, Target(out=Path(name))) == (GOLDEN / name).read_bytes()


def test_table_obeys_nothing() -> None:
    """A table for a terminal holds printable characters alone, and fits it."""
    lines = write(HARD, Target(out=Path("hard.txt"))).decode().split("\n")
    assert all(line.isprintable() and len(line) <= 80 for line in lines)


def test_words_stay_whole() -> None:
    """A table that barely fits folds its times, and breaks no word."""
    columns = (
        "'agent' AS dimension, 'agent_coordinator' AS value, 'rescheduling' AS status,"
        " 1 AS threads, 0.5 AS share, 144 AS n, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS as_of"
    )
    text = write(f"SELECT {columns}", Target(out=Path("barely.txt"))).decode()
    *_, record, folded = (line.split() for line in text.splitlines())
    assert record == ["agent", "agent_coordinator", "rescheduling", "1", "0.5", "144", "2026-01-01"]
    assert folded == ["00:00:00"]


def test_exact_formats() -> None:
    """JSON, Parquet and raw CSV hold every text as it is."""
    expected = read_texts()
    parsed = json.loads(write(TEXTS, Target(out=Path("hard.json"))))
    assert [row["text"] for row in parsed] == expected
    write(TEXTS, Target(out=Path("hard.parquet")))
    assert pl.read_parquet("hard.parquet")["text"].to_list() == expected
    raw = write(TEXTS, Target(out=Path("raw.csv"), raw=True)).decode()
    assert read_column(raw) == [text or "" for text in expected]


def read_column(text: str) -> list[str]:
    """Return the first column of a CSV file, without its header."""
    rows = list(csv.reader(text.splitlines(keepends=True)))
    return [row[0] if row else "" for row in rows[1:]]


def test_no_formula_in_csv() -> None:
    """No text is a formula to a spreadsheet, and taking one quote away gives it back exactly."""
    expected = read_texts()
    cells = read_column(write(TEXTS, Target(out=Path("hard.csv"))).decode())
    assert not [cell for cell in cells if cell.startswith(STARTS)]
    marked = [cell.startswith("'") and cell.lstrip("'").startswith(STARTS) for cell in cells]
    given_back = [cell[is_marked:] for cell, is_marked in zip(cells, marked, strict=True)]
    assert sum(marked) == 9
    assert given_back == [text or "" for text in expected]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT '=1'::BLOB AS cell",
        "SELECT '=1'::ENUM ('=1') AS cell",
        "SELECT union_value(word := '=1') AS cell",
        """SELECT 1 AS "=1" """,
        "PIVOT (SELECT '=1' AS word, 1 AS number) ON word USING sum(number)",
    ],
)
def test_formulas_of_other_types(query: str) -> None:
    """Neither another type nor the name of a column brings a formula in."""
    text = write(query, Target(out=Path("out.csv"))).decode()
    assert "'=1" in text
    assert not re.search(r"(^|,)=", text, flags=re.MULTILINE)


def test_numbers_and_columns_stay() -> None:
    """Numbers keep their minus; columns of one name are kept apart."""
    query = "SELECT -5 AS a, '-5' AS a, INTERVAL '-1 day' AS b"
    assert write(query, Target(out=Path("out.csv"))) == b"a,a_1,b\n-5,'-5,-1 day\n"


def test_raw_table() -> None:
    """A raw table is rejected: it is for people."""
    with pytest.raises(QueryError, match="--raw needs --format csv or json"):
        write("SELECT 1", Target(out=Path("table.txt"), raw=True))
