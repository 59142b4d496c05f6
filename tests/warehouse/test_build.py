"""Analyses are built together, and one that fails keeps its own previous table alone."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.analysis import parse_analysis
from pipelines.warehouse.build import build_all, build_outdated
from pipelines.warehouse.lanes import run_lanes
from pipelines.warehouse.shared import SHARED
from pipelines.warehouse.sql import fetch_records, limit_memory, quote
from tests.builders import HEADER
from tests.empty import open_tables

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.warehouse.analysis import Analysis

CHECK = "-- checks:\n--   small: FROM analytics.b WHERE x > 1\n"
ENDLESS = "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x FROM n) SELECT max(x) AS x FROM n"


def parse(**queries: str) -> dict[str, Analysis]:
    """Return analyses of one column, `b` with a check."""
    return {
        name: parse_analysis(name, HEADER + (CHECK if name == "b" else "") + query)
        for name, query in queries.items()
    }


BEFORE = parse(a="SELECT 1 AS x", b="SELECT 1 AS x", c="SELECT x FROM analytics.b")


@pytest.mark.parametrize(
    ("query", "check", "problem"),
    [
        ("SELECT 2 AS x", "small", "check small found x=2"),
        ("SELECT 2 AS y", "is_built", "the query gives the columns ['y']"),
        ("SELECT no_such_column AS x", "is_built", "no_such_column"),
        ("SELECT error('boom') AS x", "is_built", "boom"),
        (ENDLESS, "is_built", "nterrupt"),
    ],
)
def test_failure_keeps_its_own_table_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, query: str, check: str, problem: str
) -> None:
    """Whatever is wrong with one, its table and comments are the previous ones, and no other's."""
    monkeypatch.setattr("pipelines.warehouse.lanes.LIMIT_S", 0.5)
    after = parse(a="SELECT 5 AS x", b=query, c="SELECT 10 * x AS x FROM analytics.b")
    comments = "SELECT comment FROM duckdb_columns() WHERE schema_name = 'analytics'"
    with open_tables(home).write() as connection:
        assert all(outcome.built for outcome in build_all(connection, BEFORE))
        first, second, third = build_all(connection, after)
        assert (first.failures, third.failures) == ({}, {})
        assert second.built is None
        assert second.failures.keys() == {check}
        assert problem in second.failures[check]
        tables = {name: fetch_records(connection, f"FROM analytics.{name}") for name in after}
        assert tables == {"a": [{"x": 5}], "b": [{"x": 1}], "c": [{"x": 10}]}
        assert connection.execute(comments).fetchall() == [("a number",)] * 3
        assert build_outdated(connection, after) == []


def test_failure_without_a_previous_table(home: Path) -> None:
    """One that never succeeded has no table, and those that read it say so."""
    with open_tables(home).write() as connection:
        outcomes = build_all(connection, parse(b="SELECT 2 AS x", c="SELECT x FROM analytics.b"))
        assert [bool(outcome.built) for outcome in outcomes] == [False, False]
        assert "b does not exist" in outcomes[1].failures["is_built"]
        found = fetch_records(
            connection, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'analytics'"
        )
        assert found == []


def test_what_is_read_comes_first() -> None:
    """What others read is begun first, and they as soon as it is there, whatever else is built."""
    query = "SELECT 1 AS x"
    analyses = parse(a=query, c=query, d=query, e=query, z=query)
    analyses |= parse(f=f"{query} FROM analytics.z", g=f"{query} FROM analytics.f")
    begun: list[str] = []
    is_read = threading.Event()

    def build(_lane: duckdb.DuckDBPyConnection, analysis: Analysis) -> bool:
        begun.append(analysis.name)
        if analysis.name == "g":
            is_read.set()
        return analysis.name in "zfg" or is_read.wait(30)

    with duckdb.connect() as one, one.cursor() as other:
        assert run_lanes([one, other], analyses, build) == [True] * len(analyses)
    assert "z" in begun[:2]
    assert sorted(begun[:4]) == sorted(["z", "f", "g", begun[0] if begun[0] != "z" else begun[1]])


