"""What is wrong with DAGSTER_HOME is one line that names it, before Dagster meets it."""

from __future__ import annotations

import resource
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipelines.config.dagster_home import find_dagster_home
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def make_directory(path: Path) -> None:
    """Make an empty directory."""
    path.mkdir()


def make_file(path: Path) -> None:
    """Make a file where a directory should be."""
    path.write_text("")


def damage(name: str, content: bytes) -> Callable[[Path], None]:
    """Return what makes a directory in which a database of Dagster's holds this."""

    def make(path: Path) -> None:
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(content)

    return make


NONE = b"This is no database at all." * 100


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (make_file, "is no directory"),
        (lambda _: None, "is no directory"),
        (lambda path: path.symlink_to(path / "nowhere"), "is no directory"),
        (lambda path: path.symlink_to("/proc"), "cannot be written to"),
        (
            damage("history/runs.db", NONE),
            "history/runs.db cannot be read (file is not a database)",
        ),
        (damage("history/runs/index.db", NONE), "history/runs/index.db cannot be read"),
        (damage("schedules/schedules.db", b"SQLite format 3\0" + NONE), "cannot be read"),
        (lambda path: (path / "schedules/schedules.db").mkdir(parents=True), "cannot be read"),
    ],
)
def test_unusable(tmp_path: Path, make: Callable[[Path], None], problem: str) -> None:
    """A file, nothing, a dead link, what cannot be written to, damaged databases: one line each."""
    path = tmp_path / "dagster_home"
    make(path)
    with pytest.raises(SettingsError) as raised:
        find_dagster_home({"DAGSTER_HOME": str(path)})
    line = str(raised.value)
    assert line.startswith(f"DAGSTER_HOME: {path}")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize("named", ["dagster_home", "./dagster_home", "~/dagster_home"])
def test_relative(named: str) -> None:
    """A path that means something else in another directory is rejected, as Dagster would."""
    with pytest.raises(SettingsError, match=r"^DAGSTER_HOME: '.*' is not a whole path\. Begin"):
        find_dagster_home({"DAGSTER_HOME": named})


def test_full_disk(tmp_path: Path) -> None:
    """A disk that takes no more is found by writing, and the trial leaves nothing."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SettingsError, match=r"cannot be written to \(File too large\)\. Name"):
            find_dagster_home({"DAGSTER_HOME": str(tmp_path)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_usable(tmp_path: Path) -> None:
    """A directory, empty or with databases, is taken, and stays as it was; so is no variable."""
    assert find_dagster_home({}) is None
    assert find_dagster_home({"DAGSTER_HOME": ""}) is None
    assert find_dagster_home({"DAGSTER_HOME": str(tmp_path)}) == tmp_path
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "history").mkdir()
    database = tmp_path / "history" / "runs.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE runs (id)")
    connection.close()
    content = database.read_bytes()
    assert find_dagster_home({"DAGSTER_HOME": str(tmp_path)}) == tmp_path
    assert database.read_bytes() == content
