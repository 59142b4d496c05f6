"""The published copy: whole, private, and never in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.errors import WarehouseError
from pipelines.warehouse.database import open_published
from pipelines.warehouse.publication import publish
from tests.support import read_table
from tests.warehouse.test_load import load, thread

if TYPE_CHECKING:
    from pathlib import Path


def test_copy_is_the_warehouse(home: Path) -> None:
    """Tables, views, comments and rows are those of the warehouse."""
    load(home, 0, thread("a"), thread("b"))
    path = publish(home)
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
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in home.iterdir()) == ["raw", "threads.duckdb", "warehouse.duckdb"]


def test_readers_keep_the_copy_they_opened(home: Path) -> None:
    """A reader that has the copy open does not hinder a publication and sees no part of it."""
    load(home, 0, thread("a"))
    path = publish(home)
    with duckdb.connect(str(path), read_only=True) as reader:
        load(home, 10, thread("a"), thread("b"))
        publish(home)
        assert reader.execute("SELECT count(*) FROM threads").fetchone() == (1,)
    assert read_table(path, "SELECT count(*) AS n FROM threads") == [{"n": 2}]


def test_leftovers_are_replaced(home: Path) -> None:
    """What a killed publication left behind does not hinder the next."""
    load(home, 0, thread("a"))
    (home / "threads.tmp").write_bytes(b"half a database")
    (home / "threads.tmp.wal").write_bytes(b"half a log")
    publish(home)
    assert not list(home.glob("*.tmp*"))


def test_nothing_published(home: Path) -> None:
    """Before the first publication the error says what to do."""
    with (
        pytest.raises(WarehouseError, match="Run `session-threads run` first"),
        open_published(home),
    ):
        pass
