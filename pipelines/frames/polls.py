"""How polls went, as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines.frames.values import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.records import Poll

POLLS = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "label": pl.String(),
        "started_at": TIMESTAMP,
        "finished_at": TIMESTAMP,
        "outcome": pl.String(),
        "end_reason": pl.String(),
        "status_filter": pl.String(),
        "pages": pl.Int64(),
        "requests": pl.Int64(),
        "retries": pl.Int64(),
        "wait_seconds": pl.Float64(),
        "bytes": pl.Int64(),
        "threads_listed": pl.Int64(),
        "duplicates": pl.Int64(),
        "threads_unlisted": pl.Int64(),
        "lookups": pl.Int64(),
        "threads_unconfirmed": pl.Int64(),
        "missing_rule": pl.String(),
        "error_type": pl.String(),
        "error_message": pl.String(),
        "request_id": pl.String(),
        "origin": pl.String(),
        "is_leaving": pl.Boolean(),
    }
)


def polls_frame(polls: Sequence[Poll]) -> pl.DataFrame:
    """Return the polls with the schema POLLS."""
    return pl.DataFrame([msgspec.structs.asdict(poll) for poll in polls], schema=POLLS)
