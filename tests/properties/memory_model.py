"""What 3-data-model says of runs, threads, spells and drift, once more and in plain Python."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pipelines.records import Poll, Run

NOT_IN_THE_LEDGER = {"endpoint", "provider", "missing_rule", "is_leaving", "origin"}
KNOWN_VALUES = {"idle", "running", "end_turn", "requires_action"}
Row = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Listed:
    """A thread as a page listed it."""

    observed_at: datetime
    thread: Row


@dataclass
class Model:
    """The tables, as lists and dictionaries."""

    threads: dict[Key, Row] = field(default_factory=dict)
    history: dict[Key, list[Row]] = field(default_factory=dict)
    # Per thread, the beginning of the last complete poll that saw its current spell.
    last_saw: dict[Key, datetime | None] = field(default_factory=dict)
    ledger: list[Row] = field(default_factory=list)
    drift: dict[tuple[str, str, str | None], Row] = field(default_factory=dict)
    runs: list[Row] = field(default_factory=list)
    # Of the run that is being loaded.
    place: int = 0

    def load(self, run: Run, polls: list[tuple[Poll, list[Listed], set[str]]]) -> None:
        """Load a run: its polls, each with what it listed or looked up, and what was not found."""
        outcomes: Counter[str] = Counter()
        news: dict[tuple[str, str, str | None], list[tuple[datetime, Key]]] = {}
        for said, seen, gone in polls:
            poll, listed = by_server(said, seen)
            before = [r["sequence"] for r in self.ledger if r["session_id"] == poll.session_id]
            is_overtaken = any(other >= run.place for other in before)
            self.place = run.place
            counts = Counter() if is_overtaken else self._apply(poll, listed, gone, news)
            outcome = "overtaken" if is_overtaken else poll.outcome
            outcomes[outcome] += 1
            kinds = ("new", "changed", "unchanged", "missing", "regressed")
            self.ledger.append(
                {
                    name: getattr(poll, name)
                    for name in poll.__struct_fields__
                    if name not in NOT_IN_THE_LEDGER
                }
                | {"run_id": run.id, "sequence": run.place, "outcome": outcome}
                | {f"threads_{kind}": counts[kind] for kind in kinds}
            )
        for what, found in news.items():
            if what not in self.drift:
                self.drift[what] = {
                    "path": what[0],
                    "json_type": what[1],
                    "value": what[2],
                    "examples": len({key for _, key in found}),
                    "first_seen_at": min(at for at, _ in found),
                    "run_id": run.id,
                }
        names = ("complete", "incomplete", "gone", "forbidden", "failed", "overtaken")
        self.runs.append(
            {"run_id": run.id, "sequence": run.place}
            | {f"sessions_{name}": outcomes[name] for name in names}
        )

    def _apply(
        self,
        poll: Poll,
        listed: list[Listed],
        gone: set[str],
        news: dict[tuple[str, str, str | None], list[tuple[datetime, Key]]],
    ) -> Counter[str]:
        counts: Counter[str] = Counter()
        is_complete = poll.outcome == "complete" and not poll.status_filter
        newest = keep_newest(poll, listed)
        for item in listed:
            if colour := is_asked_for(poll, item) and item.thread.get("colour"):
                kind = "string" if isinstance(colour, str) else "number"
                found = news.setdefault(("colour", kind, None), [])
                found.append((item.observed_at, (poll.session_id, item.thread["id"])))
        for item in newest.values():
            key = (poll.session_id, item.thread["id"])
            verdict = self._observe(key, item)
            counts[verdict] += 1
            for what in describe_values(item.thread):
                news.setdefault(what, []).append((item.observed_at, key))
            if is_complete and verdict != "regressed":
                self.last_saw[key] = poll.started_at
        if is_complete:
            for (session, thread_id), row in self.threads.items():
                is_lost = thread_id not in newest and (
                    poll.missing_rule == "unlisted" or thread_id in gone
                )
                if session == poll.session_id and is_lost and not row["missing_since"]:
                    row |= {"missing_since": poll.started_at, "missing_sequence": self.place}
                    counts["missing"] += 1
        return counts

    def _observe(self, key: Key, item: Listed) -> str:
        content = flatten(key, item.thread)
        known = self.threads.get(key)
        stamps: Row = {"missing_since": None, "missing_sequence": None}
        stamps |= {"last_changed_at": item.observed_at, "last_changed_sequence": self.place}
        if known is None:
            stamps |= {"first_seen_at": item.observed_at}
            self.threads[key] = content | stamps
            self._begin_spell(key, content, item.observed_at, content["created_at"])
            return "new"
        is_back = known["missing_since"] is not None
        if content["updated_at"] < known["updated_at"]:
            if is_back:
                known |= stamps
            return "regressed"
        if not is_back and {name: known[name] for name in content} == content:
            return "unchanged"
        spell = self.history[key][-1]
        known |= content | stamps
        if (spell["status"], spell["stop_reason_type"]) != (
            content["status"],
            content["stop_reason_type"],
        ):
            after = self.last_saw[key] or spell["observed_from"]
            self._begin_spell(key, content, item.observed_at, after)
        return "changed"

    def _begin_spell(self, key: Key, content: Row, observed: datetime, after: datetime) -> None:
        spells = self.history.setdefault(key, [])
        if spells:  # the clock may have been set back
            observed = max(observed, spells[-1]["observed_from"])
            after = min(after, observed)
        updated, created = content["updated_at"], content["created_at"]
        if after < updated <= observed:
            changed = updated
        elif not spells:
            changed = min(created, observed)
        else:
            changed = after + (observed - after) / 2
        if spells:
            changed = max(changed, spells[-1]["changed_at"])
            spells[-1] |= {"ended_before": observed, "ended_after": after, "ended_at": changed}
            spells[-1]["next_status"] = content["status"]
        spells.append(
            {name: content[name] for name in ("source", "session_id", "thread_id")}
            | {"status": content["status"], "stop_reason_type": content["stop_reason_type"]}
            | {"spell": len(spells) + 1, "observed_from": observed, "changed_after": after}
            | {"changed_at": changed, "ended_before": None}
        )
        self.last_saw[key] = None

    def _spells(self, key: Key) -> list[Row]:
        spells = self.history[key]
        rows = []
        for spell, following in zip(spells, [*spells[1:], None], strict=True):
            seen = following["changed_after"] if following else self.last_saw[key]
            until = max(spell["observed_from"], seen or spell["observed_from"])
            end = following["changed_at"] if following else until
            last = spell["ended_before"] or until
            first = min(spell["changed_after"], spell["changed_at"])
            rows.append(
                spell
                | {
                    "observed_until": until,
                    "seconds": (end - spell["changed_at"]).total_seconds(),
                    "seconds_low": (until - spell["observed_from"]).total_seconds(),
                    "seconds_high": (last - first).total_seconds(),
                    "is_current": following is None,
                }
            )
        return rows

    def dump(self) -> dict[str, list[Row]]:
        """Return what the tables must hold, sorted, without what is null."""
        tables = {
            "threads": list(self.threads.values()),
            "history": [spell for spells in self.history.values() for spell in spells],
            "spells": [row for key in self.history for row in self._spells(key)],
            "ledger": self.ledger,
            "drift": list(self.drift.values()),
            "runs": self.runs,
        }
        keys = {
            "threads": ("session_id", "thread_id"),
            "history": ("session_id", "thread_id", "spell"),
            "spells": ("session_id", "thread_id", "spell"),
            "ledger": ("run_id", "session_id"),
            "drift": ("path", "json_type", "value"),
            "runs": ("run_id",),
        }
        return {
            name: [
                {column: value for column, value in row.items() if value is not None}
                for row in sorted(rows, key=lambda row: [str(row[k] or "~") for k in keys[name]])
            ]
            for name, rows in tables.items()
        }


def by_server(poll: Poll, listed: list[Listed]) -> tuple[Poll, list[Listed]]:
    """Return a poll with the times that the server's clock says, if ours is minutes off."""
    skew = poll.clock_skew_seconds or 0
    error = timedelta(seconds=skew if abs(skew) > 300 else 0)
    times = {name: getattr(poll, name) - error for name in ("started_at", "finished_at")}
    moved = [Listed(item.observed_at - error, item.thread) for item in listed]
    return msgspec.structs.replace(poll, **times), moved


