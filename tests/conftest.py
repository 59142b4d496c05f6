"""What every test gets: an empty environment, a data directory, and a search for the token."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import duckdb
import hypothesis
import polars as pl
import pytest

from pipelines.cli.main import SELDOM
from tests.support import CANARY, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# As the command does: looking through all that was imported takes a fifth of the suite's start.
gc.set_threshold(*SELDOM)
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
    assert [path for path in paths if holds_token(path)] == []


def holds_token(path: Path) -> bool:
    """Whether a file holds the token, also compressed where it is a table of ours."""
    if CANARY.encode() in path.read_bytes():
        return True
    try:
        if path.suffix == ".parquet":
            return CANARY in repr(pl.read_parquet(path).rows())
        if path.suffix == ".duckdb":
            return is_in_database(CANARY, path)
    except (pl.exceptions.PolarsError, duckdb.Error):
        pass  # damaged on purpose
    return False


def is_in_database(text: str, path: Path) -> bool:
    """Whether a row of a table holds the text."""
    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as connection:
        tables = connection.execute(
            "SELECT format('{}.{}', schema_name, table_name) FROM duckdb_tables()"
            " WHERE estimated_size > 0"
        ).fetchall()
        found = [
            f"SELECT 1 FROM {name} AS whole_row WHERE contains(whole_row::VARCHAR, '{text}')"
            for (name,) in tables
        ]
        return bool(found) and bool(connection.execute(" UNION ALL ".join(found)).fetchall())
