"""Another computation of what the analyses read, on random worlds made from seeds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import md5
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.sql import fetch_records
from tests.builders import at
from tests.warehouse.cases import KNOWN
from tests.warehouse.worlds import (
    CLOSED,
    EVER,
    MICROSECOND,
    NEVER,
    Key,
    Row,
    World,
    connect,
    parsed_analyses,
    simulate,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    import duckdb
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

Group = tuple[Any, ...]
Life = tuple[datetime, datetime | None, bool]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LENGTHS = ("seconds", "seconds_low", "seconds_high")
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def hostile() -> World:
    """Return a world whose server dates threads at the ends of time, in every combination."""
    dates = (FIRST, LAST, None)
    combinations = product(
        (*dates, at(5)),
        (*dates, at(6)),
        (*dates, at(7)),
        ("running", "idle", "terminated"),
        (None, "refusal"),
    )
    listed = []
    for number, (created, updated, archived, status, stop) in enumerate(combinations):
        given: Row = {"created_at": created, "updated_at": updated, "archived_at": archived}
        given |= {"agent_id": "x", "agent_version": number % 2, "stop_reason_type": stop}
        is_open = status != "terminated" and archived is None
        listed.append(state(f"t{number}", status) | given | {"is_open": is_open})
    moved = [row | {"status": "odd"} if row["status"] == "idle" else row for row in listed]
    world = World()
    world.poll(10, *listed)
    world.poll(20, *moved)
    world.poll(150, *moved[:300])
    return world


def behind() -> World:
    """Return a world whose server now and then answers with the threads as they had been."""
    world = simulate(8, 200, sessions=2, sources=2, odd=0.03)
    for number, (_, listed, fields) in enumerate(world.given[-8:-4] + world.given[10:18]):
        kind = {name: fields[name] for name in ("source", "session_id")}
        kind["outcome"] = "incomplete" if number % 3 == 1 else "complete"
        world.poll(500 + 5 * number, *listed, **kind)
    return world


def cut_off() -> World:
    """Return a world of which some sessions are gone at its end, or fail, each in its own way."""
    world = simulate(10, 400, sources=3, sessions=2, closing=0.8)
    # Of each session in turn what its polls bring after hour 10: a source is out altogether.
    ends = {
        "sess_0": ["gone", "failed", "gone", "gone"],
        "sess_3": ["failed"] * 4,
        "sess_1": ["gone", "gone", "gone", "overtaken"],
        "sess_4": ["complete"] * 2,
        "sess_2": ["gone", "complete", "gone", "failed"],
        "sess_5": ["gone", "complete", "gone", "incomplete"],
    }
    last = {(fields["source"], fields["session_id"]): shown for _, shown, fields in world.given}
    for (source, session), shown in last.items():
        for number, outcome in enumerate(ends[session]):
            brought = shown if outcome in {"complete", "incomplete"} else ()
            minute = 600 + 70 * number
            world.poll(minute, *brought, source=source, session_id=session, outcome=outcome)
    # Gone between two pages.
    halves = [state(f"half{i}", "blocked", 500, 500) for i in range(3)]
    world.poll(700, *halves, source="source_2", session_id="half", outcome="gone")
    world.poll(720, source="dead", session_id="dead", outcome="failed")
    return world


WORLDS: dict[str, Callable[[], World]] = {
    "twenty": lambda: simulate(1, 20),
    "single": lambda: simulate(2, 1, closing=1),
    "ties": lambda: simulate(3, 400, grain=10, closing=0.7, sessions=2),
    "all open": lambda: simulate(4, 300, closing=0),
    "all closed": lambda: simulate(5, 300, closing=1, polls=60, gap=30, grain=5),
    "odd": lambda: simulate(6, 800, sources=3, sessions=2, odd=0.08),
    "empty": World,
    "hostile": hostile,
    "behind": behind,
    "often polled": lambda: simulate(9, 900, gap=2, polls=160, closing=0.9),
    "cut off": cut_off,
    "five thousand": lambda: simulate(7, 5000, sources=2, sessions=3, odd=0.01),
}

# The largest is among the slow tests.
EACH_WORLD = [
    pytest.param(name, id=name, marks=[pytest.mark.slow] if name == "five thousand" else [])
    for name in WORLDS
]


@cache
def world_of(name: str) -> World:
    """Return a world, made once."""
    return WORLDS[name]()


@cache
def warehouse_of(name: str) -> duckdb.DuckDBPyConnection:
    """Return a warehouse in memory that holds a world, filled once."""
    return connect(world_of(name))


@cache
def table_of(name: str, analysis: str) -> list[Row]:
    """Return an analysis of a world, built once, after those that it reads."""
    found = parsed_analyses()[analysis]
    for after in found.after:
        table_of(name, after)
    build_analysis(warehouse_of(name), found)
    return fetch_records(warehouse_of(name), f"FROM analytics.{analysis}")


def seconds(start: datetime | None, end: datetime | None) -> float | None:
    """Return the time between two instants, exact to the microsecond."""
    return None if start is None or end is None else (end - start) // MICROSECOND / 1e6


def find_percentile(values: list[float], share: float) -> float | None:
    """Return numpy's percentile that is one of the values; none of none."""
    return float(np.percentile(values, share, method="inverted_cdf")) if values else None


