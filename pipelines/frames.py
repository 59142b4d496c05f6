"""From page bytes to typed frames: the one place that knows the shape of a thread.

Both revisions of spec 1-api.md, 1.3, and every odd but legal shape of it. Missing, null and `{}`
mean the same: not known. A field that is not named here, or whose value is not of the documented
type, is kept as it came in `extra`, under the path it had, so that nothing is lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import starmap
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.api.thread import Agent, Fields, Model, Stats, Thread, has_id, split
from pipelines.errors import LandingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pipelines.api.poll import Poll

TIMESTAMP = pl.Datetime("us", "UTC")
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

POLLS = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "label": pl.String(),
        "started_at": TIMESTAMP,
        "finished_at": TIMESTAMP,
        "outcome": pl.String(),
        "ended_by": pl.String(),
        "status_filter": pl.String(),
        "pages": pl.Int64(),
        "requests": pl.Int64(),
        "retries": pl.Int64(),
        "wait_seconds": pl.Float64(),
        "bytes": pl.Int64(),
        "threads_listed": pl.Int64(),
        "duplicates": pl.Int64(),
        "error_type": pl.String(),
        "error_message": pl.String(),
        "request_id": pl.String(),
    }
)

CLOSED = frozenset({"archived", "terminated", "cancelled"})
PROMPT_FIELDS = ("system", "tools", "skills", "mcp_servers", "description")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = msgspec.json.Encoder(order="sorted").encode

Row = tuple[Any, ...]


NO_AGENT, NO_STATS, NOTHING = Agent(), Stats(), dict[str, Any]()
INSTANTS = ("created_at", "updated_at", "archived_at")


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw]


_open = msgspec.json.Decoder(_Envelope).decode
_decode = msgspec.json.Decoder(Thread).decode


def threads_frame(
    pages: pl.DataFrame, polls: Iterable[Poll] = (), *, keep_agent_definition: bool = False
) -> pl.DataFrame:
    """Flatten landed pages into one row per thread, with the schema THREADS.

    A thread listed more than once is kept as of its newest `updated_at`; of equal ones the later
    page wins. A poll that asked for certain statuses keeps only those: some servers ignore it.
    Raises LandingError where a body is no page: it was damaged, or nested more deeply than any that
    is let in today.
    """
    filters = {
        (poll.source, poll.session_id): poll.status_filter.split(",")
        for poll in polls
        if poll.status_filter
    }
    columns = pages.select("source", "session_id", "observed_at", "body")
    rows: list[Row] = []
    for source, session_id, observed_at, body in columns.iter_rows():
        wanted = filters.get((source, session_id))
        origin = (source, session_id)
        arrival = _microseconds(observed_at)
        try:
            for thread, extra in read_threads(body, keep_agent_definition):
                if wanted is None or thread.status in wanted:
                    row = flatten_thread(thread, extra, session_id)
                    rows.append((*origin, thread.id, arrival, *row))
        except (ValueError, RecursionError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise LandingError(f"a page of session {session_id} is none ({problem})") from None
    return keep_newest(build_frame(rows, THREADS))


def polls_frame(polls: Sequence[Poll]) -> pl.DataFrame:
    """Return the polls with the schema POLLS."""
    return pl.DataFrame([msgspec.structs.asdict(poll) for poll in polls], schema=POLLS)


def build_frame(rows: list[Row], schema: pl.Schema) -> pl.DataFrame:
    """Build a frame column by column; timestamps come as microseconds since 1970."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)

    def build(item: tuple[str, pl.DataType], values: Sequence[Any]) -> pl.Series:
        name, dtype = item
        plain = pl.Int64() if dtype == TIMESTAMP else dtype
        return pl.Series(name, values, dtype=plain).cast(dtype)

    return pl.DataFrame(list(starmap(build, zip(schema.items(), columns, strict=True))))


