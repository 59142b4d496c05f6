"""What the tests share: a fleet served over real HTTP, and an environment that points at it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipelines.sandbox.server import TOKEN, Sandbox, serve
from pipelines.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@contextmanager
def serve_world(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a world and configure every session of it; give the base URL."""
    with serve(Sandbox(world).app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        monkeypatch.setenv("QODER_PAT", TOKEN)
        monkeypatch.setenv("QODER_SESSION_IDS", ",".join(world.sessions))
        yield base_url
