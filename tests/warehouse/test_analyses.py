"""The mechanism of the analyses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.config.settings import Settings
from pipelines.errors import AnalysisError
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.analysis import parse_analysis
from pipelines.warehouse.build import build_analysis, write_settings
from pipelines.warehouse.checks import read_warnings
from pipelines.warehouse.parser import find_tables
from pipelines.warehouse.sql import fetch_records
from tests.builders import HEADER, OWN, at, born, build, load
from tests.empty import open_tables
from tests.support import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.warehouse.worlds import Row


def test_as_of_is_the_newest_poll_a_row_rests_on(home: Path) -> None:
    """An open thread's age ends at its newest complete poll, or at the poll that changed it."""
    load(home, 0, born("kept", 0, 0), born("lost", 0, 0), born("moved", 0, 0))
    load(home, 10, born("kept", 0, 0), born("moved", 0, 0))
    load(home, 20, born("moved", 0, 15), outcome="incomplete")
    load(home, 30, outcome="failed")
    as_of = {row["thread_id"]: row["as_of"] for row in build(home, "thread_durations")}
    assert as_of == {"kept": at(10), "lost": at(0), "moved": at(20)}


def build_each(home: Path) -> dict[str, list[Row]]:
    """Build every analysis, once, and return their rows."""
    with open_tables(home).write() as connection:
        for analysis in list_analyses().values():
            build_analysis(connection, analysis)
        return {
            name: fetch_records(connection, f"FROM analytics.{name}") for name in list_analyses()
        }


def test_empty_warehouse(home: Path) -> None:
    """With no thread at all each analysis gives a right answer, not an error."""
    built = build_each(home)
    counts = dict.fromkeys(list_analyses(), 0) | {"status_distribution": 7}
    assert {name: len(rows) for name, rows in built.items()} == counts
    assert {row.get("n", 0) for rows in built.values() for row in rows} == {0}


