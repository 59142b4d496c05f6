"""From page bytes to typed frames: how columns follow from what servers document of a thread.

Every odd but legal thread of docs/api.md, 3, becomes a row. Missing, null and `{}` mean the same:
not known. A field that is not documented, or whose value is not of the documented type, is kept as
it came in `extra`, under the path it had, so that nothing is lost.
"""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.errors import LandingError
from pipelines.files import list_statuses
from pipelines.frames.values import TIMESTAMP, merge, to_json
from pipelines.providers.instants import means_archived, read_instant
from pipelines.providers.registry import find_endpoint
from pipelines.providers.thread import Agent, Model, Stats, Thread
from pipelines.records import DEFAULT_PROVIDER, THREADS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipelines.providers.items import Fields
    from pipelines.records import Poll

KEY = ("source", "session_id", "thread_id")

THREADS = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "thread_id": pl.String(),
        "observed_at": TIMESTAMP,
        "parent_thread_id": pl.String(),
        "role": pl.String(),
        "name": pl.String(),
        "created_by_tool_use_id": pl.String(),
        "agent_id": pl.String(),
        "agent_type": pl.String(),
        "agent_name": pl.String(),
        "agent_model": pl.String(),
        "agent_version": pl.Int64(),
        "status": pl.String(),
        "stop_reason_type": pl.String(),
        "stop_reason": pl.String(),
        "is_open": pl.Boolean(),
        "created_at": TIMESTAMP,
        "updated_at": TIMESTAMP,
        "archived_at": TIMESTAMP,
        "active_seconds": pl.Float64(),
        "duration_seconds": pl.Float64(),
        "startup_seconds": pl.Float64(),
        "usage": pl.String(),
        "extra": pl.String(),
    }
)

CLOSED = list_statuses(closed=True)
# Raise it when values are read differently, so that the threads are read again.
DERIVATIONS = 2
INSTANTS = ("created_at", "updated_at", "archived_at")
# The types of columns that are no text; timestamps are microseconds since 1970.
TYPES: dict[str, pl.DataType] = {
    "agent_version": pl.Int64(),
    "agent.version": pl.Int64(),
    "active_seconds": pl.Float64(),
    "duration_seconds": pl.Float64(),
    "startup_seconds": pl.Float64(),
    "has_odd_parent": pl.Boolean(),
    "has_odd_archival": pl.Boolean(),
} | dict.fromkeys(INSTANTS, pl.Int64())
# How a column of THREADS is derived, if it is not taken as it came.
_is_root = pl.col("parent_thread_id").is_null() & ~pl.col("has_odd_parent")
DERIVED = {
    "thread_id": pl.col("id"),
    "role": pl.col("role")
    .replace("", None)
    .fill_null(pl.when(_is_root).then(pl.lit("coordinator")).otherwise(pl.lit("child"))),
    "name": pl.col("name").replace("", None),
    "agent_id": pl.coalesce("agent_id", "agent.id"),
    "agent_type": pl.col("agent.type"),
    "agent_name": pl.col("agent.name"),
    "agent_model": pl.col("agent.model"),
    "agent_version": pl.coalesce("agent_version", "agent.version"),
    "is_open": pl.col("archived_at").is_null()
    & ~pl.col("has_odd_archival")
    & ~pl.col("status").is_in(CLOSED).fill_null(value=False),
}
NO_AGENT, NO_STATS = Agent(), Stats()

Columns = dict[str, list[Any]]


def threads_frame(
    pages: pl.DataFrame, polls: Iterable[Poll] = (), *, keep_agent_definition: bool = False
) -> pl.DataFrame:
    """Flatten landed pages into one row per thread, with the schema THREADS.

    A thread listed more than once is kept as of its newest `updated_at`; of equal ones the later
    page wins. A poll that asked for certain statuses keeps only those: some servers ignore it.
    Raises LandingError if a body is no page: it was damaged, or nested more deeply than is
    accepted today.
    """
    polls = list(polls)
    filters = {
        (poll.source, poll.session_id): poll.status_filter.split(",")
        for poll in polls
        if poll.status_filter
    }
    providers = {poll.source: poll.provider for poll in polls}
    numbers, threads, extras = list_threads(pages, filters, providers, keep_agent_definition)
    origins = pages.select("source", "session_id", "observed_at")[numbers]
    return keep_newest(flatten_threads(origins, threads, extras))


def describe_reading(provider: str = DEFAULT_PROVIDER) -> str:
    """Return a fingerprint of how a provider's pages become rows: pages read alike have one.

    It is made of the schema of this code, not of its version: the columns, what the provider
    documents, which statuses are closed, and DERIVATIONS.
    """
    documented = find_endpoint(THREADS_ENDPOINT, provider).describe_items()
    columns = {name: str(type_) for name, type_ in THREADS.items()}
    parts = (DERIVATIONS, CLOSED, columns, documented)
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).hexdigest()