def keep_newest(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep one row per thread: the newest `updated_at`, of equal ones the last."""
    newest_last = frame.sort("updated_at", nulls_last=False, maintain_order=True)
    return newest_last.unique(subset=KEY, keep="last", maintain_order=True)


def read_threads(body: bytes, keep_agent_definition: bool) -> Iterator[tuple[Thread, Fields]]:  # noqa: FBT001
    """Yield the threads of a page's body, each with what no column can hold.

    What is not a thread is left to the walk to report. Raises ValueError where the body is no page.
    """
    for raw in _open(body).data:
        try:
            thread, extra = _decode(raw), NOTHING
        except msgspec.ValidationError:
            # It holds more, or something else, than is documented: field by field, then.
            fields = msgspec.json.decode(raw)
            if not has_id(fields):
                continue
            thread, extra = split(fields, Thread)
            if not keep_agent_definition and isinstance(extra.get("agent"), dict):
                extra["agent"] = _leave_out(extra["agent"], PROMPT_FIELDS)
        yield thread, extra


def flatten_thread(thread: Thread, extra: Fields, session_id: str) -> Row:
    """Return a thread's columns, from `parent_thread_id` to `extra`, in the order of THREADS."""
    agent, stats = thread.agent or NO_AGENT, thread.stats or NO_STATS
    is_root = thread.parent_thread_id is None and "parent_thread_id" not in extra
    reason = thread.stop_reason and thread.stop_reason.get("type")
    created_at = read_instant(thread.created_at)
    updated_at = read_instant(thread.updated_at)
    archived_at = read_instant(thread.archived_at)
    odd = find_odd_values(thread, agent, (created_at, updated_at, archived_at), session_id)
    return (
        thread.parent_thread_id,
        thread.role or ("coordinator" if is_root else "child"),
        thread.name or None,
        thread.created_by_tool_use_id,
        agent.id if thread.agent_id is None else thread.agent_id,
        agent.type,
        agent.name,
        agent.model.id if isinstance(agent.model, Model) else agent.model,
        agent.version if thread.agent_version is None else thread.agent_version,
        thread.status,
        reason if isinstance(reason, str) else None,
        to_json(thread.stop_reason),
        archived_at is None and thread.status not in CLOSED,
        created_at,
        updated_at,
        archived_at,
        stats.active_seconds,
        stats.duration_seconds,
        stats.startup_seconds,
        to_json(thread.usage),
        to_json(_merge(extra, odd) if odd else extra),
    )


def find_odd_values(
    thread: Thread, agent: Agent, instants: tuple[int | None, ...], session_id: str
) -> Fields:
    """Return the documented fields whose values no column can hold.

    Timestamps that say no instant; another session than the one that was polled; and, as revision
    A gives the agent's id and version beside the agent too, what the agent itself says where the
    two differ.
    """
    odd: Fields = {}
    if thread.session_id is not None and thread.session_id != session_id:
        odd["session_id"] = thread.session_id
    texts = (thread.created_at, thread.updated_at, thread.archived_at)
    if texts.count(None) != instants.count(None):
        for name, instant, text in zip(INSTANTS, instants, texts, strict=True):
            if instant is None and text is not None:
                odd[name] = text
    inner: Fields = {}
    if agent.id is not None and thread.agent_id is not None and thread.agent_id != agent.id:
        inner["id"] = agent.id
    if thread.agent_version not in {None, agent.version} and agent.version is not None:
        inner["version"] = agent.version
    return odd | {"agent": inner} if inner else odd


def read_instant(text: str | None) -> int | None:
    """Return an RFC 3339 timestamp as microseconds since 1970, finer digits cut.

    None for one without an offset: it says no instant.
    """
    if text is None:
        return None
    try:
        return _microseconds(datetime.fromisoformat(text))
    except (ValueError, TypeError, OverflowError):
        return None


def to_json(fields: Fields | None) -> str | None:
    """Return what is known of an object as JSON with sorted keys; None where nothing is."""
    if not fields:
        return None
    known = _prune(fields)
    return _encode(known).decode() if known else None


def _prune(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out of an object what is null or {}: not known."""
    if not isinstance(value, dict):
        return value
    pruned = {name: _prune(inner) for name, inner in value.items()}
    return {name: inner for name, inner in pruned.items() if inner is not None and inner != {}}


def _leave_out(fields: Fields, names: Collection[str]) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


def _merge(fields: Fields, others: Fields) -> Fields:
    """Return both; of a field that is an object in both, what either holds."""
    merged = fields | others
    if isinstance(fields.get("agent"), dict) and "agent" in others:
        merged["agent"] = fields["agent"] | others["agent"]
    return merged


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
