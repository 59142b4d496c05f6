"""Files: those that the package contains, and those it writes, whole and for their owner."""

from __future__ import annotations

import csv
import errno
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipelines.errors import LandingError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What SMB, FUSE and some overlays answer to what they do not do.
UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.ENOSYS, errno.EXDEV}
TRIAL_BYTES = 2**16
BUFFER_BYTES = 2**20
# Of one call to the kernel.
COPY_BYTES = 2**30
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
    _make(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise LandingError(f"{directory}: cannot be written to. {HINT}")
    reject_shared(directory)


def _make(directory: Path) -> None:
    try:
        if not directory.is_dir():
            _make(directory.parent)
            directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LandingError(f"{directory}: cannot be made ({error}). {HINT}") from None


def reject_shared(directory: Path) -> None:
    """Raise LandingError if others could put files of theirs in the place of ours."""
    if problem := _find_others(directory.stat()):
        fix = f"Take that away: chmod go-w {directory}" if "mode" in problem else HINT
        raise LandingError(f"{directory}: {problem}. {fix}")


def find_others(path: Path) -> str | None:
    """Return how someone else could change what the path leads to; None if nobody but root can.

    That is what ssh asks of its files: who owns and may write the file, and the folder that it is
    in, where in one like /tmp (sticky) others can replace only what is theirs.
    """
    real = path.resolve()
    if problem := _find_others(real.stat()):
        return problem
    folder = real.parent.stat()
    problem = None if folder.st_mode & stat.S_ISVTX else _find_others(folder)
    return f"its folder {problem}" if problem else None


def _find_others(status: os.stat_result) -> str | None:
    if status.st_uid not in {0, os.geteuid()}:
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def try_directory(directory: Path) -> bool:
    """Write, synchronize, rename and remove a file there; return whether it was its owner's alone.

    Raises OSError.
    """
    path = directory / f"trial.{secrets.token_hex(4)}"
    try:
        with replace_file(path) as file:
            file.write(bytes(TRIAL_BYTES))
        restrict(path)
        return not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that replaces the path when the block ends: as a whole, or not at all.

    Until then it lies beside the path under a separate name, created exclusively: no link is
    followed, and its owner alone may read it. Then it is on disk, and so is its name. If the block
    raises, what was there before stays, and nothing else. Raises OSError.
    """
    with _write_beside(path) as (file, temporary):
        yield file
        _finish(file)
        temporary.replace(path)
        synchronize(path.parent)


@contextmanager
def _write_beside(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Give a new file beside a path, and its name, under which nothing is left in the end."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    with create(temporary) as file:
        try:
            yield file, temporary
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _finish(file: BinaryIO) -> None:
    """Close a file whose content is on disk."""
    file.flush()
    _synchronize(file.fileno())
    file.close()


def create(path: Path) -> BinaryIO:
    """Make a file that its owner alone may read. Raises FileExistsError; no link is followed."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def add_file(path: Path, content: bytes | memoryview) -> None:
    """Make a file with this content, on disk with its name: as a whole, or not at all.

    Raises FileExistsError if there is one of its name, of several at once for all but one; OSError.
    """
    with _write_beside(path) as (file, temporary):
        file.write(content)
        _finish(file)
        _name(temporary, path)
    try:
        synchronize(path.parent)
    except BaseException:
        # It is there, and must not be taken for what came to be.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def _name(temporary: Path, path: Path) -> None:
    """Give a file its name, unless there is one of this name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        # A file system without links: there two at once may both succeed.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary.replace(path)


def copy_content(source: BinaryIO, target: BinaryIO) -> None:
    """Copy a whole file into an empty one. Raises OSError.

    On Linux the kernel does it, and file systems that can (Btrfs, XFS) share the blocks: then it
    takes no time, and no room until one of the files changes.
    """
    done = 0
    if hasattr(os, "copy_file_range"):
        files = source.fileno(), target.fileno()
        with _where_it_can():
            while copied := os.copy_file_range(*files, COPY_BYTES, done, done):
                done += copied
    # What is left, of a file system that knows nothing of it, or ends early.
    source.seek(done)
    target.seek(done)
    shutil.copyfileobj(source, target, BUFFER_BYTES)


def replace_synced(temporary: Path, path: Path) -> None:
    """Replace a file by another so that a loss of power leaves one of them. Raises OSError."""
    synchronize(temporary)
    temporary.replace(path)
    synchronize(path.parent)


def synchronize(path: Path) -> None:
    """Wait until a file's content is on disk, or the names of a folder. Raises OSError."""
    # Some network file systems synchronize through a descriptor to write alone.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        _synchronize(descriptor)
    finally:
        os.close(descriptor)


def restrict(path: Path, mode: int = 0o600) -> None:
    """Let the owner alone read a file, as far as its file system knows owners. Raises OSError."""
    with _where_it_can():
        path.chmod(mode)


def _synchronize(descriptor: int) -> None:
    with _where_it_can():
        os.fsync(descriptor)


@contextmanager
def _where_it_can() -> Iterator[None]:
    """Pass over what a file system has no notion of: modes, names that are synchronized, clones."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
