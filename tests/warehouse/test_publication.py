"""The published copy: whole, private, and never in the way."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.errors import WarehouseError
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.analysis import parse_analysis
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import load, publish_all, replay_all, thread
from tests.support import read_table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # together they take long

SOME = {
    name: analysis
    for name, analysis in list_analyses().items()
    if name in {"ingestion_health", "thread_durations", "status_distribution"}
}
TABLES = (
    "threads",
    "thread_status_history",
    "spells_unseen",
    "session_polls",
    "session_digests",
    "schema_drift",
    "runs",
    "thread_spells",
    "thread_dimensions",
    "analysis_settings",
    "analysis_builds",
    *(f"analytics.{name}" for name in SOME),
)


def test_copy_is_the_warehouse(home: Path) -> None:
    """Tables, views, comments and rows are those of the warehouse."""
    load(home, 0, thread("a"), thread("b"))
    path = publish_all(home, list_analyses())
    for query in (
        "SELECT table_name, comment, estimated_size FROM duckdb_tables() ORDER BY ALL",
        "SELECT view_name, comment, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
        (
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY ALL"
        ),
        "FROM threads ORDER BY ALL",
        "FROM session_polls ORDER BY ALL",
        "FROM thread_dimensions ORDER BY ALL",
    ):
        assert read_table(path, query) == read_table(home / "warehouse.duckdb", query)
        assert read_table(path, query)
    assert path.stat().st_mode & 0o777 == 0o400
    assert sorted(p.name for p in home.iterdir()) == [
        "raw",
        "threads.duckdb",
        "warehouse.duckdb",
        "warehouse.holder",
        "warehouse.lock",
    ]


def test_any_duckdb_since_1_3_can_read_the_copy(home: Path) -> None:
    """The copy is in the format of DuckDB 1.3, whichever version of DuckDB has written it."""
    load(home, 0, thread("a"))
    query = "SELECT tags['storage_version'] AS since FROM duckdb_databases() WHERE NOT internal"
    assert read_table(publish_some(home), query) == [{"since": "v1.3.0+"}]


def test_a_file_in_another_format(home: Path) -> None:
    """A file that any DuckDB has made in its own format goes on, in no older one."""
    home.mkdir(mode=0o700, exist_ok=True)
    duckdb.connect(home / "warehouse.duckdb").execute("CREATE TABLE mine AS SELECT 1 AS x").close()
    load(home, 0, thread("a"))
    path = publish_some(home)
    assert read_table(path, "FROM mine") == [{"x": 1}]
    assert read_table(path, "SELECT thread_id FROM threads") == [{"thread_id": "a"}]


def test_a_disk_that_is_full_as_tables_are_closed(home: Path) -> None:
    """What was written and is in no file is reported, and the file is as it was."""
    load(home, 0, thread("a"))
    size = (home / "warehouse.duckdb").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    opened = DuckdbFile(home).write()
    opened.__enter__().execute("CREATE TABLE mine AS FROM range(50_000)")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(WarehouseError, match=r"warehouse\.duckdb: .* is undone"):
            opened.__exit__(None, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with DuckdbFile(home).write() as tables:
        names = [name for (name,) in tables.execute("SHOW TABLES").fetchall()]
        assert "mine" not in names
        assert tables.execute("SELECT thread_id FROM threads").fetchall() == [("a",)]


def test_readers_keep_the_copy_they_opened(home: Path) -> None:
    """A reader that has the copy open does not hinder a publication and sees no part of it."""
    load(home, 0, thread("a"))
    path = publish_some(home)
    with duckdb.connect(str(path), read_only=True) as reader:
        load(home, 10, thread("a"), thread("b"))
        publish_some(home)
        assert reader.execute("SELECT count(*) FROM threads").fetchone() == (1,)
    assert read_table(path, "SELECT count(*) AS n FROM threads") == [{"n": 2}]


def test_each_reader_of_one_process_may_have_the_newest_copy(home: Path) -> None:
    """What is attached anew is the newest copy, though another reader beside it has the old one."""
    query = "SELECT count(*) FROM thread_dimensions WHERE dimension = 'all'"
    load(home, 0, thread("a"))
    publish_all(home, list_analyses())
    with DuckdbFile(home).attach() as old:
        load(home, 10, thread("a"), thread("b"))
        publish_all(home, list_analyses())
        with DuckdbFile(home).attach() as new:
            new.execute("CREATE TEMP TABLE mine AS FROM threads")
            assert new.execute("FROM mine SELECT count(*)").fetchone() == (2,)
            assert new.execute(query).fetchone() == (2,)
            with pytest.raises(duckdb.Error, match="read-only"):
                new.execute("DELETE FROM threads")
        assert old.execute(query).fetchone() == (1,)


def test_unchanged_threads_are_not_copied(home: Path) -> None:
    """Where only the ledger is new, the copy gets it and the threads' blocks stay as they were."""
    crowd = [thread(f"t{i}", name=f"name {i}") for i in range(3000)]
    load(home, 0, *crowd)
    path = publish_some(home)
    storage = (
        "SELECT column_path, block_id, block_offset FROM pragma_storage_info('{}') ORDER BY ALL"
    )
    tables = ("threads", "thread_status_history")
    before = [read_table(path, storage.format(t)) for t in tables]
    # Held open, for the number of a file that is gone may be given to another.
    with path.open("rb") as old:
        for minute in (10, 20, 30):
            load(home, minute, *crowd)
            load(home, minute + 5, outcome="incomplete")
            publish_some(home)
        assert not os.path.samestat(os.fstat(old.fileno()), path.stat())
    assert [read_table(path, storage.format(t)) for t in tables] == before
    assert_equal(home, path)
    assert read_table(path, "SELECT count(*) AS n FROM runs") == [{"n": 7}]


