"""Raw pages on disk: what the server sent, before anyone has interpreted it.

A run lands as a Parquet file whose rows are pages and whose footer holds the run and its polls, so
that the tables can be rebuilt from it alone. A large run puts its pages into shards first, which
the footer names: the file that holds it comes last, and makes the run whole. Each appears whole or
not at all, and its name holds the digest of its content, so that no damage goes unnoticed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines import __version__
from pipelines.errors import LandingError
from pipelines.files import make_private, sync_directory
from pipelines.records import Poll

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipelines.records import FetchedPage, PageFetch

# Of the data directory, where runs land.
RAW = "raw"
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
PageRow = tuple[str, str, int, str | None, datetime, int, bytes]
FOOTER = "session-threads"
# A run of one file is as it ever was; one of several would be misread by older versions.
FORMAT = 1
SHARDED = 2
STAMP = "%Y%m%dT%H%M%S%fZ"
# The run's id and, but for files of older versions, the digest of the file.
NAME = re.compile(r"[^-]*-(?P<run_id>.*?)(\.(?P<digest>[0-9a-f]{32}))?\.parquet")
SHARD = re.compile(r"(?P<run>.*)\.s\d+\.[0-9a-f]{32}\.parquet")
# A run that has written nothing for so long is dead.
UNFINISHED_S = 86400
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
    """What a run's file says of it; `format` is raised when an older reader would misread it.

    `shards` are the names of the files that hold the run's earlier pages.
    """

    run: Run
    polls: list[Poll]
    shards: list[str] = []
    format: int = FORMAT


class Landed(msgspec.Struct, frozen=True):
    """A landed run as read back: `pages`, with the schema PAGES, are those of its last file."""

    run: Run
    polls: list[Poll]
    pages: pl.DataFrame
    shards: tuple[Path, ...] = ()

    def read_batches(self) -> Iterator[pl.DataFrame]:
        """Yield the pages as they came, shard by shard. Raises LandingError for a damaged one."""
        for shard in self.shards:
            yield read_pages(shard)[1]
        yield self.pages


def page_row(origin: FetchedPage | Poll, fetch: PageFetch) -> PageRow:
    """Return a page as a row of PAGES."""
    cursor = "=".join(fetch.cursor) if fetch.cursor else None
    page = fetch.page
    return (
        origin.source,
        origin.session_id,
        fetch.number,
        cursor,
        page.observed_at,
        page.status,
        page.body,
    )


def write_run(directory: Path, footer: Footer, rows: list[PageRow]) -> Path:
    """Write a run's file, with the pages that no shard holds; return its path.

    With it the run exists, before it does not. Raises LandingError.
    """
    make_private(directory)
    stem = name_file(footer.run.started_at, footer.run.id)
    path = write_pages(directory, stem, rows, {FOOTER: msgspec.json.encode(footer).decode()})
    sync_directory(directory)
    return path


def write_pages(directory: Path, stem: str, rows: list[PageRow], metadata: dict[str, str]) -> Path:
    """Write pages as one file, whole or not at all, readable by its owner alone."""
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=PAGES, orient="row").write_parquet(
        buffer, compression="zstd", compression_level=1, statistics=False, metadata=metadata
    )
    content = buffer.getbuffer()
    path = directory / f"{stem}.{digest_content(content)}.parquet"
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
    return path


def name_file(started_at: datetime, run_id: str) -> str:
    """Return what the names of a run's files begin with: they sort as the runs began."""
    return f"{started_at:{STAMP}}-{run_id}"


def digest_content(content: bytes | memoryview) -> str:
    """Return the digest that a landed file's name holds."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def list_runs(directory: Path) -> dict[str, Path]:
    """Return run id -> file of every landed run, in the order in which the runs began."""
    return {name_run(path): path for path in list_files(directory)}


def list_files(directory: Path) -> list[Path]:
    """Return the runs' files, in the order in which their runs began; foreign ones among them."""
    return sorted(path for path in directory.glob("*.parquet") if not SHARD.fullmatch(path.name))


def list_stems(directory: Path) -> set[str]:
    """Return what the names of each whole run's files begin with."""
    return {path.name.rsplit(".", 2)[0] for path in list_files(directory)}


def list_shards(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield each shard with what the names of its run's files begin with."""
    for path in directory.glob("*.parquet"):
        if match := SHARD.fullmatch(path.name):
            yield match["run"], path


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
    whole = list_stems(directory)
    for stem, shard in list_shards(directory):
        if stem < oldest and stem not in whole:
            shard.unlink(missing_ok=True)


def remove_unfinished(directory: Path, now: datetime) -> None:
    """Remove what runs that were killed have left, once nobody can be writing there."""
    whole = list_stems(directory)
    shards = [path for stem, path in list_shards(directory) if stem not in whole]
    for path in (*directory.glob("*.tmp"), *shards):
        with suppress(FileNotFoundError):  # finished by its run, meanwhile
            if path.stat().st_mtime < now.timestamp() - UNFINISHED_S:
                path.unlink()


def read_run(path: Path) -> Landed:
    """Read a landed run. Raises LandingError where the file is damaged or not one of ours."""
    content, pages = read_pages(path)
    try:
        metadata = pl.read_parquet_metadata(io.BytesIO(content))
        footer = msgspec.json.decode(metadata[FOOTER], type=Footer)
    except (KeyError, ValueError, *POLARS_ERRORS) as error:
        raise _explain(path, error) from None
    if footer.format > SHARDED:
        raise LandingError(f"{path}: landed by a newer version. Upgrade session-threads")
    shards = tuple(path.with_name(name) for name in footer.shards)
    return Landed(footer.run, footer.polls, pages, shards)


def read_pages(path: Path) -> tuple[bytes, pl.DataFrame]:
    """Return a landed file's content and its pages. Raises LandingError where it is damaged."""
    try:
        content = path.read_bytes()
        check_content(path, content)
        return content, pl.read_parquet(io.BytesIO(content), schema=PAGES)
    except (OSError, ValueError, *POLARS_ERRORS) as error:
        raise _explain(path, error) from None


def _explain(path: Path, error: BaseException) -> LandingError:
    problem = f"not a landed run of session-threads, or damaged ({_first_line(error)})"
    return LandingError(f"{path}: {problem}. {MOVE_HINT}")


def check_content(path: Path, content: bytes) -> None:
    """Raise ValueError where the file's name holds the digest of another content.

    Told before polars sees the file: some damages it does not notice, and some end the process.
    """
    match = NAME.fullmatch(path.name)
    if match and match["digest"] and match["digest"] != digest_content(content):
        raise ValueError("its content is not the one that its name was made of")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
