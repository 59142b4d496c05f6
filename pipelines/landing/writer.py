"""Land what polls bring, as it comes: pages go to disk while others are fetched."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipelines.errors import LandingError
from pipelines.files import make_private
from pipelines.landing.digests import PageDigests, poll_key
from pipelines.landing.directory import give_back, name_file, take_sequence
from pipelines.landing.format import Footer, Run, page_row, write_pages, write_run
from pipelines.records import Poll

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pipelines.landing.format import PageRow
    from pipelines.records import FetchedPage

# As many bytes of pages wait in memory, and as many again are on their way to disk.
SHARD_BYTES = 4 * 2**20


async def land_polls(
    polls: AsyncGenerator[FetchedPage | Poll],
    directory: Path,
    run_id: str,
    *,
    newest: int = 0,
    door: str = "unknown",
    keep_agent_definition: bool = False,
) -> tuple[Path, list[Poll]]:
    """Land everything that the polls bring, as it comes; return the run's file and the polls.

    The run's sequence number is taken first, above `newest`, the ledger's highest. Pages are
    written in shards, while others are fetched. Raises LandingError, and leaves nothing. If it is
    cancelled while the run's file is being written, the run exists, whole.
    """
    make_private(directory)  # before the first request, not after the last
    sequence, started_at = take_sequence(directory, newest), datetime.now(UTC)
    writer = ShardWriter(directory, name_file(started_at, run_id, sequence))
    try:
        ended = await write_polls(polls, writer)
        footer = Footer(
            Run(
                id=run_id,
                sequence=sequence,
                started_at=started_at,
                finished_at=datetime.now(UTC),
                door=door,
                keep_agent_definition=keep_agent_definition,
            ),
            ended,
            [path.name for path in await writer.finish()],
        )
    except BaseException:
        await writer.discard()
        give_back(directory, sequence)
        raise
    try:
        path = await asyncio.to_thread(write_run, directory, footer, writer.rows)
    except LandingError:
        await writer.discard()
        give_back(directory, sequence)
        raise
    give_back(directory, sequence)
    return path, ended


async def write_polls(polls: AsyncGenerator[FetchedPage | Poll], writer: ShardWriter) -> list[Poll]:
    """Hand each page to the writer; return the polls, each with the digest of its pages."""
    digests = PageDigests()
    ended: list[Poll] = []
    async with aclosing(polls) as items:
        async for item in items:
            if isinstance(item, Poll):
                digest = digests.conclude(poll_key(item))
                ended.append(msgspec.structs.replace(item, digest=digest))
            else:
                key = (item.source, item.endpoint, item.session_id)
                digests.add(key, item.provider, item.fetch.page.body)
                await writer.add(page_row(item, item.fetch))
    return ended


class ShardWriter:
    """Gathers pages, and writes them beside the event loop whenever there are SHARD_BYTES of them.

    `rows` are those that no shard holds yet: not more than that, and as many on their way to disk.
    """

    def __init__(self, directory: Path, stem: str) -> None:
        self.rows: list[PageRow] = []
        self._directory = directory
        self._stem = stem
        self._bytes = 0
        self._writing: list[asyncio.Task[Path]] = []

    async def add(self, row: PageRow) -> None:
        """Take a page. Raises LandingError if a shard before cannot be written."""
        self.rows.append(row)
        self._bytes += len(row[-1])
        if self._bytes >= SHARD_BYTES:
            await self.finish()
            name = f"{self._stem}.s{len(self._writing) + 1}"
            write = asyncio.to_thread(write_pages, self._directory, name, self.rows, {})
            self._writing.append(asyncio.create_task(write))
            self.rows, self._bytes = [], 0

    async def finish(self) -> list[Path]:
        """Wait until every shard is on disk; return them."""
        return [await shard for shard in self._writing]

    async def discard(self) -> None:
        """Remove the shards: they belong to no run."""
        for shard in await asyncio.gather(*self._writing, return_exceptions=True):
            if isinstance(shard, Path):
                shard.unlink(missing_ok=True)
