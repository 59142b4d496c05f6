"""Files are replaced whole or not at all, and by nobody's link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipelines.files import list_statuses, replace_file
from pipelines.warehouse.duckdb_file import DuckdbFile

if TYPE_CHECKING:
    from pathlib import Path


def test_replaced_whole(tmp_path: Path) -> None:
    """A reader finds what was there before, or all that is new; its owner alone can read it."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o644)
    with replace_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
        (temporary,) = set(tmp_path.iterdir()) - {path}
        assert temporary.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt, OSError])
def test_failed_writes_leave_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """A write that fails, or is interrupted, leaves what was there before and nothing else."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replace_file(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that someone has put in the way is not written through, nor is one at the path."""
    monkeypatch.setattr("pipelines.files.secrets.token_hex", lambda _: "0000")
    victim, path = tmp_path / "victim", tmp_path / "a.txt"
    victim.write_text("mine")
    (tmp_path / "a.txt.0000.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError), replace_file(path):
        pass
    (tmp_path / "a.txt.0000.tmp").unlink()
    path.symlink_to(victim)
    with replace_file(path) as file:
        file.write(b"new")
    assert (victim.read_text(), path.read_text()) == ("mine", "new")
    assert not path.is_symlink()


def test_content_and_name_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synchronized before the rename, the folder after it."""
    synced: list[tuple[bool, bool]] = []
    path, sync = tmp_path / "a.txt", os.fsync

    def note(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        synced.append((is_folder, path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with replace_file(path) as file:
        file.write(b"new")
    assert synced == [(False, False), (True, True)]


def test_statuses_are_one_list(home: Path) -> None:
    """SQL reads the same statuses as Python, and those of another version are replaced."""
    query = "SELECT status FROM statuses WHERE is_closed = ? ORDER BY rank"
    with DuckdbFile(home).write() as connection:
        for closed in (True, False):
            rows = connection.execute(query, [closed]).fetchall()
            assert tuple(status for (status,) in rows) == list_statuses(closed=closed)
        connection.execute("UPDATE statuses SET is_closed = TRUE")
        connection.execute("UPDATE schema_version SET views = 'of another version'")
    with DuckdbFile(home).write() as connection:
        rows = connection.execute(query, [True]).fetchall()
    assert tuple(status for (status,) in rows) == list_statuses(closed=True)
    assert set(list_statuses(closed=True)) == {"archived", "terminated", "cancelled"}
