"""A PostgreSQL server for the tests of lakes, and a database in it for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("psycopg", reason="the extra lake is not installed")
pytest.importorskip("duckdb_extension_ducklake", reason="the extra lake is not installed")

from pydantic import SecretStr

from pipelines.config.lake import Catalog, Lake
from tests.lake.postgres import connect, find_binaries, run_postgres
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """Run a server; skips where PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with run_postgres(binaries) as port:
        yield port


@pytest.fixture
def make_lake(port: int, tmp_path: Path) -> Callable[[str], Lake]:
    """Return a function that gives a lake in a schema of a fresh database."""
    database = f"threads_{abs(hash(tmp_path))}"
    with connect(port) as server:
        server.execute(f'CREATE DATABASE "{database}"')

    def make(schema: str) -> Lake:
        catalog = {
            "host": "127.0.0.1",
            "port": port,
            "database": database,
            "user": "admin",
            "schema": schema,
            "password_env": "LAKE_PASSWORD",
        }
        return Lake(
            Catalog.model_validate(catalog), str(tmp_path / "lake" / schema), SecretStr(CANARY)
        )

    return make


@pytest.fixture
def lake(make_lake: Callable[[str], Lake]) -> Lake:
    """Return an empty lake."""
    return make_lake("team_a")
