"""One process writes at a time, and one asks a source: locks that name their holder.

The operating system takes a lock from a process that dies.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from pipelines.errors import SourceBusy, WarehouseBusy, WarehouseError
from pipelines.files import make_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipelines.config.settings import Source

logger = logging.getLogger(__name__)

# What a killed writer may leave behind: unfinished files, and what DuckDB spilled to disk.
LEFTOVERS = ("threads.duckdb.*.tmp", "replay.tmp*", "warehouse.duckdb.tmp", "warehouse.duckdb.new*")
WAIT_LIMIT_S = 600.0
# Where the locks of sources are.
SOURCES = "sources"
# How a wait for each ends that takes too long.
WRITES = "has written for more than {:.0f} s. The next run loads what has landed"
POLLS = "polls it. It has not ended within {:.0f} s: end it, or run again later"


@contextmanager
def lock(home: Path, wait_s: float | None = None) -> Iterator[None]:
    """Be the one process that writes in the data directory; wait for another that does.

    Raises WarehouseBusy, naming the holder, after `wait_s` seconds (WAIT_LIMIT_S).
    """
    make_private(home)
    with _hold(home / "warehouse", str(home), wait_s, WarehouseBusy, WRITES):
        try:
            _remove_leftovers(home)
            yield
        finally:
            _remove_leftovers(home)


@contextmanager
def lock_sources(
    home: Path, sources: Iterable[Source], wait_s: float | None = None
) -> Iterator[None]:
    """Be the one process of the data directory that asks these sources.

    Raises SourceBusy, as lock.
    """
    directory = home / SOURCES
    make_private(directory)
    with ExitStack() as locks:
        # In one order, so that no two wait for each other.
        for name in sorted(source.name for source in sources):
            locks.enter_context(
                _hold(directory / name, f"source {name}", wait_s, SourceBusy, POLLS)
            )
        yield


@contextmanager
def _hold(
    path: Path,
    name: str,
    wait_s: float | None,
    busy: type[WarehouseBusy | SourceBusy],
    problem: str,
) -> Iterator[None]:
    """Hold the lock of a path with .lock at its end; beside it, .holder says who does."""
    holder = path.with_name(f"{path.name}.holder")
    file_lock = filelock.FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)
    limit_s = WAIT_LIMIT_S if wait_s is None else wait_s
    try:
        file_lock.acquire(timeout=0)
    except filelock.Timeout:
        if limit_s:
            logger.warning("%s: waiting for %s", name, _read_holder(holder))
        try:
            file_lock.acquire(timeout=limit_s)
        except filelock.Timeout:
            said = f"{_read_holder(holder)} {problem.format(limit_s)}"
            raise busy(f"{name}: {said}") from None
    except OSError as error:
        raise WarehouseError(f"{file_lock.lock_file}: cannot be locked ({error})") from None
    try:
        _name_holder(holder)
        yield
    finally:
        with suppress(OSError):  # its name is not the next holder's
            os.truncate(holder, 0)
        file_lock.release()


def _name_holder(holder: Path) -> None:
    """Say who holds the lock; if the disk is full, the lock still holds."""
    with suppress(OSError):
        holder.touch(mode=0o600)
        holder.write_text(f"process {os.getpid()} ({Path(sys.argv[0]).name})", encoding="utf-8")


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _remove_leftovers(home: Path) -> None:
    for pattern in LEFTOVERS:
        for path in home.glob(pattern):
            is_folder = path.is_dir() and not path.is_symlink()
            shutil.rmtree(path) if is_folder else path.unlink()
