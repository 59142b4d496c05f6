"""Landed runs that cannot be loaded: tried twice, then set aside by name."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import LandingError, LoadRejected
from pipelines.landing.aside import BEGINNINGS, BEGUN, FAILED, Tries, describe_aside
from pipelines.landing.directory import ASIDE, RAW, list_runs
from pipelines.landing.footer import Footer
from pipelines.landing.format import read_run, write_run
from pipelines.landing.store import Directory, LandedFile
from tests.builders import (
    SESSION,
    as_path,
    land,
    load,
    load_all,
    read,
    replace_body,
    replay_all,
    thread,
)
from tests.support import invoke

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.slow  # together they take long


def damage(file: LandedFile) -> None:
    """Write something else into a file."""
    as_path(file).write_bytes(b"PAR1")


def twice(file: LandedFile) -> None:
    """Replace a run by one that names its session's poll twice: the ledger has it once."""
    landed = read_run(file)
    file.delete()
    write_run(file.store, Footer(landed.run, landed.polls * 2), landed.pages.rows())


@pytest.mark.parametrize("spoil", [damage, replace_body, twice])
def test_a_run_that_cannot_be_loaded(home: Path, spoil: object) -> None:
    """The first failure is raised; the second sets the run aside, and the next ones are loaded."""
    load(home, 0, thread("a"))
    land(home, 10, thread("b"))
    assert callable(spoil)
    spoil(list_runs(Directory(home / RAW))["run-10"])
    with pytest.raises((LandingError, LoadRejected)):
        load_all(home)
    land(home, 20, thread("a"), thread("c"))
    assert load_all(home) == ["run-20"]
    names = sorted(path.name for path in (home / RAW).iterdir())
    assert not [name for name in names if BEGUN in name or FAILED in name]
    (mark,) = (name for name in names if name.endswith(ASIDE))
    land(home, 30, thread("a"))
    assert load_all(home) == ["run-30"]
    before = read(home, "FROM threads ORDER BY thread_id")
    assert replay_all(home).runs == ["run-0", "run-20", "run-30"]
    assert read(home, "FROM threads ORDER BY thread_id") == before
    for command in ("status", "replay"):
        result = invoke(command, QODER_SESSION_IDS=SESSION)
        assert result.returncode == 1
        assert "run-10" in result.stderr
        said = f"set aside. After an upgrade remove the file beside it that ends in {ASIDE}"
        assert said in result.stderr
    (home / RAW / mark).unlink()
    assert describe_aside(Directory(home / RAW)) is None  # as if it had never been tried
    assert "run-10" in list_runs(Directory(home / RAW))


def test_a_load_that_ends_the_process(home: Path) -> None:
    """A run whose load never came to its end is set aside after some more tries."""
    land(home, 0, thread("a"))
    land(home, 10, thread("a"))
    for _ in range(BEGINNINGS):
        assert describe_aside(Directory(home / RAW)) is None
        Tries(list_runs(Directory(home / RAW))["run-0"]).begin()
    assert load_all(home) == ["run-10"]
    assert str(describe_aside(Directory(home / RAW))).startswith(str(home / RAW))


def test_faults_of_the_machine_do_not_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no fault of the file, such as Ctrl-C, sets nothing aside however often it comes."""
    land(home, 0, thread("a"))
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("pipelines.warehouse.load.load_run", fail)
        for _ in range(BEGINNINGS + 1):
            with pytest.raises(KeyboardInterrupt):
                load_all(home)
    assert load_all(home) == ["run-0"]


def test_mark_that_cannot_be_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room for the mark is one line; a link in its place is not followed."""
    land(home, 0, thread("a"))
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr("pipelines.landing.store.create", fail)
        with pytest.raises(LandingError, match=r"\.begun-1: cannot be written \(No space left"):
            load_all(home)
    file = list_runs(Directory(home / RAW))["run-0"]
    other = home / "other"
    as_path(file).with_name(f"{file.name}{BEGUN}1").symlink_to(other)
    assert load_all(home) == ["run-0"]
    assert not other.exists()