def is_same(found: Any, expected: Any, rel: float = 1e-9) -> bool:
    """Tell whether two cells are equal, floating point ones but for its rounding."""
    if isinstance(found, float) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=rel, abs_tol=1e-6)
    return bool(found == expected)


def assert_table(
    rows: list[Row], key: Iterable[str], expected: dict[Group, Row], rel: float = 1e-9
) -> None:
    """Hold every row and every column of a table against what is expected of each key."""
    keys = list(key)
    found = {tuple(row[name] for name in keys): row for row in rows}
    assert len(found) == len(rows)
    assert sorted(map(repr, found.keys() ^ expected.keys())) == []
    wrong = [
        (group, name, row[name], expected[group][name])
        for group, row in found.items()
        for name in row
        if name not in keys and not is_same(row[name], expected[group][name], rel)
    ]
    assert wrong[:10] == []


@cache
def facts_of(name: str) -> list[Row]:
    """Return the threads of a world with what follows for each from the data model."""
    world = world_of(name)
    polls = defaultdict(list)
    for poll in world.polls:
        polls[poll["source"], poll["session_id"]].append(poll)
    children = Counter((*key[:2], row["parent_thread_id"]) for key, row in rows_of(world))
    labels, unwatched = labels_of(world), unwatched_of(world)
    entries = entries_of(world)
    return spread(
        [
            row
            | measure(world, key, row, find_as_of(row, polls[key[:2]]), entries)
            | {"session_label": labels.get(key[:2]), "unwatched_since": unwatched.get(key[:2])}
            | {"key": key, "children": children[key], "depth": find_depth(world, key)}
            for key, row in rows_of(world)
        ]
    )


def spread(facts: list[Row]) -> list[Row]:
    """Give each thread the age that it has in a curve: of one that vanished a separate place.

    It is as likely to have closed at any instant between its bounds as the others of its source.
    """
    known = [fact for fact in facts if fact["elapsed"] is not None]
    ages, ended = Counter[str](), Counter[str]()
    for fact in known:
        ages[fact["source"]] += fact["elapsed"]
    for fact in facts:
        ended[fact["source"]] += fact["basis"] != "open"
    rates = {source: ended[source] / ages[source] for source in ages if ages[source]}
    for fact in facts:
        fact["spread"], fact["pieces"] = fact["elapsed"], [fact["elapsed"]]
        if fact["basis"] == "vanished" and fact["elapsed"] is not None:
            low, high = (bound or 0 for bound in fact["bounds"])
            rate, place = rates[fact["source"]], place_of(fact["key"])
            fact["spread"] = lie_between(low, high, place, rate)
            fact["pieces"] = [lie_between(low, high, (n + place) / 16, rate) for n in range(16)]
    return facts


def lie_between(low: float, high: float, place: float, rate: float) -> float:
    """Return the age at a place between the bounds of one that vanished."""
    if rate * (high - low) > 1e-4:
        return low - math.log1p(place * math.expm1(-rate * (high - low))) / rate
    return low + place * (high - low)


def rows_of(world: World) -> list[tuple[Key, Row]]:
    """Return the threads with their keys, every column that the worlds use given."""
    names = ("parent_thread_id", "stop_reason_type", "agent_id", "agent_name", "agent_model")
    empty = dict.fromkeys((*names, "name", "agent_version", "active_seconds"))
    return [(key, empty | row) for key, row in world.threads.items()]


def find_as_of(row: Row, polls: list[Row]) -> datetime | None:
    """Return the beginning of the newest poll that a row rests on."""
    missing = row.get("missing_sequence") or math.inf
    starts = [
        (poll["sequence"], poll["started_at"])
        for poll in polls
        if (poll["is_complete"] and poll["sequence"] < missing)
        or poll["sequence"] == row["last_changed_sequence"]
    ]
    return max(starts, default=(0, None))[1]


