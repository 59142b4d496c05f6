"""The README's commands and code do what it says, as printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.cli.console import SUMMARY_COLUMNS
from pipelines.config.loader import load_settings
from pipelines.config.settings import Session, Settings, Source
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.world import World
from pipelines.warehouse.analyses import list_analyses
from tests.support import ROOT, read_blocks, run_printed, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return read_blocks(ROOT / "README.md", language)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a working directory in which the README's shell commands have been run."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        path = tmp_path_factory.mktemp("reader")
        monkeypatch.chdir(path)
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        with serve_world(World([0, 40, 7]), monkeypatch):
            for block in blocks("sh"):
                run_printed("bash", "-euo", "pipefail", "-c", block)
        yield path


@pytest.mark.slow
def test_shell_commands(directory: Path) -> None:
    """Every shell command runs as printed, in the order of the page."""
    assert (directory / "data" / "threads.duckdb").exists()
    assert (directory / "data" / "durations.csv").read_text().startswith("source,session_id,")


@pytest.mark.slow
def test_sql(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every query runs as printed and finds something."""
    monkeypatch.chdir(directory)
    assert blocks("sql")
    for block in blocks("sql"):
        assert len(run_printed("session-threads", "sql", block).splitlines()) > 3


@pytest.mark.slow
def test_python(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both pieces of Python run as printed: the one ends in a chart, the other prints a frame."""
    monkeypatch.chdir(directory)
    chart, frame = blocks("python")
    head, _, shown = chart.strip().rpartition("\n")
    drawn = run_printed(sys.executable, "-W", "error", "-c", f"{head}\nprint(({shown}).to_json())")
    assert '"mark"' in drawn
    assert '"status": "idle"' in drawn
    assert "shape: (" in run_printed(sys.executable, "-W", "error", "-c", frame)


def test_configuration() -> None:
    """The configuration is taken as printed: every key, with its default."""
    (text,) = blocks("yaml")
    Path("sessions.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(PROVIDERS, {"QODER_PAT": "pt-x"})
    assert not {key for key in Source.model_fields if f"{key}:" not in text}
    assert not {key for key in Settings.model_fields if f"{key}:" not in text}
    assert not {key for key in Session.model_fields if f"{key}:" not in text}
    bare = {"QODER_PAT": "pt-x", "QODER_SESSION_IDS": "sess_a", "SESSION_THREADS_CONFIG": "none"}
    Path("none").touch()
    (default,) = load_settings(PROVIDERS, bare).sources
    own = {"sessions", "token_env"}
    assert settings.sources[0].model_dump(exclude=own) == default.model_dump(exclude=own)


def test_summary() -> None:
    """The printed summary has the columns that a run prints."""
    header = next(line for line in TEXT.splitlines() if line.startswith("session  "))
    assert header.split() == ["session", *SUMMARY_COLUMNS.values()]


def test_make_targets() -> None:
    """Every make target that is named exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^    )make ([a-z0-9-]+)", TEXT, flags=re.MULTILINE))
    assert {"demo", "test", "run", "dev", "help"} <= named
    assert not {target for target in named if f"\n{target}:" not in makefile}


def test_every_command_is_documented() -> None:
    """Every analysis, and every command a user needs, stands in the README."""
    for name in ("run", "init", "check", "status", "replay", "show", "report", "sql"):
        assert f"session-threads {name}" in TEXT
    for name in list_analyses():
        assert f"`analytics.{name}`" in TEXT
