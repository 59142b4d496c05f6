"""Which polls repeat what is loaded, so that their threads need not be read.

Those whose threads are the same, byte for byte; and those in which only numbers that grow by
themselves differ, as long as the numbers that are stored are recent.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines.frames.known import REFRESH
from pipelines.frames.threads import describe_reading
from pipelines.landing.digests import poll_key
from pipelines.landing.digests import read_digests as read_poll_digests
from pipelines.records import THREADS_ENDPOINT
from pipelines.warehouse.sql import read_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from pipelines.frames.known import ThreadDigests
    from pipelines.landing.digests import PollKey
    from pipelines.landing.format import Landed
    from pipelines.records import Poll

DIGESTS = pl.Schema(
    {
        "source": pl.String(),
        "endpoint": pl.String(),
        "session_id": pl.String(),
        "digest": pl.String(),
        "repeats": pl.Boolean(),
    }
)
STATES = pl.Schema({"source": pl.String(), "session_id": pl.String(), "state_digest": pl.String()})


class Known(msgspec.Struct, frozen=True):
    """What is kept of the complete poll that the rows of a session are equal to.

    `state` is its digest without the numbers that grow by themselves, the oldest of which is
    stored as of `growing_since`; both are None if there are none.
    """

    digest: str
    state: str | None
    growing_since: datetime | None

    def is_recent(self, moment: datetime) -> bool:
        """Whether the numbers are less than an hour old, or from a clock that was ahead by less."""
        return self.growing_since is not None and abs(moment - self.growing_since) < REFRESH


def read_known(tables: duckdb.DuckDBPyConnection) -> dict[PollKey, Known]:
    """Return what is kept of each session's last complete poll."""
    rows = tables.execute(read_query("ledger", "digests")).fetchall()
    return {(source, endpoint, session): Known(*rest) for source, endpoint, session, *rest in rows}


def read_known_threads(tables: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the digests of threads that need not be read if they come so again: KNOWN."""
    return pl.DataFrame(tables.sql(read_query("ledger", "known_threads")))


def is_whole(poll: Poll) -> bool:
    """Whether a poll has listed all threads of its session."""
    is_complete = poll.outcome == "complete" and not poll.status_filter
    return poll.endpoint == THREADS_ENDPOINT and is_complete


def repeats(poll: Poll, known: Known | None, digest: str, state: str | None) -> bool:
    """Whether a poll brings nothing beyond what is known."""
    if known is None or poll.threads_unlisted:
        return False  # of what was not listed there is more to say than the list does
    if known.digest == digest:
        return True
    is_same = known.state is not None and known.state == state
    return is_same and known.is_recent(poll.started_at - poll.clock_error)


def finish_digest(digest: str, reading: str, *, keep: bool) -> str:
    """Return a digest with how its pages are read: bytes may mean more to another version."""
    parts = (reading, keep, digest)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


class PollDigests:
    """The digests of a run's complete polls of threads.

    Those without the numbers that grow by themselves are computed where they are needed: of
    sessions that have such numbers.
    """

    def __init__(
        self,
        landed: Landed,
        known: Mapping[PollKey, Known],
        threads: ThreadDigests,
    ) -> None:
        self._landed = landed
        self._known = known
        self._threads = threads
        polls = {poll_key(poll): poll for poll in landed.polls if is_whole(poll)}
        self._polls = polls
        readings = {poll.provider: describe_reading(poll.provider) for poll in polls.values()}
        self._readings = {key: readings[poll.provider] for key, poll in polls.items()}
        self._digests = self._finish(read_poll_digests(landed) if polls else {})
        self._states: dict[PollKey, str] = {}
        self._compute_states(
            key
            for key in polls.keys() & known.keys()
            if known[key].state is not None and known[key].digest != self._digests[key]
        )

    def frame(self) -> pl.DataFrame:
        """Return each poll's digest and whether it repeats the known one: the schema DIGESTS."""
        rows = [(*key, digest, self._repeats(key)) for key, digest in self._digests.items()]
        return pl.DataFrame(rows, schema=DIGESTS, orient="row")

    def states_frame(self, growing: Iterable[PollKey]) -> pl.DataFrame:
        """Return the digests without growing numbers of the polls that have some."""
        wanted = [key for key in growing if key in self._polls]
        self._compute_states(key for key in wanted if key not in self._states)
        rows = [
            (source, session, self._states[source, endpoint, session])
            for source, endpoint, session in wanted
        ]
        return pl.DataFrame(rows, schema=STATES, orient="row")

    def _repeats(self, key: PollKey) -> bool:
        digest, state = self._digests[key], self._states.get(key)
        return repeats(self._polls[key], self._known.get(key), digest, state)

    def _compute_states(self, keys: Iterable[PollKey]) -> None:
        wanted = {key: (key[0], key[2]) for key in keys}
        missing = [
            session
            for key, session in wanted.items()
            if self._threads.pages(session) < self._polls[key].pages
        ]
        if missing:
            for pages in self._landed.read_batches():
                self._threads.add(pages, missing)
        states = {key: self._threads.state(session) for key, session in wanted.items()}
        self._states |= self._finish(states)

    def _finish(self, digests: Mapping[PollKey, str]) -> dict[PollKey, str]:
        keep = self._landed.run.keep_agent_definition
        return {
            key: finish_digest(digests[key], self._readings[key], keep=keep)
            for key in self._polls
            if key in digests
        }