@pytest.mark.parametrize("how", ["thread", "catalogue", "damaged"])
def test_what_changed_is_copied(home: Path, how: str) -> None:
    """A changed thread, another schema or a damaged copy: the whole is copied."""
    load(home, 0, thread("a"), thread("b"))
    path = publish_some(home)
    if how == "catalogue":
        with DuckdbFile(home).write() as connection:
            connection.execute("COMMENT ON TABLE threads IS 'another'")
    if how == "damaged":
        path.write_bytes(b"no database")
    load(home, 10, thread("a"), *([] if how == "thread" else [thread("b")]))
    publish_some(home)
    assert_equal(home, path)


def test_replayed_tables_are_copied(home: Path) -> None:
    """A warehouse that a replay has put in place is copied whole, whatever was published before."""
    load(home, 0, thread("a", "idle"), thread("b"))
    load(home, 10, thread("a", "running", updated=5), thread("b"))
    with DuckdbFile(home).write() as connection:
        connection.execute("UPDATE threads SET name = 'damaged'")
    path = publish_some(home)
    replay_all(home)
    load(home, 20, thread("a", "running", updated=5), thread("b"))
    publish_some(home)
    assert_equal(home, path)


def test_drift_of_unchanged_threads_is_published(home: Path) -> None:
    """What was found new in a thread that did not change reaches the copy."""
    load(home, 0, thread("a", colour="red"))
    with DuckdbFile(home).write() as connection:
        connection.execute("DELETE FROM schema_drift; DELETE FROM session_digests")
    path = publish_some(home)
    load(home, 10, thread("a", colour="red"))
    publish_some(home)
    assert_equal(home, path)
    assert read_table(path, "SELECT run_id FROM schema_drift") == [{"run_id": "run-10"}]


def publish_some(home: Path) -> Path:
    """Build some analyses and publish."""
    return publish_all(home, SOME)


def test_copy_speaks_of_one_load(home: Path) -> None:
    """Where another run was loaded since the analyses were built, they are built anew."""
    load(home, 0, thread("a"))
    with DuckdbFile(home).write() as connection:
        for name in ("thread_durations", "status_distribution"):
            build_analysis(connection, list_analyses()[name])
    load(home, 10, thread("a"), thread("b"))
    path = publish_some(home)
    query = "SELECT max(n) AS n FROM analytics.status_distribution"
    assert read_table(path, query) == [{"n": 2}]


