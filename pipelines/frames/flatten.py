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
    from pipelines.records import Poll

KEY = ("source", "session_id")
# Of a page; a look-up that found no thread has landed with another.
OK = 200


def flatten_pages(
    pages: pl.DataFrame,
    sessions: Collection[tuple[str, str]],
    polls: Sequence[Poll] = (),
    *,
    providers: Mapping[str, str],
    keep: bool,
    drift: Drift,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the threads and the look-ups of these sessions, with the schemas THREADS and LOOKUPS.

    `polls` say what was asked for, and by how much our clock was wrong; `providers` is source ->
    provider. What is new in them is added to `drift`. Raises LandingError if a body is no page.
    """
    wanted = pl.DataFrame(list(sessions), schema=dict.fromkeys(KEY, pl.String()), orient="row")
    news = correct_pages(pages.join(wanted, on=KEY, how="semi", maintain_order="left"), polls)
    is_of_threads = pl.col("endpoint").is_in((THREADS_ENDPOINT, THREAD_ENDPOINT))
    threads = threads_frame(
        news.filter(is_of_threads, status=OK),
        polls,
        providers=providers,
        keep_agent_definition=keep,
        drift=drift,
    )
    return threads, lookups_frame(news)
