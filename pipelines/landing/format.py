"""Raw pages as they land: what the server sent, before anyone has interpreted it.

A run lands as a Parquet file whose rows are pages and whose footer holds the run and its polls, so
that the tables can be rebuilt from it alone. A large run puts its pages into shards first, which
the footer names: the file that holds it comes last, and makes the run whole. Each appears whole or
not at all, and its name holds the digest of its content, so that no damage goes unnoticed.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.errors import LandingError, StoreUnavailable
from pipelines.landing.directory import NAME, name_file
from pipelines.landing.footer import FORMAT, Footer
from pipelines.landing.store import LandedFile
from pipelines.records import THREADS_ENDPOINT, Decision, Poll, Run, SourcePlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.landing.footer import PageRow
    from pipelines.landing.store import Store

PAGES = pl.Schema(
    {
        "source": pl.String(),
        "endpoint": pl.String(),
        "session_id": pl.String(),
        "page": pl.Int32(),
        "cursor": pl.String(),
        "observed_at": pl.Datetime("us", "UTC"),
        "status": pl.Int16(),
        "body": pl.Binary(),
    }
)
FOOTER = "session-threads"
# Until format 3 threads were all that was polled.
OLDER_PAGES = pl.Schema({name: type_ for name, type_ in PAGES.items() if name != "endpoint"})
MOVE_HINT = "Move it away, then run again"
NOTHING = "Nothing of this run is loaded"
# A panic of polars is no Exception.
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


class Landed(msgspec.Struct, frozen=True):
    """A landed run as read back: `pages`, with the schema PAGES, are those of its last file."""

    run: Run
    polls: list[Poll]
    pages: pl.DataFrame
    shards: tuple[LandedFile, ...] = ()
    decisions: tuple[Decision, ...] = ()
    plans: tuple[SourcePlan, ...] = ()

    def read_batches(self) -> Iterator[pl.DataFrame]:
        """Yield the pages as they came, shard by shard. Raises LandingError for a damaged one."""
        for shard in self.shards:
            yield read_pages(shard)[1]
        yield self.pages


class _Versioned(msgspec.Struct):
    format: int = 1


def write_run(store: Store, footer: Footer, rows: list[PageRow]) -> LandedFile:
    """Write a run's file, with the pages that no shard holds; return it.

    With it the run exists, before it does not. Raises as write_pages.
    """
    stem = name_file(footer.run)
    return write_pages(store, stem, rows, {FOOTER: msgspec.json.encode(footer).decode()})


def write_pages(
    store: Store, stem: str, rows: list[PageRow], metadata: dict[str, str]
) -> LandedFile:
    """Write pages as one file, whole or not at all.

    Raises LandingError if it is not there, StoreUnavailable if that is not known.
    """
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=PAGES, orient="row").write_parquet(
        buffer, compression="zstd", compression_level=1, statistics=False, metadata=metadata
    )
    content = buffer.getbuffer()
    file = LandedFile(store, f"{stem}.{digest_content(content)}.parquet")
    try:
        if not store.put(file.name, content):
            check_content(file.name, file.read())
    except StoreUnavailable as error:
        file.delete()
        raise LandingError(f"{error.advise()}. {NOTHING}") from None
    except LandingError as error:
        raise LandingError(f"{error}. {NOTHING}") from None
    except (OSError, ValueError) as error:
        problem = f"cannot be written, another is there ({_first_line(error)})"
        raise LandingError(f"{file}: {problem}. {NOTHING}") from None
    return file


def digest_content(content: bytes | memoryview) -> str:
    """Return the digest that a landed file's name holds."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def read_run(file: LandedFile) -> Landed:
    """Read a landed run. Raises LandingError if the file is damaged or not one of ours."""
    content, pages = read_pages(file)
    try:
        text = pl.read_parquet_metadata(io.BytesIO(content))[FOOTER]
        format_ = msgspec.json.decode(text, type=_Versioned).format
        if format_ > FORMAT:
            raise LandingError(f"{file}: landed by a newer version. Upgrade session-threads")
        footer = read_footer(text) if format_ == FORMAT else read_older_footer(text)
    except (KeyError, ValueError, *POLARS_ERRORS) as error:
        raise _explain(file, error) from None
    shards = tuple(LandedFile(file.store, name) for name in footer.shards)
    decided = tuple(footer.decisions), tuple(footer.plans)
    return Landed(footer.run, footer.polls, pages, shards, *decided)


def read_footer(text: str) -> Footer:
    """Decode a footer. Raises ValueError if it is none."""
    return msgspec.json.decode(text, type=Footer)


def read_older_footer(text: str) -> Footer:
    """Decode a footer of format 1 or 2: a poll's end_reason is called ended_by there."""
    document: dict[str, Any] = msgspec.json.decode(text)
    for poll in document.get("polls", ()):
        poll["end_reason"] = poll.pop("ended_by")
    return msgspec.convert(document, Footer)


def read_pages(file: LandedFile) -> tuple[bytes, pl.DataFrame]:
    """Return a landed file's content and its pages. Raises LandingError if it is damaged."""
    try:
        content = file.read()
        check_content(file.name, content)
        if "endpoint" in pl.read_parquet_schema(io.BytesIO(content)):
            return content, pl.read_parquet(io.BytesIO(content), schema=PAGES)
        pages = pl.read_parquet(io.BytesIO(content), schema=OLDER_PAGES)
    except (OSError, ValueError, *POLARS_ERRORS) as error:
        raise _explain(file, error) from None
    return content, pages.with_columns(endpoint=pl.lit(THREADS_ENDPOINT)).select(*PAGES)


def _explain(file: LandedFile, error: BaseException) -> LandingError:
    problem = f"not a landed run of session-threads, or damaged ({_first_line(error)})"
    return LandingError(f"{file}: {problem}. {MOVE_HINT}")


def check_content(name: str, content: bytes) -> None:
    """Raise ValueError if the file's name holds the digest of another content.

    Checked before polars reads the file: some damage it does not notice, and some ends the process.
    """
    match = NAME.fullmatch(name)
    if match and match["digest"] and match["digest"] != digest_content(content):
        raise ValueError("its content is not the one that its name was made of")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
