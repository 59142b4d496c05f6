"""What sessions' objects said before their threads were listed, and how these are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipelines.extract.evidence import Evidence, may_rest
from pipelines.frames.threads import describe_reading
from pipelines.frames.values import TIMESTAMP
from pipelines.records import THREADS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipelines.records import Poll

SAID = ("status", "updated_at", "archived_at", "tokens")
EVIDENCE = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "status": pl.String(),
        "updated_at": TIMESTAMP,
        "archived_at": TIMESTAMP,
        "tokens": pl.String(),
        "may_rest": pl.Boolean(),
        "reading": pl.String(),
    }
)


def evidence_frame(
    sessions: pl.DataFrame, polls: Sequence[Poll], *, keep_agent_definition: bool
) -> pl.DataFrame:
    """Return what each session's object says, and whether it may rest, with the schema EVIDENCE.

    `sessions` have the schema SESSIONS; `polls` are those of the run.
    """
    asked = {
        (poll.source, poll.session_id): poll for poll in polls if poll.endpoint == THREADS_ENDPOINT
    }
    providers = {poll.source: poll.provider for poll in polls}
    readings = name_readings(set(providers.values()), keep_agent_definition=keep_agent_definition)
    columns = sessions.select("source", "session_id", *SAID).with_columns(
        pl.col("updated_at", "archived_at").cast(pl.Int64())
    )
    rows = []
    for source, session_id, *said in columns.iter_rows():
        poll = asked.get((source, session_id))
        rests = may_rest(Evidence(*said), poll.asked_at if poll else None)
        rows.append((source, session_id, *said, rests, readings[providers[source]]))
    return pl.DataFrame(
        rows,
        schema=EVIDENCE | {"updated_at": pl.Int64(), "archived_at": pl.Int64()},
        orient="row",
    ).cast({"updated_at": TIMESTAMP, "archived_at": TIMESTAMP})


def name_readings(providers: Iterable[str], *, keep_agent_definition: bool) -> dict[str, str]:
    """Return provider -> how its pages become rows, as a text: pages read alike have one."""
    suffix = "+agents" if keep_agent_definition else ""
    return {name: f"{describe_reading(name)}{suffix}" for name in providers}