def find_end(world: World, key: Key, row: Row, as_of: datetime | None) -> tuple[str, Any]:
    """Return how a thread closed, and when."""
    if row["archived_at"]:
        return "archived", row["archived_at"]
    if row["is_open"] and row["missing_since"] is None:
        return "open", None
    if row["is_open"]:
        gap = None if as_of is None else (row["missing_since"] - as_of) // MICROSECOND // 2
        return "vanished", None if gap is None else as_of + gap * MICROSECOND
    basis = row["status"] if row["status"] in {"archived", "cancelled"} else "terminated"
    if spell := last_open_spell(world, key):
        return basis, spell["ended_at"]
    first = world.history[key][0]
    after = first["changed_after"]
    is_dated = after is None or first["changed_at"] > after
    seen = first["changed_at" if is_dated else "observed_from"]
    return basis, row["updated_at"] and min(row["updated_at"], seen)


def last_open_spell(world: World, key: Key) -> Row | None:
    """Return the last spell in which a thread was seen open, if it ended."""
    spells = [s for s in world.history[key] if s["status"] not in CLOSED and s["ended_at"]]
    return spells[-1] if spells else None


def entries_of(world: World) -> dict[tuple[str, str], datetime]:
    """Return the first poll of each session whose source did not list what had closed before."""
    first: dict[tuple[str, str], datetime] = {}
    for poll in sorted(world.polls, key=lambda poll: poll["sequence"]):
        if poll["pages"] and poll["outcome"] != "overtaken":
            first.setdefault((poll["source"], poll["session_id"]), poll["started_at"])
    listing = {
        key[0]
        for key, row in world.threads.items()
        if not row["is_open"]
        and row["first_seen_at"] == row["last_changed_at"]
        and (row["archived_at"] or row["updated_at"] or NEVER) < first[key[:2]]
    }
    return {session: start for session, start in first.items() if session[0] not in listing}


def measure(
    world: World,
    key: Key,
    row: Row,
    as_of: datetime | None,
    entries: dict[tuple[str, str], datetime],
) -> Row:
    """Return a thread's lifetime as the specification defines it."""
    updated, created = row["updated_at"], row["created_at"]
    basis, end = find_end(world, key, row, as_of)
    elapsed = seconds(created, as_of if basis == "open" else end)
    elapsed = None if elapsed is None or elapsed < 0 else elapsed
    bounds = (elapsed, None if basis == "open" else elapsed)
    if basis == "vanished":
        bounds = (max(seconds(created, as_of) or 0, 0), seconds(created, row["missing_since"]))
    elif basis != "open" and not row["archived_at"] and elapsed is not None:
        spell = last_open_spell(world, key) or {"ended_after": created, "ended_before": end}
        low, high = (seconds(created, spell[name]) or 0 for name in ("ended_after", "ended_before"))
        bounds = (min(max(low, 0), elapsed), max(high, elapsed))
    age = seconds(created, entries.get(key[:2]))
    if age is None or age < 0 or (basis != "open" and (elapsed is None or age >= elapsed)):
        age = 0
    age = age if elapsed is None else min(age, elapsed)
    listed = seconds(created, row["first_seen_at"])
    if listed is not None and basis in {"open", "vanished"} and bounds[0] is not None:
        listed = min(listed, bounds[0])
    quiet = seconds(updated, as_of)
    quiet = None if quiet is None else max(quiet, 0)
    agent = row["agent_id"] or row["agent_name"]
    version = "(none)" if row["agent_version"] is None else row["agent_version"]
    return {
        "agent": agent,
        "as_of": as_of,
        "basis": basis,
        "called": row["agent_name"] or row["agent_id"],
        "closed_at": end,
        "elapsed": elapsed,
        "bounds": bounds,
        "entry": age,
        "listed": max(listed or 0, 0),
        "quiet": quiet,
        "groups": [
            ("all", "all"),
            ("source", row["source"]),
            ("session", row["session_id"]),
            ("role", row["role"]),
            ("agent", agent or "(none)"),
            ("agent_version", f"{agent or '(none)'}@{version}"),
            ("model", row["agent_model"] or "(none)"),
        ],
    }


def place_of(key: Key) -> float:
    """Return a thread's own place between 0 and 1."""
    number = int.from_bytes(
        md5("/".join(key).encode(), usedforsecurity=False).digest()[8:], "little"
    )
    return ((number >> 12) + 0.5) / 2**52


