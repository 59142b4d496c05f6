"""Alerts: what someone should learn without looking, posted to a webhook.

A finding is a thread of `attention` with its reason, or a configured session that is failing,
stale, gone or forbidden. It is sent once: what was sent is in `alerted.parquet`, which is replaced
after the webhook has accepted the message, so that none is lost and one may be sent twice. A reason
that goes and comes back is sent again.

A message may go to another company. It contains ids, statuses and counts: no thread's name, no text
of the server's, and no character that a chat could take for markup or a mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from pipelines.errors import AlertError
from pipelines.files import replace_file
from pipelines.reporting.health import read_health
from pipelines.reporting.wording import Duration
from pipelines.warehouse.ledger import ABSENT
from pipelines.warehouse.sql import ArrowStream, fetch_records, read_query, read_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipelines.config.settings import Settings
    from pipelines.warehouse.base import Warehouse

ALERTED = "alerted.parquet"
KEYS = pl.Schema(dict.fromkeys(("source", "session_id", "thread_id", "reason"), pl.String()))
UNHEALTHY = pl.Schema({"source": pl.String(), "session_id": pl.String(), "reason": pl.String()})
REPORTED_STATES = frozenset({"failing", "stale", *ABSENT})
REASONS = {"needs_you": "needs you", "gave_up": "gave up"}
LONGEST_ID = 80
UNSAFE = re.compile(r"[^\w.:-]")


def send_alerts(
    warehouse: Warehouse,
    sent: Path,
    settings: Settings,
    now: datetime,
    send: Callable[[str], None],
) -> tuple[int, int]:
    """Send the findings that are not in the file `sent` yet; return how many came and went.

    Raises what `send` raises: nothing counts as sent then. Raises AlertError if the file cannot be
    read.
    """
    unhealthy = unhealthy_sessions(warehouse, settings, now)
    try:
        come, gone, news, findings = compare_findings(warehouse, unhealthy, sent)
    except (duckdb.Error, pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        hint = f"Remove {sent.name}, or bring the tables up to date with `session-threads run`"
        raise AlertError(f"{sent.parent}: findings cannot be compared ({first}). {hint}") from None
    if not come and not gone:
        return 0, 0
    try:
        with replace_file(sent) as file:
            findings.write_parquet(file)
            file.flush()
            if come:
                send(compose_news(news, come))
    except OSError as error:
        problem = f"cannot be written ({error.strerror}), and findings must not be sent twice"
        raise AlertError(f"{sent}: {problem}. Make room") from None
    return come, gone


def compare_findings(
    warehouse: Warehouse, unhealthy: pl.DataFrame, sent: Path
) -> tuple[int, int, list[dict[str, Any]], pl.DataFrame]:
    """Return how many findings came and went since they were sent, the first that came, and all.

    All of them have the schema KEYS, and are what counts as sent once the first are.
    """
    findings, changes, news = (text for _, text in read_sql("alerts"))
    with warehouse.read() as connection:
        connection.register("unhealthy", ArrowStream(unhealthy))
        connection.execute(findings)
        if sent.exists():
            connection.register("sent_before", ArrowStream(pl.read_parquet(sent)))
            connection.execute("INSERT INTO sent BY NAME FROM sent_before")
        (counted,) = fetch_records(connection, changes)
        rows = fetch_records(connection, news)
        keys = connection.execute("FROM finding_keys").fetchall()
    return counted["come"], counted["gone"], rows, pl.DataFrame(keys, schema=KEYS, orient="row")


def unhealthy_sessions(warehouse: Warehouse, settings: Settings, now: datetime) -> pl.DataFrame:
    """Return the configured sessions that someone should look at, with the schema UNHEALTHY."""
    lines = read_health(warehouse, settings, now)
    rows = [(x.source, x.session_id, x.state) for x in lines if x.state in REPORTED_STATES]
    return pl.DataFrame(rows, schema=UNHEALTHY, orient="row")


def compose_news(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """Return the message for these findings, the first of so many."""
    things = "1 new thing" if total == 1 else f"{total} new things"
    lines = [f"session-threads: {things} to look at", *map(describe_finding, rows)]
    if total > len(rows):
        lines.append(f"and {total - len(rows)} more: session-threads show attention")
    return "\n".join(lines)


def describe_finding(row: Mapping[str, Any]) -> str:
    """Return one line on a finding."""
    session = f"session {mark(row['session_id'])} of {mark(row['source'])}"
    reason = REASONS.get(row["reason"], f"is {row['reason']}")
    if not row["thread_id"]:
        return f"• {session} {reason}: session-threads status"
    quiet = row["quiet_seconds"]
    since = "" if quiet is None else f", quiet for {Duration(quiet)}"
    status = mark(row["status"] or "unknown")
    return f"• thread {mark(row['thread_id'])} of {session} {reason}: status {status}{since}"


def compose_failure(
    run_id: str, causes: Sequence[str], polls: Sequence[str], *, is_retried: bool
) -> str:
    """Return one line on a failed run: the steps and errors, as far as there are any, its polls."""
    where = f"in {', '.join(map(mark, causes))}" if causes else "without a word: its process ended"
    ended = f" ({', '.join(polls)})" if polls else ""
    next_ = "It is tried again" if is_retried else "Dagster shows its log"
    return f"session-threads: run {mark(run_id)} failed {where}{ended}. {next_}"


def describe_polls(warehouse: Warehouse, run_id: str) -> list[str]:
    """Return how the failed polls of a run ended, a phrase for each way; none before its load."""
    if not warehouse.is_published():
        return []
    with warehouse.read() as connection:
        rows = fetch_records(connection, read_query("ledger", "failures_of_run"), [run_id])
    return [f"{r['sessions']} {mark(r['outcome'])}: {mark(r['error_type'])}" for r in rows]


def mark(text: str) -> str:
    """Return an id as code in which no character has a meaning for a chat, cut if it is long."""
    inert = UNSAFE.sub("?", text)
    return f"`{inert if len(inert) <= LONGEST_ID else inert[:LONGEST_ID] + '…'}`"
