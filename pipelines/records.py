"""What the steps pass to each other. Nothing here reads or writes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from pipelines import __version__, clock

if TYPE_CHECKING:
    from collections.abc import Collection

# A parameter of the request that leads to a page, and its value.
Cursor = tuple[str, str]
EndReason = Literal[
    "has_more_false",
    "no_next_page",
    "cursor_loop",
    "no_cursor",
    "no_progress",
    "same_page",
    "page_cap",
    "malformed_thread",
    "error",
    "interrupted",
    "deadline",
]
# What ended the others of its source, or all, has ended a poll.
STOPPED: frozenset[EndReason] = frozenset({"interrupted", "deadline"})
# The server itself said that there is no more (docs/api.md, 2.8).
COMPLETE: frozenset[EndReason] = frozenset({"has_more_false", "no_next_page"})
# Of every source, and of what was landed before there were others.
DEFAULT_PROVIDER = "qoder"
# The endpoint that lists them, by the name that raw rows, footers and digests call it.
THREADS_ENDPOINT = "threads"
# The endpoint that gives one, and how its raw rows name the one that was asked for.
THREAD_ENDPOINT = "thread"
THREAD_ID = "thread_id"
# Which threads that a complete poll did not list are missing: all, as a server means it that cannot
# be asked for one, or those that it did not find when it was.
MissingRule = Literal["unlisted", "not_found"]
# The endpoints that list the sessions of a source, and give one.
SESSIONS_ENDPOINT = "sessions"
SESSION_ENDPOINT = "session"

# More microseconds than any clock says.
_NEVER_US = 10**18


class Listing(msgspec.Struct, frozen=True):
    """What a page says: the ids of its items in order, and the cursor to the next page or the end.

    `fault` says where the first item without an id is.
    """

    ids: list[str]
    fault: str | None
    following: Cursor | EndReason


class Page(msgspec.Struct, frozen=True):
    """One page as the server sent it: `body` as landed, `observed_at` the instant (UTC) it came."""

    status: int
    observed_at: datetime
    body: bytes
    listing: Listing


class PageFetch(msgspec.Struct, frozen=True):
    """A page and how it was asked for: its number (from 1) and cursor (None for the first)."""

    number: int
    cursor: Cursor | None
    page: Page


class FetchedPage(msgspec.Struct, frozen=True):
    """A page that has come, and from where; `endpoint` and `provider` say how it is read."""

    source: str
    session_id: str
    fetch: PageFetch
    endpoint: str = THREADS_ENDPOINT
    provider: str = DEFAULT_PROVIDER


class ScopedSession(msgspec.Struct, frozen=True):
    """A session that a run asks for: by what it is called, and how it came to be asked for.

    `origin` is configured, file or discovered. One that `is_leaving` has left the list or its
    filter, and is asked for one last time.
    """

    id: str
    label: str | None = None
    origin: str = "configured"
    is_leaving: bool = False


class Decision(msgspec.Struct, frozen=True):
    """A session that a run does not ask for any more, and why: what the registry is to say of it.

    `state` is excluded, out_of_scope or gone.
    """

    source: str
    session_id: str
    state: str
    reason: str


class SourcePlan(msgspec.Struct, frozen=True):
    """What a run has decided of a source: whether its evidence is trusted, and what follows.

    So many sessions rest, and so many are asked because it is their turn. Those that rest are the
    ones in scope that the run has no poll of.
    """

    source: str
    is_trusted: bool
    sessions_resting: int
    sessions_due: int


class Decided(msgspec.Struct, frozen=True):
    """What a run has decided before it polled: of sessions that are no more, and of sources."""

    decisions: list[Decision] = []
    plans: list[SourcePlan] = []


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger keeps of one session's poll, except the counts that only a load knows.

    Times, those of its pages too, are by our clock, which was `clock_skew_seconds` ahead of the
    server's; None if that did not say.
    `digest` is that of the threads on its pages, as the landing adds them up; `endpoint` is what
    was polled, and `provider` says how its pages are read. Of a session, `origin` says how it came
    to be asked for, and `is_leaving` that it was for the last time. So many known threads were not
    listed, so many look-ups of them answered, and so many left in doubt; `missing_rule` says which
    of them are missing.
    """

    source: str
    session_id: str
    endpoint: str = THREADS_ENDPOINT
    label: str | None
    started_at: datetime
    finished_at: datetime
    outcome: str
    end_reason: str
    status_filter: str | None
    pages: int
    requests: int
    retries: int
    wait_seconds: float
    bytes: int
    threads_listed: int
    duplicates: int
    clock_skew_seconds: float | None = None
    threads_unlisted: int = 0
    lookups: int = 0
    threads_unconfirmed: int = 0
    missing_rule: MissingRule = "unlisted"
    digest: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    request_id: str | None = None
    provider: str = DEFAULT_PROVIDER
    origin: str = "configured"
    is_leaving: bool = False

    @property
    def asked_at(self) -> int | None:
        """When it began by the server's clock (microseconds since 1970); None if it did not say."""
        if self.clock_skew_seconds is None:
            return None
        started_at = self.started_at - timedelta(seconds=self.clock_skew_seconds)
        return clock.count_microseconds(started_at)

    @property
    def clock_error(self) -> timedelta:
        """What must be taken from its times to get the server's: nothing if the clocks agree."""
        return clock.find_error(self.clock_skew_seconds)


class KnownThreads:
    """The threads that earlier runs have listed, and not found missing; none."""

    def find_unlisted(self, source: str, session_id: str, listed: Collection[str]) -> list[str]:  # noqa: ARG002
        """Return the session's threads that are not among the listed ones, to be looked up.

        Those come first whose last look-up is the longest ago.
        """
        return []


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the job: when its polls ran, by which version, and how to read its pages.

    `sequence` is its number among all runs, None of those that landed before format 3; `door` is
    what it came through: command, dagster, or unknown.
    """

    id: str
    started_at: datetime
    finished_at: datetime
    sequence: int | None = None
    version: str = __version__
    door: str = "unknown"
    keep_agent_definition: bool = False

    @property
    def place(self) -> int:
        """Where it comes among all runs: by its sequence, before these by its beginning."""
        if self.sequence is not None:
            return self.sequence
        return clock.count_microseconds(self.started_at) - _NEVER_US


class Selection(msgspec.Struct, frozen=True):
    """Which of the configured sessions, statuses and sources are polled; all, if empty.

    If it `is_full`, no session rests.
    """

    sessions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    is_full: bool = False
    sources: tuple[str, ...] = ()


class Progress:
    """Receives the progress of a poll; does nothing with it."""

    def begin(self, sessions: int) -> None:
        """So many sessions are going to be polled."""

    def page(self, threads: int) -> None:
        """A page with so many threads has come."""

    def wait(self, seconds: float) -> None:
        """A session waits so long before its next request, or has done so."""

    def end(self, poll: Poll) -> None:
        """A session's poll has ended."""