def test_failing_analysis_hinders_no_publication(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails is named and keeps its table; one whose file is gone is gone."""
    load(home, 0, thread("a"))
    header = "-- answers: x\n-- grain: x\n-- columns: {x: x}\n"
    own = {name: parse_analysis(name, f"{header}SELECT 1 AS x") for name in ("kept", "gone")}
    publish_all(home, list_analyses() | own)
    broken = {"kept": parse_analysis("kept", f"{header}SELECT error('oh') AS x")}
    load(home, 10, thread("b"))
    path = publish_all(home, list_analyses() | broken)
    assert "analysis kept: Invalid Input Error: oh. The previous table is kept" in caplog.text
    assert read_table(path, "FROM analytics.kept") == [{"x": 1}]
    tables = read_table(path, "SELECT table_name FROM duckdb_tables()")
    assert "gone" not in {row["table_name"] for row in tables}


def assert_equal(home: Path, path: Path) -> None:
    """Assert that the copy is the warehouse, in schema, comments and rows."""
    for query in (
        "SELECT table_name, comment FROM duckdb_tables() ORDER BY ALL",
        "SELECT view_name, comment, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
        (
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY ALL"
        ),
        *(f"FROM {name} ORDER BY ALL" for name in TABLES),
    ):
        assert read_table(path, query) == read_table(home / "warehouse.duckdb", query)


def test_leftovers_are_replaced(home: Path) -> None:
    """What a killed publication left behind does not hinder the next, nor what has its names."""
    load(home, 0, thread("a"))
    (home / "elsewhere").mkdir()
    (home / "replay.tmp").symlink_to(home / "elsewhere")
    (home / "replay.tmp-2").mkdir()
    (home / "threads.duckdb.0a1b2c3d.tmp").write_bytes(b"half a database")
    publish_all(home, list_analyses())
    assert not [*home.glob("*.tmp"), *home.glob("replay.tmp*")]
    assert (home / "elsewhere").is_dir()


def test_nothing_published(home: Path) -> None:
    """Before the first publication the error says what to do."""
    with (
        pytest.raises(WarehouseError, match="Run `session-threads run` first"),
        DuckdbFile(home).read(),
    ):
        pass


def test_everything_is_commented(home: Path) -> None:
    """Every table, view and column of the published copy says what it means."""
    load(home, 0, thread("a"))
    path = publish_some(home)
    for query in (
        "SELECT column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal",
        "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL",
        "SELECT view_name FROM duckdb_views() WHERE comment IS NULL AND NOT internal",
    ):
        assert read_table(path, query) == []


WRITER = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute(sys.argv[2])
os._exit(1)
"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE threads SET status = 'poisoned'",
        "DROP TABLE threads",
        "CREATE TABLE mine AS SELECT 1 AS x",
        "INSERT INTO threads FROM threads",
        "ALTER TABLE threads ADD COLUMN mine INTEGER",
    ],
)
def test_what_others_write_into_the_copy(home: Path, statement: str) -> None:
    """A program that wrote into the copy and died poisons no later copy, and our readers say so."""
    load(home, 0, thread("a", "idle"))
    path = publish_all(home, {})
    assert path.stat().st_mode & 0o777 == 0o400
    subprocess.run([sys.executable, "-c", WRITER, str(path), statement], check=False)
    log = path.with_name(f"{path.name}.wal")
    assert log.exists()
    for read in (DuckdbFile(home).read, DuckdbFile(home).attach):
        said = pytest.raises(WarehouseError, match=r"threads\.duckdb\.wal.*-readonly.*build")
        with said, read():
            pass

    load(home, 1, thread("a", "running"))
    publish_all(home, {})
    assert not log.exists()
    with DuckdbFile(home).read() as connection:
        rows = connection.execute("SELECT thread_id, status FROM threads").fetchall()
    assert rows == [("a", "running")]
