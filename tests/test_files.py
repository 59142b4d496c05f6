"""Files are replaced whole or not at all, and by nobody's link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pipelines.errors import LandingError
from pipelines.files import add_file, copy_content, list_statuses, make_private, replace_file
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import load, publish_all, thread
from tests.support import read_table


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


@pytest.mark.parametrize("size", [0, 1, 3 * 2**20 + 7])
def test_copies_are_whole(tmp_path: Path, size: int) -> None:
    """A copy holds every byte of a file, whoever has read of it."""
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as source, replace_file(tmp_path / "b") as copy:
        assert source.read(4) == content[:4]
        copy_content(source, copy)
    assert (tmp_path / "b").read_bytes() == content


def test_copies_need_no_help_of_a_file_system(tmp_path: Path) -> None:
    """What the kernel cannot copy from, or takes to be empty, is read and written."""
    system = Path("/proc/self/cmdline")
    if not system.exists():
        system = tmp_path / "a"
        system.write_bytes(b"python")
    with system.open("rb") as source, replace_file(tmp_path / "b") as copy:
        copy_content(source, copy)
    assert (tmp_path / "b").read_bytes() == system.read_bytes() != b""


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
    with pytest.raises(FileExistsError):
        add_file(path, b"new")
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


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_file_systems_that_cannot(
    home: Path, number: int, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that synchronizes no names, or knows no modes, takes runs all the same."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"pipelines.files.os.{call}", fail)
    assert load(home, 0, thread("a"))["threads_new"] == 1
    publish_all(home, {})
    assert read_table(home / "threads.duckdb", "SELECT thread_id FROM threads") == [
        {"thread_id": "a"}
    ]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_failed_synchronization(home: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails to synchronize is one line, and nothing counts as landed."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pipelines.files.os.fsync", fail)
    with pytest.raises(LandingError, match=os.strerror(number)):
        load(home, 0, thread("a"))


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777, 0o720])
def test_shared_directories(home: Path, mode: int) -> None:
    """A data directory in which others can write is rejected, with what to do."""
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(LandingError, match=r"can be written by others.*chmod go-w"):
        load(home, 0, thread("a"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_directories_of_others(home: Path) -> None:
    """A data directory that belongs to another user is rejected."""
    home.mkdir(mode=0o700)
    os.chown(home, 12345, -1)
    with pytest.raises(LandingError, match="belongs to another user"):
        load(home, 0, thread("a"))


def test_folders_of_a_shared_one(tmp_path: Path) -> None:
    """What is made in a folder that all may write to, such as /tmp, is for its owner alone."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    make_private(shared / "mine" / "data")
    modes = [path.stat().st_mode & 0o777 for path in (shared / "mine", shared / "mine" / "data")]
    assert modes == [0o700, 0o700]
    with pytest.raises(LandingError, match="can be written by others"):
        make_private(shared)


def test_a_name_that_cannot_be_synchronized(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose name may not be on disk has not landed: nothing of it stops the next one."""
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.files.os.fsync", fail)
        with pytest.raises(LandingError, match="Nothing of this run is loaded"):
            load(home, 0, thread("a"))
    assert list((home / "raw").glob("*.parquet")) == []
    assert load(home, 1, thread("a"))["threads_new"] == 1
