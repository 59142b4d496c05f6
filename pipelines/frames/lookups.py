"""What look-ups have answered, as a frame."""

from __future__ import annotations

import polars as pl

from pipelines.records import THREAD_ENDPOINT, THREAD_ID

LOOKUPS = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "thread_id": pl.String(),
        "status": pl.Int16(),
    }
)


def lookups_frame(pages: pl.DataFrame) -> pl.DataFrame:
    """Return the look-ups among landed pages, a row each, with the schema LOOKUPS.

    `status` is 200 if the thread came, 404 if it is gone.
    """
    thread_id = pl.col("cursor").str.strip_prefix(f"{THREAD_ID}=")
    lookups = pages.filter(pl.col("endpoint") == THREAD_ENDPOINT)
    return lookups.with_columns(thread_id=thread_id).select(*LOOKUPS)
