"""Rows in every format: hard values against one golden file each, and text that would harm."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.cli.output import SHOWN_ROWS, explain_failures, write_rows
from pipelines.cli.target import Target, choose_target
from pipelines.errors import QueryError, SettingsError
from tests.support import ROOT

GOLDEN = ROOT / "tests" / "cli" / "golden"
# What a spreadsheet takes for the beginning of a formula, also in full width.
STARTS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
HARD = (GOLDEN / "hard.sql").read_text(encoding="utf-8")
TEXTS = f"SELECT text FROM (\n{HARD})"


def write(query: str, target: Target) -> bytes:
    """Write a query's rows to a file, as the command does, and return what it holds."""
    with explain_failures(target), target.open() as file, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        write_rows(connection, query, target, file)
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


@pytest.mark.parametrize("name", ["hard.txt", "hard.csv", "hard.json", "hard.jsonl"])
def test_golden_files(name: str) -> None:
    """Hard values are written as the golden file of the format holds them."""
    assert write(HARD, choose_target(out=Path(name))) == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", ["hard.csv", "hard.json", "hard.jsonl"])
def test_compressed_files(name: str) -> None:
    """A name that also ends in .gz gets the same, compressed, whatever its letters."""
    compressed = write(HARD, choose_target(out=Path(f"{name}.gz".upper())))
    assert gzip.decompress(compressed) == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize(
    ("form", "out", "line"),
    [
        (None, "d.xlsx", "--out d.xlsx: no format has this ending. End it in one of .csv, "),
        (None, "d", "--out d: no format has this ending"),
        (None, "d.csv.zip", "--out d.csv.zip: no format has this ending"),
        (None, "d.parquet.gz", "--out d.parquet.gz: no format has this ending"),
        (None, ".hidden", "--out .hidden: no format has this ending"),
        ("table", "d.csv", "--out d.csv: --format table is another format"),
        ("json", "d.Parquet", "--out d.Parquet: --format json is another format"),
        ("jsonl", "d.json", "--out d.json: --format jsonl is another format"),
        ("csv", "d.json.gz", "--out d.json.gz: --format csv is another format"),
    ],
)
def test_rejected_targets(form: str | None, out: str, line: str) -> None:
    """No format is guessed, and none is written under the name of another."""
    with pytest.raises(SettingsError, match=re.escape(line)):
        choose_target(form, Path(out))


def test_names_of_any_letters() -> None:
    """Endings are read without regard to case; a format that is named may have any other name."""
    expected = (GOLDEN / "hard.csv").read_bytes()
    assert write(HARD, choose_target(out=Path("d.CSV"))) == expected
    assert write(HARD, choose_target("csv", Path("durations"))) == expected
    assert choose_target(out=Path("d.JsonL")).form == "jsonl"
    assert choose_target(out=Path("d.TXT")).form == "table"


def test_existing_file() -> None:
    """A file is replaced as a whole, through a link too; if the query fails it stays."""
    Path("d.csv").write_text("x" * 100)
    Path("link.csv").symlink_to("d.csv")
    assert write("SELECT 1 AS a", choose_target(out=Path("link.csv"))) == b"a\n1\n"
    assert Path("link.csv").is_symlink()
    with pytest.raises(QueryError, match="the query failed"):
        write("SELECT error('no')", choose_target(out=Path("d.csv")))
    assert sorted(path.name for path in Path().iterdir()) == ["d.csv", "link.csv"]
    assert Path("d.csv").read_text() == "a\n1\n"
    with pytest.raises(QueryError, match=r"^none/d.csv: cannot be written \(No such file"):
        write("SELECT 1", choose_target(out=Path("none/d.csv")))


def test_pipe_as_file() -> None:
    """What is no ordinary file is written to, and not replaced; it gets what a terminal may."""
    os.mkfifo("d.csv")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(Path("d.csv").read_bytes)
        target = choose_target(out=Path("d.csv"))
        with target.open() as file:
            write_rows(duckdb.connect(), "SELECT chr(27) || 'x' AS a", target, file)
        assert read.result(10).decode() == "a\n�x\n"
    assert Path("d.csv").is_fifo()


