"""From pages of sessions to a typed frame: the rows that the registry is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.errors import LandingError
from pipelines.extract.evidence import name_tokens
from pipelines.frames.bounds import encode_objects, shorten_texts
from pipelines.frames.threads import NO_AGENT, NO_STATS
from pipelines.frames.values import TIMESTAMP, drop_empty, to_columns
from pipelines.providers.instants import read_instant
from pipelines.providers.registry import find_endpoint
from pipelines.providers.session import Session
from pipelines.providers.thread import Agent, Stats
from pipelines.records import DEFAULT_PROVIDER, SESSIONS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.frames.bounds import Lengths
    from pipelines.providers.items import Fields

SESSIONS = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "observed_at": TIMESTAMP,
        "is_listed": pl.Boolean(),
        "title": pl.String(),
        "status": pl.String(),
        "agent_id": pl.String(),
        "agent_name": pl.String(),
        "agent_version": pl.Int64(),
        "environment_id": pl.String(),
        "deployment_id": pl.String(),
        "metadata": pl.String(),
        "created_at": TIMESTAMP,
        "updated_at": TIMESTAMP,
        "archived_at": TIMESTAMP,
        "active_seconds": pl.Float64(),
        "duration_seconds": pl.Float64(),
        "usage": pl.String(),
        "tokens": pl.String(),
        "extra": pl.String(),
    }
)
OBJECTS = ("metadata", "usage")
# An id is what it is asked for by, and stays whole.
TEXTS = ("title", "status", "agent_id", "agent_name", "environment_id", "deployment_id")
INSTANTS = ("created_at", "updated_at", "archived_at")


def sessions_frame(pages: pl.DataFrame, providers: Mapping[str, str]) -> pl.DataFrame:
    """Flatten landed pages of sessions into a row each, with the schema SESSIONS.

    `providers` is source -> provider. Raises LandingError if a body is no page.
    """
    numbers: list[int] = []
    sessions: list[Session] = []
    extras: list[Fields] = []
    columns = pages.select("source", "endpoint", "body")
    for number, (source, name, body) in enumerate(columns.iter_rows()):
        endpoint = find_endpoint(name, providers.get(source, DEFAULT_PROVIDER))
        try:
            items = endpoint.read_items(body)
        except (ValueError, RecursionError) as error:
            problem = f"a page of sessions of {source} is none ({type(error).__name__}: {error})"
            raise LandingError(problem) from None
        numbers += [number] * len(items)
        sessions += [session for session, _ in items]
        extras += [extra for _, extra in items]
    is_listed = pl.col("endpoint") == SESSIONS_ENDPOINT
    origins = pages.select("source", "observed_at", is_listed=is_listed)[numbers]
    return flatten_sessions(origins, sessions, extras)


def flatten_sessions(
    origins: pl.DataFrame, sessions: list[Session], extras: list[Fields]
) -> pl.DataFrame:
    """Return a row for each session, column by column; what is too long is cut (CUT)."""
    came = to_columns(Session, sessions)
    agents = to_columns(Agent, [agent or NO_AGENT for agent in came["agent"]])
    stats = to_columns(Stats, [stats or NO_STATS for stats in came["stats"]])
    values: dict[str, Any] = {
        **came,
        **stats,
        **{name: list(map(read_instant, came[name])) for name in INSTANTS},
        "session_id": came["id"],
        "agent_id": [a or b for a, b in zip(came["agent_id"], agents["id"], strict=True)],
        "agent_name": agents["name"],
        "agent_version": [
            b if a is None else a
            for a, b in zip(came["agent_version"], agents["version"], strict=True)
        ],
    }
    values["tokens"] = [name_tokens(usage) for usage in came["usage"]]
    cut: Lengths = {}
    values |= drop_empty(values, TEXTS)
    values |= shorten_texts({name: values[name] for name in TEXTS}, (), cut)
    values |= encode_objects({name: came[name] for name in OBJECTS}, extras, cut)
    columns = [
        pl.Series(name, values[name], pl.Int64() if name in INSTANTS else dtype, strict=False)
        for name, dtype in SESSIONS.items()
        if name not in origins.columns
    ]
    return origins.hstack(columns).select(
        pl.col(name).cast(dtype) for name, dtype in SESSIONS.items()
    )
