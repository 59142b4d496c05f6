"""Which columns each of the report's tables has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.reporting.formats import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Column(msgspec.Struct, frozen=True):
    """A column: its field and title, and how a value is written.

    `id` and `lines` are the fields of what stands below it.
    """

    field: str
    title: str
    kind: Kind = "number"
    id: str | None = None
    lines: str | None = None


class Layout(msgspec.Struct, frozen=True):
    """How a section becomes a table: `analysis` has all rows, `empty` is shown if there is none."""

    caption: str
    analysis: str
    empty: str
    columns: tuple[Column, ...]


LIFETIMES = tuple(Column(name, name, "duration") for name in ("p50", "p90", "p95", "p99"))
SESSION = Column("session", "session", "text", id="session_id")
AGENT = Column("agent", "agent", "text", id="agent_id")
LAYOUTS: Mapping[str, Layout] = {
    "attention": Layout(
        "Threads that need someone",
        "attention",
        "Nothing needs anyone now.",
        (
            Column("severity", "severity", "word"),
            Column("reason", "reason", "word"),
            Column("quiet_seconds", "quiet for", "duration"),
            Column("threshold_seconds", "usual up to", "duration"),
            AGENT,
            SESSION,
            Column("thread", "thread", "text", id="thread_id"),
            Column("status", "status", "text"),
        ),
    ),
    "status_now": Layout(
        "Threads in each status",
        "status_distribution",
        "No thread is known yet.",
        (
            Column("status", "status", "text"),
            Column("threads", "threads"),
            Column("share", "share", "share"),
        ),
    ),
    "time_in_status": Layout(
        "Time spent in each open status",
        "time_in_status",
        "No thread was seen in an open status yet.",
        (
            Column("status", "status", "text"),
            Column("threads", "threads that had it"),
            Column("seconds_each", "time each", "duration"),
            Column("share", "share of all time", "share"),
            Column("share_low", "at least", "share"),
            Column("share_high", "at most", "share"),
        ),
    ),
    "throughput": Layout(
        "Threads created and closed on each day (UTC)",
        "throughput",
        "No thread is known yet.",
        (
            Column("day", "day", "day"),
            Column("source", "source", "text"),
            Column("role", "role", "text"),
            Column("created", "created"),
            Column("closed", "closed"),
            Column("terminated", "of these terminated"),
            Column("net", "more open", "net"),
            Column("median_seconds", "median lifetime of the closed", "duration"),
        ),
    ),
    "stop_reasons": Layout(
        "Why turns ended",
        "stop_reasons",
        "The server gives no stop reason.",
        (
            Column("reason", "reason", "word"),
            Column("threads", "threads"),
            Column("share", "share", "share"),
        ),
    ),
    "usage": Layout(
        "What threads used",
        "usage",
        "The server says nothing of tokens or costs.",
        (
            AGENT,
            Column("n", "threads (n)"),
            Column("tokens_known", "tokens known of"),
            Column("input_tokens", "input tokens"),
            Column("output_tokens", "output tokens"),
            Column("cache_read_tokens", "read from cache"),
            Column("cost_known", "cost known of"),
            Column("cost_amount", "cost", "amount"),
            Column("currency", "currency", "text"),
            Column("cost_per_closed_thread", "cost of a closed one", "amount"),
        ),
    ),
    "session_usage": Layout(
        "What sessions used",
        "session_summary",
        "The server says nothing of tokens or costs.",
        (
            SESSION,
            Column("input_tokens", "input tokens"),
            Column("output_tokens", "output tokens"),
            Column("tokens_said_by", "tokens said by", "text"),
            Column("cost_amount", "cost", "amount"),
            Column("currency", "currency", "text"),
            Column("cost_said_by", "cost said by", "text"),
            Column("source", "source", "text"),
        ),
    ),
    "durations": Layout(
        "Lifetimes of closed threads",
        "duration_percentiles",
        "No thread is closed yet.",
        (
            Column("label", "threads of", "text"),
            Column("n", "closed (n)"),
            Column("n_open", "open"),
            *LIFETIMES,
            Column("max", "longest", "duration"),
            Column("km_p50", "p50 with open ones", "duration"),
            Column("km_p90", "p90 with open ones", "duration"),
            Column("vanished_share", "closed unseen", "share"),
            Column("late_share", "seen late", "share"),
        ),
    ),
    "survival": Layout(
        "When threads are closed, open ones counted as open until now",
        "survival",
        "No lifetime is known yet.",
        (
            Column("label", "threads of", "text"),
            Column("n", "threads (n)"),
            Column("t75", "one in four", "duration"),
            Column("t50", "half", "duration"),
            Column("t25", "three in four", "duration"),
            Column("t10", "nine in ten", "duration"),
        ),
    ),
    "sessions": Layout(
        "Sessions",
        "session_summary",
        "No session was polled yet.",
        (
            SESSION,
            Column("attention", "need attention"),
            Column("attention_low", "minor"),
            Column("threads", "threads"),
            Column("open", "open"),
            Column("running", "running"),
            Column("idle", "idle"),
            Column("blocked", "blocked"),
            Column("peak_concurrency", "peak open"),
            Column("last_outcome", "last poll", "word"),
            Column("last_updated_at", "last change (UTC)", "moment"),
            Column("source", "source", "text"),
        ),
    ),
    "versions": Layout(
        "Versions of agents beside the largest that began earlier",
        "agent_versions",
        "No agent has threads of two versions yet.",
        (
            AGENT,
            Column("version", "version", "text", lines="version_lines"),
            Column("failures", "failures", "word"),
            Column("speed", "speed", "word"),
            Column("failed_share", "failed by the age", "share", lines="failed_lines"),
            Column("lifetime_seconds", "typical lifetime", "duration", lines="lifetime_lines"),
            Column("common_age_seconds", "that age", "duration"),
            Column("n", "threads (n)", lines="n_lines"),
            Column("created", "created (UTC)", "text", lines="created_lines"),
            Column("role", "role", "word"),
        ),
    ),
    "failing": Layout(
        "Sessions whose numbers are old",
        "ingestion_health",
        "No session is behind, and no last poll failed.",
        (
            SESSION,
            Column("last_outcome", "last poll", "word"),
            Column("failure_streak", "failures in a row"),
            Column("last_complete_poll", "last complete poll (UTC)", "moment"),
            Column("lag_seconds", "behind by", "duration"),
            Column("threads", "threads"),
            Column("last_error", "last error", "prose"),
            Column("source", "source", "text"),
        ),
    ),
    "quality": Layout(
        "What is odd in the data",
        "data_quality",
        "Nothing odd was found.",
        (
            Column("check", "check", "word"),
            Column("source", "source", "text"),
            Column("rows", "found"),
            Column("example", "for example", "text"),
        ),
    ),
}
