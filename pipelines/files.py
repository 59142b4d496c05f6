"""Files: those that the package contains, and those it writes, whole and for their owner."""

from __future__ import annotations

import csv
import os
import secrets
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipelines.errors import LandingError

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "Let SESSION_THREADS_HOME name a directory of yours"


@cache
def sql_directory() -> Path:
    """Return the folder of the SQL files: in a wheel inside the package, else beside it."""
    package = Path(__file__).parent
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def list_seeds() -> list[Path]:
    """Return the tables whose rows the package contains, as CSV files."""
    return sorted((sql_directory() / "seeds").glob("*.csv"))


@cache
def list_statuses(*, closed: bool) -> tuple[str, ...]:
    """Return the statuses that are closed, or those that are not, as they are shown: by rank."""
    with (sql_directory() / "seeds" / "statuses.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["rank"]))
    return tuple(row["status"] for row in rows if (row["is_closed"] == "true") is closed)


def make_private(directory: Path) -> None:
    """Make the directory, and what is missing above it, for its owner alone.

    Raises LandingError if it cannot be made or written to.
    """
    try:
        if not directory.is_dir():
            make_private(directory.parent)
            directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LandingError(f"{directory}: cannot be made ({error}). {HINT}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise LandingError(f"{directory}: cannot be written to. {HINT}")


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that replaces the path when the block ends: as a whole, or not at all.

    Until then it lies beside the path under a name of its own, created exclusively: no link is
    followed, and its owner alone may read it. Then it is on disk, and so is its name. If the block
    raises, what was there before stays, and nothing else. Raises OSError.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        replace_synced(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace_synced(temporary: Path, path: Path) -> None:
    """Replace a file by another so that a loss of power leaves one of them. Raises OSError."""
    synchronize(temporary)
    temporary.replace(path)
    synchronize(path.parent)


def synchronize(path: Path) -> None:
    """Wait until a file's content is on disk, or the names of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