def test_descriptor_as_file(capfd: pytest.CaptureFixture[str]) -> None:
    """The name of a descriptor is written to, a pipe or not."""
    reading, writing = os.pipe()
    target = choose_target("csv", Path(f"/dev/fd/{writing}"))
    with target.open() as file:
        write_rows(duckdb.connect(), "SELECT 1 AS a", target, file)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "a\n1\n"
    assert capfd.readouterr().out == ""


def test_table_obeys_nothing() -> None:
    """A table for a terminal holds printable characters alone, and fits it."""
    lines = write(HARD, choose_target(out=Path("hard.txt"))).decode().split("\n")
    assert all(line.isprintable() and len(line) <= 80 for line in lines)


@pytest.mark.parametrize(
    ("rows", "rest"),
    [
        (0, "no rows"),
        (SHOWN_ROWS, ""),
        (SHOWN_ROWS + 1, "and 1 more rows: --format csv shows them all"),
        (10**7, "and 9999800 more rows: --format csv shows them all"),
    ],
)
def test_rows_that_are_not_shown(rows: int, rest: str) -> None:
    """A table says how many rows it does not show, and reads none of those far behind them."""
    query = f"SELECT if(i < 5_000_000, i, error('was read')) AS i FROM range({rows}) AS _(i)"
    lines = write(query, choose_target(out=Path("rows.txt"))).decode().splitlines()
    numbers = [line.strip() for line in lines if line.strip().isdigit()]
    assert numbers == list(map(str, range(min(rows, SHOWN_ROWS))))
    assert lines[-1].strip() == (rest or numbers[-1])


def test_words_stay_whole() -> None:
    """A table that barely fits folds its times, and breaks no word."""
    columns = (
        "'agent' AS dimension, 'agent_coordinator' AS value, 'rescheduling' AS status,"
        " 1 AS threads, 0.5 AS share, 144 AS n, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS as_of"
    )
    text = write(f"SELECT {columns}", choose_target(out=Path("barely.txt"))).decode()
    *_, record, folded = (line.split() for line in text.splitlines())
    assert record == ["agent", "agent_coordinator", "rescheduling", "1", "0.5", "144", "2026-01-01"]
    assert folded == ["00:00:00"]


def test_exact_formats() -> None:
    """JSON, Parquet and raw CSV hold every text as it is."""
    expected = read_texts()
    parsed = json.loads(write(TEXTS, choose_target(out=Path("hard.json"))))
    assert [row["text"] for row in parsed] == expected
    write(TEXTS, choose_target(out=Path("hard.parquet")))
    assert pl.read_parquet("hard.parquet")["text"].to_list() == expected
    raw = write(TEXTS, choose_target(out=Path("raw.csv"), raw=True)).decode()
    assert read_column(raw) == [text or "" for text in expected]


def read_column(text: str) -> list[str]:
    """Return the first column of a CSV file, without its header."""
    rows = list(csv.reader(text.splitlines(keepends=True)))
    return [row[0] if row else "" for row in rows[1:]]


def test_no_formula_in_csv() -> None:
    """No text is a formula to a spreadsheet, and taking one quote away gives it back exactly."""
    expected = read_texts()
    cells = read_column(write(TEXTS, choose_target(out=Path("hard.csv"))).decode())
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
    text = write(query, choose_target(out=Path("out.csv"))).decode()
    assert "'=1" in text
    assert not re.search(r"(^|,)=", text, flags=re.MULTILINE)


def test_numbers_and_columns_stay() -> None:
    """Numbers keep their minus; columns of one name are kept apart."""
    query = "SELECT -5 AS a, '-5' AS a, INTERVAL '-1 day' AS b"
    assert write(query, choose_target(out=Path("out.csv"))) == b"a,a_1,b\n-5,'-5,-1 day\n"


def test_raw_table() -> None:
    """A raw table is rejected: it is for people."""
    with pytest.raises(SettingsError, match=r"--raw: a table is for people\. Choose one of csv, "):
        choose_target(out=Path("table.txt"), raw=True)
