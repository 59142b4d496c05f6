"""One process writes at a time: a lock that names its holder, and is released when that dies."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.files import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

LOCK = "warehouse.lock"
HOLDER = "warehouse.holder"
# What a killed writer may leave behind: unfinished files, and what DuckDB spilled to disk.
LEFTOVERS = ("threads.duckdb.*.tmp", "replay.tmp*", "warehouse.duckdb.tmp", f"{HOLDER}.*.tmp")
WAIT_LIMIT_S = 600.0


@contextmanager
def lock(home: Path, wait_s: float | None = None) -> Iterator[None]:
    """Be the one process that writes in the data directory; wait for another that does.

    The operating system takes the lock from a process that dies. Raises WarehouseBusy, naming the
    holder, after `wait_s` seconds (WAIT_LIMIT_S).
    """
    make_private(home)
    file_lock = filelock.FileLock(home / LOCK, mode=0o600)
    _acquire(file_lock, home, WAIT_LIMIT_S if wait_s is None else wait_s)
    try:
        _name_holder(home)
        _remove_leftovers(home)
        yield
    finally:
        _remove_leftovers(home)
        file_lock.release()


def _acquire(file_lock: filelock.BaseFileLock, home: Path, wait_s: float) -> None:
    try:
        file_lock.acquire(timeout=0)
    except filelock.Timeout:
        if wait_s:
            logger.warning("%s: waiting for %s", home, _read_holder(home))
        try:
            file_lock.acquire(timeout=wait_s)
        except filelock.Timeout:
            waited = f"{_read_holder(home)} has written for more than {wait_s:.0f} s"
            hint = "The next run loads what has landed"
            raise WarehouseBusy(f"{home}: {waited}. {hint}") from None
    except OSError as error:
        raise WarehouseError(f"{home / LOCK}: cannot be locked ({error})") from None


def _name_holder(home: Path) -> None:
    """Say who holds the lock; if the disk is full, the lock still holds."""
    with suppress(OSError), replace_file(home / HOLDER) as file:
        file.write(f"process {os.getpid()} ({Path(sys.argv[0]).name})".encode())


def _read_holder(home: Path) -> str:
    try:
        return (home / HOLDER).read_text(encoding="utf-8")
    except OSError:
        return "another process"


def _remove_leftovers(home: Path) -> None:
    for pattern in LEFTOVERS:
        for path in home.glob(pattern):
            is_folder = path.is_dir() and not path.is_symlink()
            shutil.rmtree(path) if is_folder else path.unlink()
