"""Raw pages on disk: what the server sent, before anyone has interpreted it.

A run lands as one Parquet file whose rows are pages and whose footer holds the run and its polls,
so that the tables can be rebuilt from the file alone. It appears whole or not at all, and its name
holds the digest of its content, so that no damage goes unnoticed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines import __version__
from pipelines.api.poll import Poll
from pipelines.errors import LandingError
from pipelines.files import make_private, sync_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

    from pipelines.api.walk import Visit

PAGES = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "page": pl.Int32(),
        "cursor": pl.String(),
        "observed_at": pl.Datetime("us", "UTC"),
        "status": pl.Int16(),
        "body": pl.Binary(),
    }
)
FOOTER = "session-threads"
FORMAT = 1
STAMP = "%Y%m%dT%H%M%S%fZ"
# The run's id and, but for files of older versions, the digest of the file.
NAME = re.compile(r"[^-]*-(?P<run_id>.*?)(\.(?P<digest>[0-9a-f]{32}))?\.parquet")
UNFINISHED_S = 3600
MOVE_HINT = "Move it away, then run again"
# A panic of polars is no Exception.
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the job: when its polls ran, by which version, and how to read its pages."""

    id: str
    started_at: datetime
    finished_at: datetime
    version: str = __version__
    keep_agent_definition: bool = False


class Footer(msgspec.Struct, frozen=True):
    """What the file says of itself; `format` is raised when an older reader would misread it."""

    run: Run
    polls: list[Poll]
    format: int = FORMAT


class Landed(msgspec.Struct, frozen=True):
    """A landed run as read back: `pages` has the schema PAGES."""

    run: Run
    polls: list[Poll]
    pages: pl.DataFrame


async def land_polls(
    polls: AsyncIterator[tuple[Poll, list[Visit]]],
    directory: Path,
    run_id: str,
    *,
    keep_agent_definition: bool = False,
) -> tuple[Path, list[Poll]]:
    """Land everything that the polls bring as one file; return its path and the polls."""
    make_private(directory)  # before the first request, not after the last
    started_at = datetime.now(UTC)
    ended: list[Poll] = []
    rows: list[tuple[object, ...]] = []
    async for poll, visits in polls:
        ended.append(poll)
        rows += [page_row(poll, visit) for visit in visits]
    run = Run(
        id=run_id,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        keep_agent_definition=keep_agent_definition,
    )
    return write_run(directory, Footer(run, ended), rows), ended


def page_row(poll: Poll, visit: Visit) -> tuple[object, ...]:
    """Return a page as a row of PAGES."""
    cursor = "=".join(visit.cursor) if visit.cursor else None
    page = visit.page
    return (
        poll.source,
        poll.session_id,
        visit.number,
        cursor,
        page.observed_at,
        page.status,
        page.body,
    )


def write_run(directory: Path, footer: Footer, rows: list[tuple[object, ...]]) -> Path:
    """Write a run's file, whole or not at all, readable by its owner alone; return its path."""
    make_private(directory)
    frame = pl.DataFrame(rows, schema=PAGES, orient="row")
    metadata = {FOOTER: msgspec.json.encode(footer).decode()}
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", metadata=metadata)
    content = buffer.getvalue()
    name = f"{footer.run.started_at:{STAMP}}-{footer.run.id}.{digest_content(content)}.parquet"
    path = directory / name
    temporary = path.with_suffix(".tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        problem = f"cannot be written ({_first_line(error)}). Nothing of this run is loaded"
        raise LandingError(f"{path}: {problem}; make room, then run again") from None
    sync_directory(directory)
    return path


def digest_content(content: bytes) -> str:
    """Return the digest that a landed file's name holds."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def list_runs(directory: Path) -> dict[str, Path]:
    """Return run id -> file of every landed run, in the order in which the runs began."""
    return {name_run(path): path for path in list_files(directory)}


def list_files(directory: Path) -> list[Path]:
    """Return the landed files, in the order in which their runs began; foreign ones among them."""
    return sorted(directory.glob("*.parquet"))


def name_run(path: Path) -> str:
    """Return the id of the run that a landed file holds; "" of a foreign one."""
    match = NAME.fullmatch(path.name)
    return match["run_id"] if match else ""


def prune_runs(directory: Path, loaded: Collection[str], keep_days: int, now: datetime) -> None:
    """Remove the files of loaded runs that began more than so many days ago."""
    oldest = f"{now - timedelta(days=keep_days):{STAMP}}"
    for path in list_files(directory):
        if name_run(path) in loaded and path.name < oldest:
            path.unlink(missing_ok=True)


def remove_unfinished(directory: Path, now: datetime) -> None:
    """Remove the unfinished files of runs that were killed, once nobody can be writing them."""
    for path in directory.glob("*.tmp"):
        with suppress(FileNotFoundError):  # finished by its run, meanwhile
            if path.stat().st_mtime < now.timestamp() - UNFINISHED_S:
                path.unlink()


def read_run(path: Path) -> Landed:
    """Read a landed run. Raises LandingError where the file is damaged or not one of ours."""
    try:
        content = path.read_bytes()
        check_content(path, content)
        metadata = pl.read_parquet_metadata(io.BytesIO(content))
        footer = msgspec.json.decode(metadata[FOOTER], type=Footer)
        pages = pl.read_parquet(io.BytesIO(content), schema=PAGES)
    except (OSError, KeyError, ValueError, *POLARS_ERRORS) as error:
        problem = f"not a landed run of session-threads, or damaged ({_first_line(error)})"
        raise LandingError(f"{path}: {problem}. {MOVE_HINT}") from None
    if footer.format > FORMAT:
        raise LandingError(f"{path}: landed by a newer version. Upgrade session-threads")
    return Landed(footer.run, footer.polls, pages)


def check_content(path: Path, content: bytes) -> None:
    """Raise ValueError where the file's name holds the digest of another content.

    Told before polars sees the file: some damages it does not notice, and some end the process.
    """
    match = NAME.fullmatch(path.name)
    if match and match["digest"] and match["digest"] != digest_content(content):
        raise ValueError("its content is not the one that its name was made of")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
