"""Of landed pages, the threads and the look-ups of the sessions that bring news."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipelines.frames.lookups import lookups_frame
from pipelines.frames.polls import correct_pages
from pipelines.frames.threads import threads_frame
from pipelines.records import THREAD_ENDPOINT, THREADS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipelines.frames.drift import Drift
    from pipelines.frames.known import ThreadDigests
    from pipelines.records import Poll

Session = tuple[str, str]
# Threads, those that are known, and look-ups.
Batch = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]
KEY = ("source", "session_id")
# Of a page; a look-up that found no thread has landed with another.
OK = 200


def flatten_pages(
    pages: pl.DataFrame,
    sessions: Collection[Session],
    polls: Sequence[Poll] = (),
    *,
    providers: Mapping[str, str],
    keep: bool,
    digests: ThreadDigests,
    drift: Drift,
) -> Batch:
    """Return the threads of these sessions, those that are known, and the look-ups.

    They have the schemas THREADS, SEEN and LOOKUPS.

    `polls` say what was asked for, and by how much our clock was wrong; `providers` is source ->
    provider. What is new in them is added to `drift`. Raises LandingError if a body is no page.
    """
    wanted = pl.DataFrame(list(sessions), schema=dict.fromkeys(KEY, pl.String()), orient="row")
    news = correct_pages(pages.join(wanted, on=KEY, how="semi", maintain_order="left"), polls)
    is_of_threads = pl.col("endpoint").is_in((THREADS_ENDPOINT, THREAD_ENDPOINT))
    # Of a thread that is listed twice one row is chosen, and of a filter it depends who is listed.
    odd = {
        (poll.source, poll.session_id) for poll in polls if poll.duplicates or poll.status_filter
    }
    came = news.filter(is_of_threads, status=OK)
    items, seen = digests.leave_known(came, odd)
    threads = threads_frame(
        came, polls, providers=providers, keep_agent_definition=keep, drift=drift, items=items
    )
    return threads, seen, lookups_frame(news)
