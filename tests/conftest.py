"""What every test gets: an empty environment and a data directory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the data directory, not made yet."""
    directory = tmp_path / "home"
    monkeypatch.setenv("SESSION_THREADS_HOME", str(directory))
    return directory