def labels_of(world: World) -> dict[tuple[str, str], str]:
    """Return what each session was called when it last had a label."""
    named = sorted(world.polls, key=lambda poll: poll["sequence"])
    return {(p["source"], p["session_id"]): p["label"] for p in named if p.get("label")}


@cache
def names_of(name: str) -> dict[Group, Row]:
    """Return what people call the sessions, agents and versions of a world, by dimension, value."""
    found: dict[Group, Row] = {}
    for (_, session), label in sorted(labels_of(world_of(name)).items(), key=lambda item: item[1]):
        found["session", session] = {"name": label, "agent": None, "agent_version": None}
    for fact in sorted(facts_of(name), key=lambda f: f["updated_at"] or f["first_seen_at"]):
        if fact["agent"] is None:
            continue
        own = {"name": fact["called"], "agent": fact["agent"], "agent_version": None}
        found["agent", fact["agent"]] = own
        version = fact["agent_version"]
        called = f"{fact['called']}@{'(none)' if version is None else version}"
        found[fact["groups"][5]] = own | {"name": called, "agent_version": version}
    return found


def name_group(name: str, group: Group) -> Row:
    """Return the columns that say what a group is called."""
    nameless = {"name": group[1], "agent": None, "agent_version": None}
    return names_of(name).get(group[:2], nameless)


def find_depth(world: World, key: Key) -> int | None:
    """Count the ancestors; none where they end at a stranger or lead back."""
    seen = []
    at: Any = key
    while at[2] is not None:
        if at in seen or at not in world.threads:
            return None
        seen.append(at)
        at = (*key[:2], world.threads[at].get("parent_thread_id"))
    return len(seen) - 1


def gather(facts: list[Row], *, by_role: bool = False) -> dict[Group, list[Row]]:
    """Return the threads of each dimension and value, and role where asked for."""
    groups = defaultdict(list)
    for fact in facts:
        for group in fact["groups"]:
            groups[(*group, fact["role"]) if by_role else group].append(fact)
    return groups


def newest(rows: Iterable[Row], column: str = "as_of") -> datetime | None:
    """Return the newest instant of a column."""
    return max((row[column] for row in rows if row[column] is not None), default=None)


def oldest(rows: Iterable[Row], column: str = "as_of") -> datetime | None:
    """Return the oldest instant of a column."""
    return min((row[column] for row in rows if row[column] is not None), default=None)


def newest_poll(world: World, **fields: str) -> datetime | None:
    """Return the beginning of the newest poll of a source or session."""
    polls = (p for p in world.polls if all(p[name] == text for name, text in fields.items()))
    return newest(polls, "started_at")


def newest_loaded(world: World, **fields: str) -> datetime | None:
    """Return the beginning of the newest poll that brought something, of a source or session."""
    brought = [poll for poll in world.polls if poll["pages"] and poll["outcome"] != "overtaken"]
    return newest_poll(World(polls=brought), **fields)


def newest_of_source(world: World, source: str = "(any)") -> datetime | None:
    """Return the newest poll of a source that brought something, or said what is not watched."""
    fields = {} if source == "(any)" else {"source": source}
    unwatched = unwatched_of(world).items()
    since = [start for session, start in unwatched if source in {"(any)", session[0]}]
    return max(filter(None, (newest_loaded(world, **fields), *since)), default=None)


def hours_of_source(world: World, source: str) -> tuple[datetime, datetime]:
    """Return the first and the last hour that the polls of a source speak of.

    Nothing says that the clock was right: no hour is older than the first thread.
    """
    polls = [p for p in world.polls if p["source"] == source and p["outcome"] != "overtaken"]
    births = [row["created_at"] for key, row in world.threads.items() if key[0] == source]
    oldest = min(filter(None, births), default=polls[0]["started_at"])
    first = max(floor(oldest), min(floor(poll["started_at"]) for poll in polls))
    as_of = newest_of_source(world, source) or EVER
    return first, max(floor(as_of), *(floor(poll["finished_at"]) for poll in polls))


def dated_hour_of_source(world: World, source: str, first: datetime) -> datetime:
    """Return from which hour on dates speak of a source, if it listed what had closed."""
    births = [row["created_at"] for key, row in world.threads.items() if key[0] == source]
    oldest = min(filter(None, births), default=first)
    if any(session[0] == source for session in entries_of(world)):
        return first
    return min(first, max(floor(oldest), first - timedelta(days=31)))


