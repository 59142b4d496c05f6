"""What a run's file says of it, beside its pages."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pipelines.records import Decision, Poll, Run, SourcePlan

if TYPE_CHECKING:
    from pipelines.records import FetchedPage, PageFetch

PageRow = tuple[str, str, str, int, str | None, datetime, int, bytes]
# The key of a poll among those of its run.
POLL = ("source", "endpoint", "session_id")
# 1: one file. 2: with shards. 3: with endpoint, sequence and door, ended_by called end_reason.
FORMAT = 3


class Footer(msgspec.Struct, frozen=True):
    """What a run's file says of it; `format` is raised when an older reader would misread it.

    `shards` are the names of the files that hold the run's earlier pages; `decisions` are what the
    run found of sessions that it did not ask for, `plans` what it decided of each source.
    """

    run: Run
    polls: list[Poll]
    shards: list[str] = []
    decisions: list[Decision] = []
    plans: list[SourcePlan] = []
    format: int = FORMAT


def page_row(origin: FetchedPage | Poll, fetch: PageFetch) -> PageRow:
    """Return a page as a row of its file."""
    cursor = "=".join(fetch.cursor) if fetch.cursor else None
    page = fetch.page
    return (
        origin.source,
        origin.endpoint,
        origin.session_id,
        fetch.number,
        cursor,
        page.observed_at,
        page.status,
        page.body,
    )