def is_asked_for(poll: Poll, item: Listed) -> bool:
    """Whether a poll asked for threads of this status."""
    return not poll.status_filter or item.thread["status"] in poll.status_filter.split(",")


def keep_newest(poll: Poll, listed: list[Listed]) -> dict[str, Listed]:
    """Return what a poll says of each thread it asked for."""
    newest: dict[str, Listed] = {}
    for item in listed:
        thread = item.thread
        if not is_asked_for(poll, item):
            continue
        best = newest.get(thread["id"])
        if best is None or thread["updated_at"] >= best.thread["updated_at"]:
            newest[thread["id"]] = item
    return newest


def flatten(key: Key, thread: Row) -> Row:
    """Return the columns of `threads` that this world fills."""
    reason = thread.get("stop_reason")
    colour = thread.get("colour")
    return {
        "source": "qoder",
        "session_id": key[0],
        "thread_id": key[1],
        "role": "coordinator",
        "status": thread["status"],
        "stop_reason_type": reason["type"] if reason else None,
        "stop_reason": json.dumps(reason, separators=(",", ":")) if reason else None,
        "is_open": True,
        "created_at": datetime.fromisoformat(thread["created_at"]),
        "updated_at": datetime.fromisoformat(thread["updated_at"]),
        "extra": json.dumps({"colour": colour}, separators=(",", ":")) if colour else None,
    }


def describe_values(thread: Row) -> list[tuple[str, str, str | None]]:
    """Return which values of a thread are not documented: path, type and value."""
    reason = (thread.get("stop_reason") or {}).get("type")
    values = {"status": thread["status"], "stop_reason.type": reason}
    return [
        (path, "string", value)
        for path, value in values.items()
        if value and value not in KNOWN_VALUES
    ]