def oldest_of_source(world: World, source: str) -> datetime | None:
    """Return the oldest of the polls that brought something last, each of a watched session."""
    sessions = {poll["session_id"] for poll in world.polls if poll["source"] == source}
    watched = [s for s in sessions if (source, s) not in unwatched_of(world)]
    ends = [newest_loaded(world, source=source, session_id=session) for session in watched]
    return min(filter(None, ends), default=newest_of_source(world, source))


def unwatched_of(world: World) -> dict[tuple[str, str], datetime]:
    """Return since when nobody watches a session: gone, forbidden, or out of scope."""
    since: dict[tuple[str, str], datetime] = {}
    last: dict[tuple[str, str], str] = {}
    for poll in sorted(world.polls, key=lambda poll: poll["sequence"]):
        session = (poll["source"], poll["session_id"])
        is_absent = poll["outcome"] in {"gone", "forbidden"}
        if poll["pages"] and not is_absent and poll["outcome"] != "overtaken":
            since.pop(session, None)
        if poll["outcome"] != "overtaken" and not poll.get("status_filter"):
            last[session] = poll["outcome"]
            if is_absent:
                since.setdefault(session, poll["started_at"])
    absent = {s: start for s, start in since.items() if last[s] in {"gone", "forbidden"}}
    return absent | {s: min(left, absent.get(s, NEVER)) for s, left in world.left.items()}


@cache
def fit(name: str) -> dict[Group, tuple[Product, list[Row]]]:
    """Return the curve of every group, with the threads it is of."""
    curves = {}
    for group, members in gather(facts_of(name), by_role=True).items():
        known = [fact for fact in members if fact["elapsed"] is not None]
        if known:
            lives = [
                (f["spread"], f["basis"] == "open", f["entry"], f["listed"], *find_bounds(f))
                for f in known
            ]
            curves[group] = (Product(lives), known)
    return curves


def find_bounds(fact: Row) -> tuple[float, float]:
    """Return the bounds of the lifetime of a thread that vanished, else twice the lifetime."""
    return fact["bounds"] if fact["basis"] == "vanished" else (fact["spread"], fact["spread"])


class Product:
    """The product-limit curve of closings that were seen, times that of those that were not.

    `lives` are ages, whether open, ages at entry and at the first listing, and the bounds of the
    age of one that vanished, else that age. Whoever vanished was at risk of that from its first
    listing on. The last one at risk does not take all while others are still to come. Without
    vanished ones it is the curve of lifelines.
    """

    def __init__(self, lives: list[tuple[float, bool, float, float, float, float]]) -> None:
        ages, is_open, entries, listed, least, most = map(np.array, zip(*lives, strict=True))
        self.vanished = least < most
        self.ages, self.is_open = ages, is_open
        # From birth on is from before the age of 0.
        late = {False: entries, True: np.minimum(listed, ages)}
        self.entries = {kind: np.where(begins > 0, begins, -1) for kind, begins in late.items()}
        self.times = np.unique(ages)
        self.shares, variance = np.ones(len(self.times)), np.zeros(len(self.times))
        for kind, begins in self.entries.items():
            gone = np.sort(ages[~is_open & (self.vanished == kind)])
            closed = count_until(gone, self.times, "right") - count_until(gone, self.times, "left")
            at_risk = self.at_risk(kind)
            closed -= (closed == at_risk) & (closed > 0) & (self.times <= begins.max())
            self.shares *= np.cumprod(1 - closed / np.maximum(at_risk, 1))
            staying = np.maximum(at_risk - closed, 1)
            variance += np.cumsum(closed / np.maximum(at_risk, 1) / staying)
        with np.errstate(all="ignore"):
            spread = np.exp(1.959963984540054 * np.sqrt(variance) / np.log(self.shares))
            self.lows, self.highs = self.shares ** (1 / spread), self.shares**spread
        earliest, own, latest = (np.sort(x[self.vanished]) for x in (least, ages, most))
        before, until, after = (
            count_until(x, self.times, "right") for x in (earliest, own, latest)
        )
        self.maybe_sooner, self.maybe_later = before - until, until - after

    def at_risk(self, is_vanished: object) -> Numbers:
        """Return how many could close so at each time."""
        entries = self.entries[bool(is_vanished)]
        inside = entries < self.ages
        entered = count_until(np.sort(entries[inside]), self.times, "left")
        left: Numbers = count_until(np.sort(self.ages[inside]), self.times, "left")
        return entered - left

    def falls_to(self, share: float) -> float | None:
        """Return the first time at which the curve is at the share or below."""
        reached = self.times[self.shares <= share + 1e-9]
        return float(reached[0]) if len(reached) else None


