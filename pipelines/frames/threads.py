"""From page bytes to typed frames: how columns follow from what servers document of a thread.

Every odd but legal thread of docs/api.md, 3, becomes a row. Missing, null and `{}` mean the same:
not known. A field that is not documented, or whose value is not of the documented type, is kept as
it came in `extra`, under the path it had, so that nothing is lost.
"""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.files import list_statuses
from pipelines.frames.bounds import encode_objects, shorten_texts
from pipelines.frames.growing import drop_all, name_columns
from pipelines.frames.listed import Listed, PageItems, list_threads, read_landed
from pipelines.frames.odd import keep_odd_values, read_reasons
from pipelines.frames.values import TIMESTAMP, drop_empty, read_instants, to_columns
from pipelines.providers.instants import means_archived
from pipelines.providers.registry import find_endpoint
from pipelines.providers.thread import Agent, Model, Stats, Thread
from pipelines.records import DEFAULT_PROVIDER, THREADS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipelines.frames.drift import Drift
    from pipelines.frames.values import Columns
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
        "workflow_run_id": pl.String(),
        "extra": pl.String(),
        "growing": pl.String(),
        "digest": pl.Int64(),
    }
)

CLOSED = list_statuses(closed=True)
# Raise it when values are read differently, so that the threads are read again.
DERIVATIONS = 5
INSTANTS = ("created_at", "updated_at", "archived_at")
TEXTS = dict.fromkeys(INSTANTS, pl.String())
# The types of columns that are no text; timestamps are microseconds since 1970.
TYPES: dict[str, pl.DataType] = {
    "agent_version": pl.Int64(),
    "agent.version": pl.Int64(),
    "active_seconds": pl.Float64(),
    "duration_seconds": pl.Float64(),
    "startup_seconds": pl.Float64(),
    "elapsed_seconds": pl.Float64(),
    "has_odd_parent": pl.Boolean(),
    "has_odd_archival": pl.Boolean(),
    "has_odd_growth": pl.Boolean(),
    "digest": pl.Int64(),
} | dict.fromkeys(INSTANTS, pl.Int64())
# A column that may grow by itself, and its value.
GROWING = {
    "active_seconds": pl.col("active_seconds"),
    "duration_seconds": pl.coalesce("duration_seconds", "elapsed_seconds"),
    "usage": pl.col("usage"),
}
# Ids and names, which are not said if they are empty; a status is kept as it is.
NAMES = (
    *("session_id", "parent_thread_id", "role", "name", "created_by_tool_use_id"),
    *("agent_id", "agent_name", "template_id", "workflow_run_id"),
    *("agent.id", "agent.type", "agent.name", "agent.model"),
)
# How a column of THREADS is derived, if it is not taken as it came.
_is_root = pl.col("parent_thread_id").is_null() & ~pl.col("has_odd_parent")
DERIVED = {
    "thread_id": pl.col("id"),
    "role": pl.col("role").fill_null(
        pl.when(_is_root).then(pl.lit("coordinator")).otherwise(pl.lit("child"))
    ),
    "agent_id": pl.coalesce("agent_id", "agent.id", "template_id"),
    "agent_type": pl.col("agent.type"),
    "agent_name": pl.coalesce("agent.name", "agent_name"),
    "agent_model": pl.col("agent.model"),
    "agent_version": pl.coalesce("agent_version", "agent.version"),
    "duration_seconds": pl.coalesce("duration_seconds", "elapsed_seconds"),
    # Those of a thread that have a value, of the columns that grow by themselves.
    "growing": pl.concat_str(
        [
            pl.when(
                pl.col("growing").str.contains(name, literal=True)
                & (value.is_not_null() | pl.col("has_odd_growth"))
            )
            .then(pl.lit(name))
            .otherwise(None)
            for name, value in GROWING.items()
        ],
        separator=" ",
        ignore_nulls=True,
    ).replace("", None),
    "is_open": pl.col("archived_at").is_null()
    & ~pl.col("has_odd_archival")
    & ~pl.col("status").is_in(CLOSED).fill_null(value=False),
}
NO_AGENT, NO_STATS = Agent(), Stats()


def threads_frame(
    pages: pl.DataFrame,
    polls: Iterable[Poll] = (),
    *,
    providers: Mapping[str, str] | None = None,
    keep_agent_definition: bool = False,
    drift: Drift | None = None,
    items: Sequence[PageItems] | None = None,
) -> pl.DataFrame:
    """Flatten landed pages into one row per thread, with the schema THREADS.

    A thread listed more than once is kept as of its newest `updated_at`; of equal ones the later
    page wins. A poll that asked for certain statuses keeps only those: some servers ignore it.
    `providers` is source -> provider, where no poll says it; `items` are those of each page, if it
    was read before.
    What is new in them is added to `drift`.
    Raises LandingError if a body is no page: it was damaged, or nested more deeply than is
    accepted today.
    """
    polls = list(polls)
    filters = {
        (poll.source, poll.session_id): poll.status_filter.split(",")
        for poll in polls
        if poll.status_filter
    }
    providers = {**(providers or {}), **{poll.source: poll.provider for poll in polls}}
    if items is None:
        items = read_landed(pages, providers, keep=keep_agent_definition)
    sessions = pages.select("source", "session_id").rows()
    listed = list_threads(items, [filters.get(session) for session in sessions])
    origins = pages.select("source", "session_id", "observed_at")[listed.pages]
    frame = keep_newest(flatten_threads(origins, listed, drift))
    if drift:
        drift.add_values(frame)
    return frame


