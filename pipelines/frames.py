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

from pipelines.errors import LandingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
_INT64 = range(-(2**63), 2**63)
_encode = msgspec.json.Encoder(order="sorted").encode


class _Cut(msgspec.Struct):
    data: msgspec.Raw


_cut = msgspec.json.Decoder(_Cut).decode

Fields = dict[str, Any]
Row = tuple[Any, ...]


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
        try:
            for thread in read_threads(body):
                if wanted is None or thread.get("status") in wanted:
                    origin = (source, session_id, thread["id"], _microseconds(observed_at))
                    rows.append(origin + flatten_thread(thread, session_id, keep_agent_definition))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
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


def read_threads(body: bytes) -> list[Fields]:
    """Return the threads of a page's body; what is not a thread is left to the walk to report."""
    return [
        thread
        for thread in msgspec.json.decode(body)["data"]
        if isinstance(thread, dict) and isinstance(thread.get("id"), str) and thread["id"]
    ]


def cut_threads(body: bytes) -> bytes | msgspec.Raw:
    """Return of a page's body the threads alone, as they came; a body that is no page, whole."""
    try:
        return _cut(body).data
    except (ValueError, RecursionError):
        return body


def flatten_thread(thread: Fields, session_id: str, keep_agent_definition: bool) -> Row:  # noqa: FBT001
    """Return a thread's columns, from `parent_thread_id` to `extra`, in the order of THREADS."""
    rest = {name: value for name, value in thread.items() if value is not None and value != {}}
    del rest["id"]
    _drop_expected(rest, "type", "session_thread")
    _drop_expected(rest, "session_id", session_id)
    parent = take_text(rest, "parent_thread_id")
    is_root = parent is None and "parent_thread_id" not in rest
    agent = take_object(rest, "agent")
    agent_columns = flatten_agent(agent, rest, keep_agent_definition)
    status = take_text(rest, "status")
    stop_reason = take_object(rest, "stop_reason")
    archived_at = take_timestamp(rest, "archived_at")
    stats = take_object(rest, "stats")
    usage = take_object(rest, "usage")
    row = (
        parent,
        take_text(rest, "role") or ("coordinator" if is_root else "child"),
        take_text(rest, "name") or None,
        take_text(rest, "created_by_tool_use_id"),
        *agent_columns,
        status,
        take_text(dict(stop_reason), "type"),
        to_json(stop_reason),
        archived_at is None and status not in CLOSED,
        take_timestamp(rest, "created_at"),
        take_timestamp(rest, "updated_at"),
        archived_at,
        take_number(stats, "active_seconds"),
        take_number(stats, "duration_seconds"),
        take_number(stats, "startup_seconds"),
        to_json(usage),
    )
    leftovers = {name: left for name, left in (("agent", agent), ("stats", stats)) if left}
    return (*row, to_json(rest | leftovers))


def flatten_agent(agent: Fields, rest: Fields, keep_agent_definition: bool) -> Row:  # noqa: FBT001
    """Return id, type, name, model and version; what is left stays in `agent` and `rest`.

    Revision A also gives id and version beside the agent; where the two differ, the agent's own
    stays in `agent`.
    """
    if not keep_agent_definition:
        for field in PROMPT_FIELDS:
            agent.pop(field, None)
    agent_id = take_text(rest, "agent_id")
    version = take_integer(rest, "agent_version")
    if agent_id is None or agent.get("id") == agent_id:
        inner_id = take_text(agent, "id")
        agent_id = inner_id if agent_id is None else agent_id
    if version is None or agent.get("version") == version:
        inner_version = take_integer(agent, "version")
        version = inner_version if version is None else version
    model = agent.get("model")
    if isinstance(model, dict):
        model = dict(model)
        agent_model = take_text(model, "id")
        agent["model"] = model
    else:
        agent_model = take_text(agent, "model")
    return agent_id, take_text(agent, "type"), take_text(agent, "name"), agent_model, version


def take_text(fields: Fields, name: str) -> str | None:
    """Take a text out of the fields; what is none stays."""
    return fields.pop(name) if isinstance(fields.get(name), str) else None


def take_object(fields: Fields, name: str) -> Fields:
    """Take an object out of the fields, as a copy; empty where there is none."""
    return dict(fields.pop(name)) if isinstance(fields.get(name), dict) else {}


def take_integer(fields: Fields, name: str) -> int | None:
    """Take a 64-bit integer out of the fields; what is none stays."""
    value = fields.get(name)
    return fields.pop(name) if type(value) is int and value in _INT64 else None


def take_number(fields: Fields, name: str) -> float | None:
    """Take a number out of the fields, as a float; what is none, or too large for one, stays."""
    value = fields.get(name)
    if type(value) is float or (type(value) is int and value in _INT64):
        return float(fields.pop(name))
    return None


def take_timestamp(fields: Fields, name: str) -> int | None:
    """Take an RFC 3339 timestamp out of the fields, as microseconds since 1970, finer digits cut.

    One without an offset says no instant: it stays.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        microseconds = _microseconds(moment)
    except (ValueError, TypeError, OverflowError):
        return None
    del fields[name]
    return microseconds


def to_json(fields: Fields) -> str | None:
    """Return what is known of an object as JSON with sorted keys; None where nothing is."""
    known = _prune(fields)
    return _encode(known).decode() if known else None


def _prune(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out of an object what is null or {}: not known."""
    if not isinstance(value, dict):
        return value
    pruned = {name: _prune(inner) for name, inner in value.items()}
    return {name: inner for name, inner in pruned.items() if inner is not None and inner != {}}


def _drop_expected(fields: Fields, name: str, expected: str) -> None:
    if fields.get(name) == expected:
        del fields[name]


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
