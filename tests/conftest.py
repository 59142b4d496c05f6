"""What every test gets: an empty environment, a data directory, and a search for the token."""

from __future__ import annotations

import gc
import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import duckdb
import hypothesis
import polars as pl
import pytest

from pipelines.sandbox.sessions import PROMPT, VARIABLE
from tests.support import CANARY, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# Looking through all that was imported takes a fifth of the suite's start.
gc.set_threshold(50_000, 20, 100)
# `make soak` looks longer; neither is timed, for machines are noisy.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=100_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

VARIABLES = (
    "QODER_PAT",
    "QODER_ACCESS_TOKEN",
    "QODER_BASE_URL",
    "QODER_SESSION_IDS",
    "SESSION_THREADS_CONFIG",
    "SESSION_THREADS_HOME",
    "DAGSTER_HOME",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No two tests have one name: of those, only one runs where several processes share them.

    Files with slow tests come first: at the end no process waits for one that has begun late.
    """
    names = Counter(item.nodeid for item in items)
    if alike := [f"{name} ({count})" for name, count in names.items() if count > 1]:
        raise pytest.UsageError(f"tests with one name: {', '.join(alike)}")
    slow = {item.path for item in items if any(map(item.get_closest_marker, ("slow", "packaging")))}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the configuration of the machine it runs on, or writes beside it."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def users_environment() -> Iterator[None]:
    """No command that a test starts finds the libraries that came with the tools of the tests."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "users"))
        yield


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the data directory, not made yet."""
    directory = tmp_path / "home"
    monkeypatch.setenv("SESSION_THREADS_HOME", str(directory))
    return directory


@pytest.fixture(autouse=True)
def no_token_in_streams(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """No test lets the token reach standard output, standard error or a log."""
    yield
    out, err = capfd.readouterr()
    assert CANARY not in out + err + caplog.text


@pytest.fixture(scope="session", autouse=True)
def no_token_in_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No file that the whole suite makes holds the token, compressed ones included."""
    yield
    paths = [path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file()]
    assert find_texts(paths, CANARY, PROMPT, VARIABLE) == []


def find_texts(paths: Iterable[Path], *texts: str) -> list[Path]:
    """Return the files that hold one of the texts, also compressed if they are tables of ours."""
    found, databases = [], []
    for path in paths:
        data = path.read_bytes()
        if any(text.encode() in data for text in texts) or (
            path.suffix == ".parquet" and is_in_parquet(path, texts)
        ):
            found.append(path)
        elif path.suffix == ".duckdb":
            databases.append(path)
    return found + find_in_databases(databases, texts)


def is_in_parquet(path: Path, texts: Iterable[str]) -> bool:
    """Whether a row of a Parquet file holds a text; one that is damaged on purpose does not."""
    try:
        rows = repr(pl.read_parquet(path).rows())
    except pl.exceptions.PolarsError:
        return False
    return any(text in rows for text in texts)


def find_in_databases(paths: Iterable[Path], texts: Iterable[str]) -> list[Path]:
    """Return the files with a table whose rows hold a text; what is damaged on purpose has none.

    One instance of DuckDB attaches them in turn: starting one takes longer than reading a file.
    An error may leave an instance unfit for the next file, which gets another one.
    """
    found = []
    left = list(paths)
    while left:
        with suppress(duckdb.Error), duckdb.connect(config={"threads": 1}) as connection:
            while left:
                path = left.pop()
                connection.execute(f"ATTACH '{path}' AS file (READ_ONLY)")
                if is_in_database(connection, texts):
                    found.append(path)
                connection.execute("DETACH file")
    return found


def is_in_database(connection: duckdb.DuckDBPyConnection, texts: Iterable[str]) -> bool:
    """Whether a row of a table of the database `file` holds one of the texts."""
    tables = connection.execute(
        "SELECT format('file.{}.{}', schema_name, table_name) FROM duckdb_tables()"
        " WHERE database_name = 'file' AND estimated_size > 0"
    ).fetchall()
    holds = " OR ".join(f"contains(whole_row::VARCHAR, '{text}')" for text in texts)
    rows = [f"SELECT 1 FROM {name} AS whole_row WHERE {holds}" for (name,) in tables]
    return bool(rows) and bool(connection.execute(" UNION ALL ".join(rows)).fetchall())