def test_ended_builds_count_for_nothing(home: Path) -> None:
    """If the process ends before it has written down what was built, all that is built again."""
    look = "SELECT count(*) AS x FROM analysis_builds WHERE name = '{}'"
    analyses = parse(a=look.format("a"), c=look.format("b"))
    with open_tables(home).write() as connection:
        for count in (0, 1):
            build_all(connection, parse(b="SELECT 1 AS x"))
            build_all(connection, analyses)
            built = [fetch_records(connection, f"FROM analytics.{name}") for name in analyses]
            assert built == [[{"x": 0}], [{"x": 1}]], count


@pytest.mark.slow
def test_memory(home: Path) -> None:
    """Analyses are built within the limit, on disk as well; one that cannot be has all there is."""
    limit = "SELECT current_setting('memory_limit') AS x"
    analyses = parse(
        a=limit,
        b="SELECT len(list(x)) - 30_000_000 AS x FROM range(30_000_000) AS numbers (x)",
        c=f"{limit} FROM analytics.b",
    )
    with open_tables(home).write() as connection:
        limit_memory(connection, 120)
        outcomes = build_all(connection, analyses)
        tables = [fetch_records(connection, f"FROM analytics.{name}") for name in analyses]
        limit_memory(connection, 120)
        build_all(connection, parse(a=limit))
        again = fetch_records(connection, "FROM analytics.a")
    assert [outcome.failures for outcome in outcomes] == [{}, {}, {}]
    assert tables[1] == [{"x": 0}]
    assert tables[2] != tables[0] == again == [{"x": "114.4 MiB"}]


def test_size_of_what_is_read_is_known(home: Path) -> None:
    """What others read is committed before them: DuckDB plans badly if it takes it to be empty."""
    size = "SELECT estimated_size AS x FROM duckdb_tables() WHERE table_name = '{}'"
    analyses = parse(
        a="SELECT x FROM range(5000) AS numbers (x)",
        c=f"{size.format('a')} AND EXISTS (FROM analytics.a)",
        d=f"{size.format('c')} AND EXISTS (FROM analytics.c)",
    )
    with open_tables(home).write() as connection:
        build_all(connection, analyses)
        sizes = [fetch_records(connection, f"FROM analytics.{name}") for name in ("c", "d")]
    assert sizes == [[{"x": 5000}], [{"x": 1}]]


def test_no_table_is_taken_to_be_small(home: Path) -> None:
    """No row is compared with all of another table because DuckDB takes that to have few."""
    sides = "EXPLAIN (FORMAT json) FROM range(2) AS a (x) {} range(2) AS b (x) ON a.x >= b.x"
    with open_tables(home).write() as connection:
        build_all(connection, BEFORE)
        with connection.cursor() as lane:
            for join in ("ASOF JOIN", "ASOF LEFT JOIN", "JOIN"):
                plan = str(lane.execute(sides.format(join)).fetchall())
                assert "NESTED_LOOP_JOIN" not in plan, join


def test_side_by_side(home: Path) -> None:
    """Small tables are read by one thread, for several analyses at once; large ones by all.

    Small ones need half of the memory, and 100 MB at least.
    """
    threads = "SELECT current_setting('threads')::INTEGER AS x"
    limit = "SELECT current_setting('memory_limit')"
    analyses = parse(a=threads, c=threads, d="SELECT error('no') AS x", e="SELECT error('no') AS x")
    large = "CREATE OR REPLACE TABLE threads AS FROM range({}) AS numbers (thread_id)"
    seen: list[object] = []
    with open_tables(home).write() as connection:
        connection.execute("SET threads = 3")
        for rows in (122_880, 122_881):
            connection.execute(large.format(rows))
            outcomes = build_all(connection, analyses, memory_mb=300)
            seen.append([fetch_records(connection, f"FROM analytics.{n}")[0]["x"] for n in "ac"])
            seen.append([outcome.built is not None for outcome in outcomes])
            seen += connection.execute(f"{threads}, ({limit}) AS y").fetchall()
            build_all(connection, parse(a="SELECT 1 AS x"), memory_mb=120)
            seen += connection.execute(limit).fetchall()
    built, least = [True, True, False, False], ("95.3 MiB",)
    assert seen[:4] == [[1, 1], built, (3, "143.0 MiB"), least]
    assert seen[4:] == [[3, 3], built, (3, "286.1 MiB"), ("114.4 MiB",)]


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2])
def test_interruption(home: Path, cores: int) -> None:
    """Ctrl-C ends what is being built on every connection, and leaves the previous tables."""
    with open_tables(home).write() as connection:
        connection.execute(f"SET threads = {cores}")
        build_all(connection, parse(a="SELECT 1 AS x", c="SELECT 1 AS x"))
        timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            build_all(connection, parse(a=ENDLESS, c=ENDLESS))
        tables = [fetch_records(connection, f"FROM analytics.{name}") for name in "ac"]
        assert tables == [[{"x": 1}]] * 2