def count_until(values: Numbers, times: Numbers, side: Literal["left", "right"]) -> Numbers:
    """Return how many of the values, in order, lie before each time, or at it (right)."""
    counts: Numbers = np.searchsorted(values, times, side=side)
    return counts


def lives_of(world: World, source: str, session_id: str | None = None) -> list[Life]:
    """Return every time for which a thread was open: its beginning, end, and whether it closed.

    One without an end lives on; a thread that was reopened has several.
    """
    lives: list[Life] = []
    unwatched = unwatched_of(world)
    for key, spells in world.history.items():
        if source != key[0] or session_id not in {None, key[1]}:
            continue
        row, first = world.threads[key], spells[0]
        begin: datetime | None = min(first["changed_after"] or NEVER, first["changed_at"])
        for spell in spells:
            if spell["status"] not in CLOSED:
                begin = begin or spell["changed_at"]
            elif begin:
                lives.append((begin, spell["changed_at"], True))
                begin = None
        if begin:
            ends = [row["archived_at"]] if not row["is_open"] else [row["missing_since"]]
            left = ends[0] or unwatched.get(key[:2])
            end = left and max(left, spells[-1]["changed_at"])
            lives.append((begin, end, ends[0] is not None))
    return lives


def floor(moment: datetime) -> datetime:
    """Return the beginning of the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def sights_of(world: World) -> dict[Key, list[tuple[datetime, datetime]]]:
    """Return the complete polls that saw each thread as it was: their beginnings and pages.

    What is older than what a thread was seen as before says nothing of its present.
    """
    sights: dict[Key, list[tuple[datetime, datetime]]] = defaultdict(list)
    updated: dict[Key, datetime | None] = {}
    for minute, listed, fields in world.given:
        if fields["outcome"] == "overtaken":
            continue
        is_complete = fields["outcome"] == "complete" and "status_filter" not in fields
        for shown in listed:
            key = (fields["source"], fields["session_id"], shown["thread_id"])
            before, now = updated.get(key), shown["updated_at"]
            if before is None or now is None or now >= before:
                updated[key] = now
                if is_complete:
                    sights[key].append((at(minute), at(minute + 0.5)))
    return sights


@cache
def spells_of(name: str) -> list[Row]:
    """Return the spells of a world with their estimated lengths and bounds."""
    world = world_of(name)
    sights = sights_of(world)
    facts = {fact["key"]: fact for fact in facts_of(name)}
    spells = []
    for spell in world.spells():
        fact = facts[spell["source"], spell["session_id"], spell["thread_id"]]
        is_current = spell["ended_before"] is None
        saw = [start for start, page in sights[fact["key"]] if page >= spell["observed_from"]]
        last = max(saw, default=None) if is_current else spell["ended_after"]
        until = max(spell["observed_from"], last or spell["observed_from"])
        begin = min(filter(None, (spell["changed_after"], spell["changed_at"])))
        lengths = {
            "seconds": seconds(spell["changed_at"], spell["ended_at"] or until),
            "seconds_low": seconds(spell["observed_from"], until),
            "seconds_high": seconds(begin, spell["ended_before"] or until),
        }
        spells.append(spell | lengths | {"fact": fact, "is_current": is_current})
    return spells


def assert_distribution(name: str, table: str, column: str) -> None:
    """Assert that the listed threads are counted by the column, in every group."""
    expected = {}
    groups = gather([fact for fact in facts_of(name) if fact["missing_since"] is None])
    if table == "status_distribution":
        groups.setdefault(("all", "all"), [])
    for group, everyone in groups.items():
        members = [fact for fact in everyone if not fact["unwatched_since"]]
        counts = Counter(fact[column] or "(none)" for fact in members)
        if table == "status_distribution":
            kinds = {*counts, *KNOWN}
        else:
            kinds = {fact[column] or "(none)" for fact in everyone}
        for kind in kinds:
            expected[(*group, kind)] = name_group(name, group) | {
                "threads": counts[kind],
                "share": counts[kind] / len(members) if members else None,
                "n": len(members),
                "as_of": newest(members),
                "as_of_oldest": oldest(members),
                "threads_unwatched": len(everyone) - len(members),
            }
    assert_table(table_of(name, table), ("dimension", "value", column), expected)
