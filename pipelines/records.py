"""What the steps hand each other. Nothing here reads or writes."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger keeps of one session's poll, but the counts that only a load can tell.

    `digest` is that of the threads on its pages, as `PollDigest` adds them up; `endpoint` is what
    was polled.
    """

    source: str
    session_id: str
    endpoint: str = "threads"
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
    digest: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    request_id: str | None = None


class Selection(msgspec.Struct, frozen=True):
    """What of the configured sessions is polled: all of them and every status where empty."""

    sessions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


class Progress:
    """Is told how a poll goes on; does nothing itself."""

    def begin(self, sessions: int) -> None:
        """So many sessions are going to be polled."""

    def page(self, threads: int) -> None:
        """A page with so many threads has come."""

    def wait(self, seconds: float) -> None:
        """A session waits so long before its next request, or has done so."""

    def end(self, poll: Poll) -> None:
        """A session's poll has ended."""