def test_thread_of_which_nothing_is_known(home: Path) -> None:
    """A thread that is an id and nothing else is counted everywhere, and breaks no check."""
    load(home, 0, {"id": "t"})
    (session,) = build(home, "session_summary")
    assert (session["threads"], session["other"], session["open"]) == (1, 1, 1)
    build_each(home)
    assert {row["check"] for row in build(home, "data_quality") if row["rows"]} == {
        "undated",
        "unknown_status",
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory in which every analysis of two threads is built."""
    home = tmp_path_factory.mktemp("built") / "home"
    child = {"parent_thread_id": "t0", "agent": {"id": "x", "version": 1}}
    load(home, 0, born("t0", 0, 0), born("t1", 0, 0, status="idle", **child))
    load(home, 10, born("t0", 0, 0), born("t1", 0, 9, status="blocked", **child))
    build_each(home)
    return home


@pytest.mark.parametrize("name", list_analyses())
def test_pasted_query_gives_the_same(built: Path, name: str) -> None:
    """The file's query, pasted into a plain DuckDB shell, gives the table's rows."""
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        rows = fetch_records(connection, f"FROM analytics.{name}")
        pasted = fetch_records(connection, list_analyses()[name].query)
    assert pasted == rows
    assert rows


def test_counts_are_whole_numbers_that_others_know(built: Path) -> None:
    """No column is of 128 bits: it takes fifty times as long to read, and is a float elsewhere."""
    wide = "FROM duckdb_columns() WHERE data_type LIKE '%HUGEINT' AND NOT internal"
    assert not read_table(built / "warehouse.duckdb", wide)


@pytest.mark.parametrize("name", list_analyses())
def test_header_describes_the_table(built: Path, name: str) -> None:
    """The header's texts are the table's comments."""
    header = list_analyses()[name].header
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        columns = connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ?", [name]
        ).fetchall()
        tables = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE table_name = ?", [name]
        ).fetchall()
        types = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [name]
        ).fetchall()
    assert dict(columns) == header.columns
    assert header.answers in tables[0][0]
    durations = list_analyses()[name].durations
    assert {column for column, type_ in types if "seconds" in column} <= durations
    assert {type_ for column, type_ in types if column in durations} <= {"DOUBLE"}
    assert all(
        meaning.endswith("(UTC)")
        for column, meaning in header.columns.items()
        if dict(types)[column].startswith("TIMESTAMP")
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1 AS x", "header is malformed"),
        ("-- answers: [\nSELECT 1 AS x", "header is malformed"),
        (HEADER.replace("grain", "grane") + "SELECT 1 AS x", "grane"),
        (HEADER + "SELECT 1 AS y", r"gives the columns \['y'\]"),
        (HEADER + "SELECT 1 AS x; SELECT 2", "must hold one query"),
        (HEADER + "DROP TABLE threads", "cannot be parsed"),
        (HEADER + "SELECT 1 AS", "cannot be parsed"),
        (HEADER + "SELECT no_such_column AS x", "no_such_column"),
        (HEADER + "-- checks:\n--   small: FROM analytics.a WHERE x > 1\nSELECT 2 AS x",
         "check small found x=2"),
        (HEADER + "-- checks: {a: FROM x}\n-- warnings: {a: FROM x}\nSELECT 2 AS x",
         "a is a check and a warning"),
        (HEADER + "-- warnings: {is_built: FROM x}\nSELECT 2 AS x", "may be called is_built"),
        (HEADER + "-- warnings: {a: DROP TABLE x}\nSELECT 2 AS x", "cannot be parsed"),
        (HEADER + "-- checks: {a: FROM x; FROM y}\nSELECT 2 AS x", "a check is one SELECT"),
        (HEADER + "-- checks: {a: SELECT}\nSELECT 2 AS x", "cannot be parsed"),
    ],
)  # fmt: skip
def test_broken_analysis(home: Path, text: str, problem: str) -> None:
    """A file that is wrong, or whose check finds a row, is named, and the previous table stays."""
    with open_tables(home).write() as connection:
        build_analysis(connection, parse_analysis("a", HEADER + "SELECT 1 AS x"))
        with pytest.raises(AnalysisError, match=problem):
            build_analysis(connection, parse_analysis("a", text))
        assert fetch_records(connection, "FROM analytics.a") == [{"x": 1}]


def test_warnings(home: Path) -> None:
    """A warning finds its first rows and keeps no table; one that fails says so in their place."""
    queries = (
        "large: FROM analytics.a WHERE x > 1, odd: FROM nowhere, none: FROM analytics.a LIMIT 0"
    )
    text = f"{HEADER}-- warnings: {{{queries}}}\nSELECT unnest([1, 2, 3, 4]) AS x"
    with open_tables(home).write() as connection:
        analysis = parse_analysis("a", text)
        assert build_analysis(connection, analysis).rows == 4
        found = read_warnings(connection, analysis, 2)
    assert (found["large"], found["none"]) == ([{"x": "2"}, {"x": "3"}], [])
    assert str(found["odd"][0]["problem"]).startswith("Catalog Error: Table with name nowhere")


def test_tables_of_a_query() -> None:
    """What an analysis reads comes from its SQL: subqueries and joins too, its own CTEs not."""
    query = """
    WITH RECURSIVE one AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM one WHERE n < 3),
    two AS (FROM threads ASOF JOIN main.session_polls AS p ON p.started_at < threads.created_at)
    SELECT * FROM two, one
    ANTI JOIN analytics.survival ON t_seconds = (SELECT max(x) FROM "odd name" WHERE n > 0)
    WHERE EXISTS (FROM analytics.attention)
    """
    assert find_tables(query) == {
        "threads",
        "main.session_polls",
        "analytics.survival",
        "odd name",
        "analytics.attention",
    }


def test_order_follows_the_queries() -> None:
    """Each analysis comes after those it reads."""
    analyses = list_analyses()
    names = list(analyses)
    assert analyses["duration_percentiles"].after == {"survival", "thread_durations"}
    for name, analysis in analyses.items():
        assert all(names.index(needed) < names.index(name) for needed in analysis.after)


BROKEN = {
    "malformed_is_broken": "malformed.sql: the header is malformed",
    "Bad_Name_is_broken": "Bad-Name.sql: its name may have small letters",
    "gr__e_is_broken": "größe.sql: its name may have small letters",
    "1a_is_broken": "1a.sql: its name may have small letters",
    "threads_is_broken": "threads.sql: the name threads is taken",
    "survival_is_broken": "survival.sql: the name survival is taken",
    "class_is_broken": "class.sql: the name class is taken",
    "type_is_broken": "type.sql: the name type is taken",
    "good_is_built_is_broken": "good_is_built.sql: the name good_is_built is taken",
    "check_name_is_broken": "check_name.sql: the header is malformed: .*no check may be called",
    "check_drops_is_broken": "check_drops.sql: the query cannot be parsed",
    "deep_is_broken": "deep.sql: the query cannot be parsed",
    "nested_is_broken": "nested.sql: the header is malformed",
    "directory_is_broken": "directory.sql: it is no file",
    "dangling_is_broken": "dangling.sql: it is no file",
    "pipe_is_broken": "pipe.sql: it is no file",
    "latin_is_broken": "latin.sql: it cannot be read",
    "huge_is_broken": "huge.sql: it has more than 1000000 bytes",
    "a": "these need each other: a, b",
    "b": "these need each other: a, b",
}


def test_own_analyses(home: Path, tmp_path: Path) -> None:
    """Files of the user's own are analyses too; one that is wrong fails alone, and says why."""
    for name, text in OWN.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "directory.sql").mkdir()
    (tmp_path / "dangling.sql").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.sql")
    (tmp_path / "latin.sql").write_bytes(HEADER.encode() + b"SELECT '\xff' AS x")
    (tmp_path / "huge.sql").write_text(HEADER + "SELECT 1 AS x" + " " * 1_000_000)
    analyses = list_analyses(tmp_path)
    well = {"good", "order", "date"}
    assert analyses.keys() == list_analyses().keys() | BROKEN.keys() | well
    with open_tables(home).write() as connection:
        for name in ("thread_durations", "status_distribution"):
            build_analysis(connection, analyses[name])
        for name in well:
            assert build_analysis(connection, analyses[name]).rows == 1
        for name, problem in BROKEN.items():
            assert str(tmp_path) in analyses[name].header.answers
            with pytest.raises(AnalysisError, match=problem):
                build_analysis(connection, analyses[name])


def test_endless_query_is_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query without an end is ended, so that nobody waits for the warehouse for ever."""
    monkeypatch.setattr("pipelines.warehouse.lanes.LIMIT_S", 0.5)
    endless = (
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x FROM n) SELECT max(x) AS x FROM n"
    )
    with (
        open_tables(home).write() as connection,
        pytest.raises(AnalysisError, match=r"analysis endless: .*nterrupt"),
    ):
        build_analysis(connection, parse_analysis("endless", HEADER + endless))


def test_default_of_the_settings(home: Path) -> None:
    """What the analyses read of the configuration is there before a run has written it."""
    with open_tables(home).write() as connection:
        rows = connection.execute("SELECT name, value FROM analysis_settings").fetchall()
        assert dict(rows) == Settings().for_analyses
        write_settings(connection, {"attention_after_minutes": 5})
        assert connection.execute("FROM analysis_settings").fetchall() == [
            ("attention_after_minutes", 5)
        ]
