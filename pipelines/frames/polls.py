"""How polls went, as a frame, and their times put right if our clock was wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines.frames.values import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.records import Poll, Run

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
        "clock_skew_seconds": pl.Float64(),
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

RUN = pl.Schema(
    {
        "run_id": pl.String(),
        "sequence": pl.Int64(),
        "started_at": TIMESTAMP,
        "finished_at": TIMESTAMP,
        "version": pl.String(),
        "door": pl.String(),
    }
)
TIMES = ("started_at", "finished_at")


def polls_frame(polls: Sequence[Poll]) -> pl.DataFrame:
    """Return the polls with the schema POLLS, by the server's clock if ours was wrong."""
    return pl.DataFrame(
        [
            msgspec.structs.asdict(poll)
            | {name: getattr(poll, name) - poll.clock_error for name in TIMES}
            for poll in polls
        ],
        schema=POLLS,
    )


def correct_pages(
    pages: pl.DataFrame, polls: Sequence[Poll], key: Sequence[str] = ("source", "session_id")
) -> pl.DataFrame:
    """Return landed pages with the times of their arrival as those of their polls are.

    `key` says which poll a page belongs to.
    """
    errors = [
        {name: getattr(poll, name) for name in key} | {"error": poll.clock_error}
        for poll in polls
        if poll.clock_error
    ]
    if not errors:
        return pages
    schema = dict.fromkeys(key, pl.String()) | {"error": pl.Duration("us")}
    table = pl.DataFrame(errors, schema=schema)
    corrected = pl.col("observed_at") - pl.col("error").fill_null(timedelta())
    return (
        pages.join(table, on=key, how="left", maintain_order="left")
        .with_columns(observed_at=corrected)
        .drop("error")
    )


def run_error(polls: Sequence[Poll]) -> timedelta:
    """Return what must be taken from a run's times: the median of its polls that know."""
    errors = sorted(poll.clock_error for poll in polls if poll.clock_skew_seconds is not None)
    return errors[len(errors) // 2] if errors else timedelta()


def run_frame(run: Run, polls: Sequence[Poll]) -> pl.DataFrame:
    """Return a run as one row with the schema RUN."""
    error = run_error(polls)
    times = (run.started_at - error, run.finished_at - error)
    row = (run.id, run.place, *times, run.version, run.door)
    return pl.DataFrame([row], schema=RUN, orient="row")
