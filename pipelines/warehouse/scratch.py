"""A database in memory for one run, which spills into files that end with the run.

Each has a directory, so that no two processes spill into one, and a lock that says whether its
process lives: what a killed one has left is removed by the next.
"""

from __future__ import annotations

import secrets
import shutil
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

import filelock

from pipelines.files import make_private
from pipelines.warehouse.opening import open_memory

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

PREFIX, LOCK, SPILLED = "staging.", ".lock", ".tmp"


def open_scratch(home: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to an empty database, whose files are in `home` as long as it is kept.

    There are none before memory runs out. Raises LandingError if `home` cannot be written to.
    """
    make_private(home)
    remove_left(home)
    lock = home / f"{PREFIX}{secrets.token_hex(4)}{LOCK}"
    held = filelock.FileLock(lock, timeout=0, mode=0o600)
    held.acquire()
    connection = open_memory(lock.with_suffix(SPILLED))
    weakref.finalize(connection, _end, held, lock)
    return connection


def remove_left(home: Path) -> None:
    """Remove what killed processes have left."""
    for lock in home.glob(f"{PREFIX}*{LOCK}"):
        with suppress(filelock.Timeout, OSError), filelock.FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(SPILLED), ignore_errors=True)
            lock.unlink(missing_ok=True)


def _end(held: filelock.BaseFileLock, lock: Path) -> None:
    lock.unlink(missing_ok=True)
    held.release()