@pytest.mark.parametrize("broken", [None, "latest_polls", "source_as_of"])
def test_shared_views(home: Path, broken: str | None) -> None:
    """What several read is computed once and forgotten; if it cannot be, each says so itself."""
    look = "SELECT count(*) AS x FROM duckdb_views() WHERE temporary AND view_name IN ({})"
    shared = parse(a=look.format(", ".join(map(quote, SHARED))), c="SELECT 1 AS x")
    with open_tables(home).write() as connection:
        if broken:
            connection.execute(f"CREATE OR REPLACE VIEW {broken} AS SELECT error('no') AS source")
        outcomes = build_all(connection, shared)
        built = fetch_records(connection, "FROM analytics.a")
        build_all(connection, parse(a=look.format("''")))
        query = "SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal"
        left = fetch_records(connection, query)
    assert [outcome.failures for outcome in outcomes] == [{}, {}]
    assert (built, left) == ([{"x": 0 if broken else len(SHARED)}], [])


def test_failure_is_tried_again(home: Path) -> None:
    """A query that failed the last time is tried again, and no other is built twice for it."""
    counted = "SELECT nextval('builds') AS x"
    broken = parse(a="SELECT error('no') AS x", c=counted, d="SELECT x FROM analytics.a")
    fixed = parse(a="SELECT 5 AS x", c=counted, d="SELECT x FROM analytics.a")
    seen = []
    with open_tables(home).write() as connection:
        connection.execute("CREATE SEQUENCE builds")
        for analyses in (broken, broken, fixed):
            outcomes = build_all(connection, analyses)
            assert [outcome.analysis.name for outcome in outcomes] == ["a", "c", "d"]
            built = connection.execute("SELECT x FROM analytics.c").fetchall()[0][0]
            errors = "SELECT name FROM analysis_builds WHERE error IS NOT NULL ORDER BY ALL"
            seen.append((built, [name for (name,) in connection.execute(errors).fetchall()]))
        rows = fetch_records(connection, "FROM analytics.d")
    assert seen == [(1, ["a", "d"]), (2, ["a", "d"]), (3, [])]
    assert rows == [{"x": 5}]


def test_what_reads_another_is_built_after_it(home: Path, tmp_path: Path) -> None:
    """If the file of an analysis changes, or is fixed, what reads its table is not kept."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "d.sql").write_text(f"{HEADER}SELECT 10 * x AS x FROM analytics.a")
    seen: list[object] = []
    with open_tables(home).write() as connection:
        for query in ("SELECT 1 AS x", "SELECT 2 AS x", "SELECT error('no') AS x", "SELECT 2 AS x"):
            (own / "a.sql").write_text(HEADER + query)
            known = {name: list_analyses(own)[name] for name in "ad"}
            build_all(connection, {"a": known["a"]}, anew=False)
            seen.append(build_outdated(connection, known))
            seen.append(fetch_records(connection, "FROM analytics.d"))
            build_all(connection, known, anew=False)
            versions = connection.execute("SELECT name FROM analysis_builds WHERE inputs IS NULL")
            seen.append(sorted(name for (name,) in versions.fetchall()))
    assert seen == [
        *([], [{"x": 10}], []),
        *([], [{"x": 20}], []),
        *([], [{"x": 20}], ["a", "d"]),
        *([], [{"x": 20}], []),
    ]