def describe_reading(provider: str = DEFAULT_PROVIDER) -> str:
    """Return a fingerprint of how a provider's pages become rows: pages read alike have one.

    It is made of the schema of this code, not of its version: the columns, what the provider
    documents, which statuses are closed, and DERIVATIONS.
    """
    documented = find_endpoint(THREADS_ENDPOINT, provider).describe_items()
    columns = {name: str(type_) for name, type_ in THREADS.items()}
    parts = (DERIVATIONS, CLOSED, columns, documented)
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).hexdigest()


def keep_newest(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep one row per thread: the newest `updated_at`, of equal ones the last."""
    if frame["thread_id"].n_unique() == len(frame) or frame.select(KEY).is_unique().all():
        return frame
    newest_last = frame.sort("updated_at", nulls_last=False, maintain_order=True)
    return newest_last.unique(subset=KEY, keep="last", maintain_order=True)


def number_threads(
    origins: pl.DataFrame, ids: Sequence[str]
) -> tuple[Sequence[int], Sequence[int]]:
    """Return the rows, those of one thread behind each other, and the first row of its thread."""
    if len(set(ids)) == len(ids):
        return range(len(ids)), range(len(ids))
    keys = origins.select(*KEY[:2], thread_id=pl.Series(ids, dtype=pl.String()))
    rows = keys.with_row_index("row")
    numbered = rows.select("row", thread=pl.col("row").min().over(KEY)).sort("thread", "row")
    return numbered["row"].to_list(), numbered["thread"].to_list()


def gather_columns(threads: Sequence[Thread]) -> Columns:
    """Return field -> its value in each thread; those of what a thread holds lie beside its own."""
    came = to_columns(Thread, threads)
    agents = to_columns(Agent, [agent or NO_AGENT for agent in came.pop("agent")])
    agents["model"] = [m.id if isinstance(m, Model) else m for m in agents["model"]]
    came |= {f"agent.{name}": values for name, values in agents.items()}
    came |= to_columns(Stats, [stats or NO_STATS for stats in came.pop("stats")])
    return came | drop_empty(came, NAMES)


def flatten_threads(origins: pl.DataFrame, listed: Listed, drift: Drift | None) -> pl.DataFrame:
    """Return a row for each thread, with the schema THREADS, column by column.

    `origins` are the source, session and arrival of each.
    """
    came = gather_columns(listed.threads)
    instants = read_instants(pl.DataFrame({name: came[name] for name in INSTANTS}, TEXTS))
    kept = keep_odd_values(listed.extras, came, instants, origins["session_id"].to_list())
    reasons = read_reasons(came["stop_reason"])
    kinds = [reason.get("type") if reason else None for reason in reasons]
    if drift:
        order = number_threads(origins, came["id"])
        drift.add_fields(origins, order, extra=kept, usage=came["usage"], stop_reason=reasons)
    came |= {
        "stop_reason_type": [kind if isinstance(kind, str) else None for kind in kinds],
        "growing": list(map(name_columns, listed.growing)),
        "digest": listed.digests,
        "has_odd_parent": [bool(e) and "parent_thread_id" in e for e in listed.extras],
        "has_odd_archival": [bool(e) and means_archived(e.get("archived_at")) for e in kept],
    }
    objects = {"stop_reason": reasons, "usage": came["usage"]}
    extras = [
        drop_all(extra, paths) if extra else extra
        for extra, paths in zip(kept, listed.growing, strict=True)
    ]
    came["has_odd_growth"] = list(map(operator.is_not, kept, extras))
    cut: dict[int, dict[str, int]] = {}
    texts = shorten_texts(came, {*TYPES, *objects}, cut)
    values: dict[str, Any] = {
        **came,
        **instants.to_dict(),
        **texts,
        **encode_objects(objects, extras, cut),
    }
    return derive_columns(origins, values)


def derive_columns(origins: pl.DataFrame, values: Mapping[str, Any]) -> pl.DataFrame:
    """Return the columns of THREADS, of those that came and of what each thread's page says."""
    columns = [
        pl.Series(name, of_threads, TYPES.get(name, pl.String()))
        for name, of_threads in values.items()
        if name not in origins.columns
    ]
    return origins.hstack(columns).select(
        DERIVED.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in THREADS.items()
    )