def list_threads(
    pages: pl.DataFrame,
    filters: Mapping[tuple[str, str], list[str]],
    providers: Mapping[str, str],
    keep_agent_definition: bool,  # noqa: FBT001
) -> tuple[list[int], list[Thread], list[Fields]]:
    """Return of each thread on the pages: which page, the thread, and what no column can hold."""
    numbers: list[int] = []
    threads: list[Thread] = []
    extras: list[Fields] = []
    columns = pages.select("source", "endpoint", "session_id", "body")
    for number, (source, name, session_id, body) in enumerate(columns.iter_rows()):
        wanted = filters.get((source, session_id))
        endpoint = find_endpoint(name, providers.get(source, DEFAULT_PROVIDER))
        try:
            for thread, extra in endpoint.read_items(body, keep_prompts=keep_agent_definition):
                if wanted is None or thread.status in wanted:
                    numbers.append(number)
                    threads.append(thread)
                    extras.append(extra)
        except (ValueError, RecursionError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise LandingError(f"a page of session {session_id} is none ({problem})") from None
    return numbers, threads, extras


def keep_newest(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep one row per thread: the newest `updated_at`, of equal ones the last."""
    if frame.select(KEY).is_unique().all():
        return frame
    newest_last = frame.sort("updated_at", nulls_last=False, maintain_order=True)
    return newest_last.unique(subset=KEY, keep="last", maintain_order=True)


def flatten_threads(
    origins: pl.DataFrame, threads: Sequence[Thread], extras: Sequence[Fields]
) -> pl.DataFrame:
    """Return a row for each thread, with the schema THREADS, column by column.

    `origins` are the source, session and arrival of each, `extras` what no column can hold of it.
    """
    came = to_columns(Thread, threads)
    agents = to_columns(Agent, [agent or NO_AGENT for agent in came.pop("agent")])
    came |= {f"agent.{name}": values for name, values in agents.items()}
    came |= to_columns(Stats, [stats or NO_STATS for stats in came.pop("stats")])
    instants = {name: list(map(read_instant, came[name])) for name in INSTANTS}
    kept = keep_odd_values(extras, came, instants, origins["session_id"].to_list())
    reasons = list(map(read_reason, came["stop_reason"]))
    kinds = [reason.get("type") if reason else None for reason in reasons]
    came |= instants | {
        "agent.model": [m.id if isinstance(m, Model) else m for m in came["agent.model"]],
        "stop_reason_type": [kind if isinstance(kind, str) else None for kind in kinds],
        "stop_reason": to_json(reasons),
        "usage": to_json(came["usage"]),
        "extra": to_json(kept),
        "has_odd_parent": ["parent_thread_id" in extra for extra in extras],
        "has_odd_archival": [means_archived(extra.get("archived_at")) for extra in kept],
    }
    columns = [
        pl.Series(name, values, TYPES.get(name, pl.String()))
        for name, values in came.items()
        if name not in origins.columns
    ]
    return origins.hstack(columns).select(
        DERIVED.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in THREADS.items()
    )


def to_columns(struct: type[msgspec.Struct], objects: Iterable[msgspec.Struct]) -> Columns:
    """Return field -> its value in each of the objects."""
    names = struct.__struct_fields__
    values = list(chain.from_iterable(map(msgspec.structs.astuple, objects)))
    return {name: values[index :: len(names)] for index, name in enumerate(names)}


def keep_odd_values(
    extras: Sequence[Fields], came: Columns, instants: Columns, session_ids: list[str]
) -> list[Fields]:
    """Return what no column can hold, and with it documented fields whose values none can.

    Timestamps that say no instant; another session than the one that was polled; and, as revision
    A gives the agent's id and version beside the agent too, what the agent itself says where the
    two differ.
    """
    kept = list(extras)
    beside = {
        "session_id": session_ids,
        "agent.id": came["agent_id"],
        "agent.version": came["agent_version"],
    }
    for path, others in beside.items():
        for row, (value, other) in enumerate(zip(came[path], others, strict=True)):
            if value != other and value is not None and other is not None:
                kept[row] = merge(kept[row], path.split("."), value)
    for name, read in instants.items():
        for row, (text, instant) in enumerate(zip(came[name], read, strict=True)):
            if instant is None and text is not None:
                kept[row] = merge(kept[row], [name], text)
    return kept


def read_reason(reason: Fields | str | None) -> Fields | None:
    """Return a stop reason as an object; one that is a plain text is its type."""
    if isinstance(reason, str):
        return {"type": reason} if reason else None
    return reason
