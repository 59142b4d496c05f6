"""Land what polls bring, as it comes: pages are written while others are fetched."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from pipelines import clock
from pipelines.errors import LandingError
from pipelines.landing.arrivals import Arrivals
from pipelines.landing.digests import PageDigests, poll_key
from pipelines.landing.directory import give_back, name_file, take_sequence
from pipelines.landing.footer import Footer, page_row
from pipelines.landing.store import LandedFile
from pipelines.records import THREAD_ENDPOINT, Decided, Poll, Run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pipelines.landing.footer import PageRow
    from pipelines.landing.store import Store
    from pipelines.records import FetchedPage

# As many bytes of pages wait in memory, and as many again are on their way to disk.
SHARD_BYTES = 4 * 2**20


async def land_polls(  # noqa: PLR0913 - what a run is
    polls: AsyncGenerator[FetchedPage | Poll],
    store: Store,
    run_id: str,
    *,
    newest: int = 0,
    door: str = "unknown",
    keep_agent_definition: bool = False,
    decided: Decided | None = None,
    arrivals: Arrivals | None = None,
) -> tuple[LandedFile, list[Poll]]:
    """Land everything that the polls bring, as it comes; return the run's file and the polls.

    The run's sequence number is taken first, above `newest`, the ledger's highest. Pages are
    written in shards, while others are fetched. Raises LandingError, and leaves nothing. If it is
    cancelled while the run's file is being written, the run exists, whole. `arrivals` hears of
    each file and each poll.
    """
    # Before the first request, not after the last: whether anything can be put there is known then.
    run = begin_run(run_id, take_sequence(store, newest), door, keep=keep_agent_definition)
    arrivals, decided = arrivals or Arrivals(), decided or Decided()
    writer, is_complete = ShardWriter(store, run, arrivals), False
    try:
        ended, shards = await write_polls(polls, writer)
        run = msgspec.structs.replace(run, finished_at=clock.now())
        is_complete = True
        footer = Footer(run, ended, shards, decided.decisions, decided.plans)
        file = await asyncio.to_thread(write_end, store, footer, writer.rows)
    except BaseException as error:
        if not is_complete or isinstance(error, LandingError):
            await writer.discard()
        raise
    writer.conclude()
    arrivals.pages(file)
    return file, ended


def begin_run(run_id: str, sequence: int, door: str, *, keep: bool) -> Run:
    """Return a run that begins now, and has not ended."""
    now = clock.now()
    return Run(
        id=run_id,
        sequence=sequence,
        started_at=now,
        finished_at=now,
        door=door,
        keep_agent_definition=keep,
    )


async def write_polls(
    polls: AsyncGenerator[FetchedPage | Poll], writer: ShardWriter
) -> tuple[list[Poll], list[str]]:
    """Hand each page to the writer; return the polls, each with its pages' digest, and the shards.

    These are there then. Raises LandingError.
    """
    digests = PageDigests()
    ended: list[Poll] = []
    async with aclosing(polls) as items:
        async for item in items:
            if isinstance(item, Poll):
                digest = digests.conclude(poll_key(item))
                ended.append(msgspec.structs.replace(item, digest=digest))
                writer.arrivals.poll(ended[-1])
            else:
                if item.endpoint != THREAD_ENDPOINT:  # it is part of its session's poll
                    key = (item.source, item.endpoint, item.session_id)
                    digests.add(key, item.provider, item.fetch.page.body)
                await writer.add(page_row(item, item.fetch))
    return ended, [shard.name for shard in await writer.finish()]


class ShardWriter:
    """Gathers pages, and writes them beside the event loop whenever there are SHARD_BYTES of them.

    `rows` are those that no shard holds yet: not more than that, and as many on their way to disk.
    `arrivals` hears of each shard.
    """

    def __init__(self, store: Store, run: Run, arrivals: Arrivals) -> None:
        self.rows: list[PageRow] = []
        self.arrivals = arrivals
        self._store = store
        self._run = run
        self._bytes = 0
        self._writing: list[asyncio.Task[LandedFile]] = []

    async def add(self, row: PageRow) -> None:
        """Take a page. Raises LandingError if a shard before cannot be written."""
        self.rows.append(row)
        self._bytes += len(row[-1])
        if self._bytes >= SHARD_BYTES:
            await self.finish()
            stem = f"{name_file(self._run)}.s{len(self._writing) + 1}"
            self._writing.append(asyncio.create_task(self._write(stem, self.rows)))
            self.rows, self._bytes = [], 0

    async def _write(self, stem: str, rows: list[PageRow]) -> LandedFile:
        file = await asyncio.to_thread(write_shard, self._store, stem, rows)
        self.arrivals.pages(file)
        return file

    async def finish(self) -> list[LandedFile]:
        """Wait until every shard is there; return them."""
        return [await shard for shard in self._writing]

    async def discard(self) -> None:
        """Remove the shards and the claim of the run's number: they belong to no run."""
        for shard in await asyncio.gather(*self._writing, return_exceptions=True):
            if isinstance(shard, LandedFile):
                shard.delete()
        self.conclude()

    def conclude(self) -> None:
        """Remove the claim of the run's number, which the name of its file says from now on."""
        give_back(self._store, self._run.sequence)


def write_shard(store: Store, stem: str, rows: list[PageRow]) -> LandedFile:
    """Write pages that came before the end. Raises as write_pages."""
    from pipelines.landing.format import write_pages  # noqa: PLC0415 - no request waits for it

    return write_pages(store, stem, rows, {})


def write_end(store: Store, footer: Footer, rows: list[PageRow]) -> LandedFile:
    """Write the file that makes a run whole. Raises as write_pages."""
    from pipelines.landing.format import write_run  # noqa: PLC0415 - as above

    return write_run(store, footer, rows)
