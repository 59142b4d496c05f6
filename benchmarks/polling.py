"""What polling cannot see: simulated fleets whose whole histories are known, polled and analysed.

    python benchmarks/polling.py [HOURS]

Each poll interval has a separate warehouse, filled by the real load with rendered threads, but
without HTTP. What `time_in_status` and `status_transitions` say is then compared with them;
docs/polling_error.md and docs/polling_error.svg show how it went.

The truth of a row of `time_in_status` is the time that its threads really spent in the status, up
to the newest poll that saw each, or to its end where that poll saw it closed. A thread's time
before the stay in which it was first seen is `(unobserved)` and belongs to no other status: of it
polling learns the length and nothing else. A transition is direct where the status seen next is
the one that followed the stay first seen, and nothing lay between.
"""

from __future__ import annotations

import random
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import altair as alt
import duckdb
import msgspec
import polars as pl
import vl_convert

from pipelines.landing.format import PAGES, Landed
from pipelines.records import Poll, Run
from pipelines.sandbox.naming import Agent
from pipelines.sandbox.plans import Event, SessionPlan, ThreadPlan
from pipelines.sandbox.world import HISTORY_TURNS, MODELS, World
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.load import load_run
from pipelines.warehouse.schema import migrate
from pipelines.warehouse.sql import fetch_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

START = datetime(2026, 10, 1, tzinfo=UTC)
BEFORE_S = 6 * 3600.0  # births begin so long before the first poll
AGENTS = ("planner", "researcher", "coder", "reviewer", "tester")
INTERVALS = (1, 5, 15, 60)  # minutes
HOURS = 24.0
ANALYSES = ("thread_durations", "time_in_status", "status_transitions")
DOCS = Path(__file__).parents[1] / "docs"

UNOBSERVED = "(unobserved)"
CLOSED = frozenset({"archived", "terminated"})
ARCHIVED, TERMINATED, BLOCKED = 0.05, 0.08, 0.18  # up to which draw a turn ends so; else idle
BLOCKED_TURNS = 0.5  # mean length of a blocked stay, in turns
UNSEEN_GAPS = 3  # poll gaps of time that a status may have had which no poll saw
EXACT_S = 1e-3

ThreadKey = tuple[str, str, str]


@dataclass(frozen=True)
class Fleet:
    """A kind of fleet: each stay draws one of the mean turns (minutes) and is exponential.

    `idle_turns` is the mean length of an idle stay, in turns. With `beat_s` the server moves
    `updated_at` every so many seconds while a thread runs, not only where its status changes.
    """

    turns: tuple[float, ...]
    idle_turns: float = 1.5
    beat_s: float = 0

    def draw_stay(self, draw: random.Random, turns: float) -> float:
        """Draw the length of a stay whose mean is so many turns, in seconds."""
        return draw.expovariate(1 / (60 * turns * draw.choice(self.turns)))


FLEETS = {
    "short turns, 2 min": Fleet((2,)),
    "medium turns, 15 min": Fleet((15,)),
    "long turns, 90 min": Fleet((90,)),
    "mixed turns, 2, 15 and 90 min": Fleet((2, 15, 90)),
    "waiting: turns of 2 min, idle 60": Fleet((2,), idle_turns=30),
    "chatty: 15 min, updates every 30 s": Fleet((15,), beat_s=30),
}


def draw_life(draw: random.Random, fleet: Fleet, born: float, end: float) -> Iterator[Event]:
    """Draw a thread's states from its birth until it is closed or `end` is past."""
    at = born
    while at < end:
        yield Event(at, "running")
        at += fleet.draw_stay(draw, 1)
        fate = draw.random()
        if fate < ARCHIVED:
            yield Event(at, "archived", "archive", is_archived=True)
            return
        if fate < TERMINATED:
            yield Event(at, "terminated", "refusal")
            return
        if fate < BLOCKED:
            yield Event(at, "blocked")
            at += fleet.draw_stay(draw, BLOCKED_TURNS)
        else:
            yield Event(at, "idle", draw.choice(("end_turn", "requires_action")))
            at += fleet.draw_stay(draw, fleet.idle_turns)


class Server:
    """A source whose threads' histories are drawn here, in seconds since the world's epoch."""

    def __init__(self, source: str, fleet: Fleet, size: tuple[int, int], end: float) -> None:
        self.source = source
        self.fleet = fleet
        self.present = START
        turn_s = BEFORE_S / HISTORY_TURNS  # puts the world's epoch BEFORE_S before START
        self.world = World([], turn_s=turn_s, clock=lambda: self.present)
        self._bodies: dict[ThreadPlan, tuple[tuple[int, int], bytes]] = {}
        sessions, self._threads = size
        for index in range(sessions):
            plan = self._plan_session(f"{source} {index}", end)
            self.world.sessions[plan.id] = plan

    def _plan_session(self, session_id: str, end: float) -> SessionPlan:
        draw = random.Random(session_id)  # noqa: S311 - made-up data
        births = sorted(draw.uniform(0, end) for _ in range(self._threads))
        return SessionPlan(
            session_id,
            [
                ThreadPlan(
                    id=f"sthr_{number:04d}",
                    parent_id="sthr_0000" if number else None,
                    agent=Agent(f"agent_{draw.choice(AGENTS)} {self.source}", self.source),
                    version=draw.choice((1, 2)),
                    model=draw.choice(MODELS),
                    depth=min(number, 1),
                    events=tuple(draw_life(draw, self.fleet, born, end)),
                )
                for number, born in enumerate(births)
            ],
        )

    def answer(self, session_id: str, at: datetime) -> bytes:
        """Return the page that lists the session's threads at an instant."""
        self.present = at
        plans = self.world.list_plans(session_id)
        threads = b",".join(self._render(session_id, plan) for plan in plans)
        return b'{"data":[' + threads + b'],"has_more":false}'

    def _render(self, session_id: str, plan: ThreadPlan) -> bytes:
        """Return a thread as JSON; drawn up anew only where it has changed."""
        now = since_epoch(self.present)
        count = bisect_right(plan.events, now, key=lambda event: event.at)
        last = plan.events[count - 1]
        beats = 0
        if self.fleet.beat_s and last.status == "running":
            beats = int((now - last.at) // self.fleet.beat_s)
        version, body = self._bodies.get(plan, ((0, 0), b""))
        if version != (count, beats):
            thread = self.world.render(session_id, plan)
            if beats:
                updated = last.at + beats * self.fleet.beat_s - BEFORE_S
                thread["updated_at"] = (START + timedelta(seconds=updated)).isoformat()
            body = msgspec.json.encode(thread)
            self._bodies[plan] = (count, beats), body
        return body

    def poll(self, session_id: str, at: datetime) -> tuple[Poll, tuple[object, ...]]:
        """Return a complete poll that the page reached at an instant, and the page's row."""
        body = self.answer(session_id, at)
        poll = Poll(
            source=self.source,
            session_id=session_id,
            label=None,
            started_at=at - timedelta(milliseconds=100),
            finished_at=at + timedelta(milliseconds=50),
            outcome="complete",
            end_reason="has_more_false",
            status_filter=None,
            pages=1,
            requests=1,
            retries=0,
            wait_seconds=0.0,
            bytes=len(body),
            threads_listed=0,
            duplicates=0,
        )
        return poll, (self.source, "threads", session_id, 1, None, at, 200, body)


def since_epoch(at: datetime) -> float:
    """Return the instant in seconds since the worlds' epoch."""
    return (at - START).total_seconds() + BEFORE_S


@dataclass
class Polled:
    """A warehouse that was polled every so many minutes, and their true histories."""

    interval: float
    connection: duckdb.DuckDBPyConnection
    histories: dict[ThreadKey, tuple[Event, ...]]
    spells: list[dict[str, Any]] = field(default_factory=list)


def simulate(
    interval: float,
    hours: float = HOURS,
    size: tuple[int, int] = (3, 40),
    fleets: Mapping[str, Fleet] = FLEETS,
) -> Polled:
    """Poll the fleets every `interval` minutes for some hours, load, and build the analyses.

    `size` is (sessions, threads of a session) of each fleet, which is one source.
    """
    end = BEFORE_S + hours * 3600
    servers = [Server(name, fleet, size, end) for name, fleet in fleets.items()]
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    migrate(connection, Path("memory"))
    for number in range(int(hours * 60 / interval) + 1):
        load_run(connection, land(servers, number, START + timedelta(minutes=interval * number)))
    build(connection)
    histories = {
        (server.source, session.id, plan.id): plan.events
        for server in servers
        for session in server.world.sessions.values()
        for plan in session.threads
    }
    query = "SELECT * FROM thread_spells ORDER BY source, session_id, thread_id, spell"
    return Polled(interval, connection, histories, fetch_records(connection, query))


def land(servers: Sequence[Server], number: int, started: datetime) -> Landed:
    """Return a run that polled every session of every server, a fifth of a second apart."""
    at, polls, rows = started, [], []
    for server in servers:
        for session_id in server.world.sessions:
            at += timedelta(milliseconds=200)
            poll, row = server.poll(session_id, at)
            polls.append(poll)
            rows.append(row)
    run = Run(id=f"run-{number}", started_at=started, finished_at=at, version="simulated")
    return Landed(run, polls, pl.DataFrame(rows, schema=PAGES, orient="row"))


def build(connection: duckdb.DuckDBPyConnection) -> None:
    """Build the two analyses, and what they need."""
    analyses = list_analyses()
    for name in ANALYSES:
        build_analysis(connection, analyses[name])


@dataclass(frozen=True)
class TimeRow:
    """A row of `time_in_status` beside the truth, all in seconds.

    `fleet` is None if the group's threads are of several. A status that the group had and no
    poll saw is not listed, and may have had UNSEEN_GAPS poll gaps.
    """

    fleet: str | None
    group: tuple[str, str]
    status: str
    truth: float
    seconds: float
    low: float
    high: float
    is_listed: bool

    @property
    def holds(self) -> bool:
        """Whether the truth lies between the bounds."""
        return self.low - EXACT_S <= self.truth <= self.high + EXACT_S


@dataclass(frozen=True)
class TransitionRow:
    """A row of `status_transitions`; `proven` of its transitions were direct and within bounds."""

    fleet: str
    pair: tuple[str, str]
    transitions: int
    proven: int
    possibly_missed: int

    @property
    def holds(self) -> bool:
        """Whether at least as many were as the row claims."""
        return self.proven >= self.transitions - self.possibly_missed


def find_state(life: Sequence[Event], at: datetime) -> int:
    """Return which of the events made the state of that instant."""
    return bisect_right(life, since_epoch(at), key=lambda event: event.at) - 1


def list_intervals(life: Sequence[Event], first: int, last: int, until: float) -> Iterator[Event]:
    """Yield (as events) the intervals from event `first` on, and the end: at `until`, or closed."""
    yield from life[first : last + 1]
    if life[last].status not in CLOSED:
        yield Event(until, "end")


def find_truth(polled: Polled) -> dict[ThreadKey, list[Event]]:
    """Return the intervals of each thread in the time that polling covers, the end behind them."""
    ranges: dict[ThreadKey, tuple[datetime, datetime]] = {}
    for spell in polled.spells:
        key = (spell["source"], spell["session_id"], spell["thread_id"])
        first, _ = ranges.get(key, (spell["observed_from"], None))
        ranges[key] = first, spell["observed_until"]
    truth = {}
    for key, (first, until) in ranges.items():
        life = polled.histories[key]
        begin, end = find_state(life, first), find_state(life, until)
        truth[key] = list(list_intervals(life, begin, end, since_epoch(until)))
    return truth


def sum_truth(polled: Polled) -> dict[tuple[str, str], dict[str, float]]:
    """Return (dimension, value) -> status -> true seconds of all its threads."""
    groups: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    truth = find_truth(polled)
    for row in fetch_records(polled.connection, "FROM thread_dimensions"):
        key = (row["source"], row["session_id"], row["thread_id"])
        seconds = groups[row["dimension"], row["value"]]
        if unseen := truth[key][0].at - polled.histories[key][0].at:
            seconds[UNOBSERVED] += unseen
        for stay, after in pairwise(truth[key]):
            seconds[stay.status] += after.at - stay.at
    return groups


def find_fleets(polled: Polled) -> dict[tuple[str, str], str | None]:
    """Return (dimension, value) -> the fleet of all its threads, None if it has several."""
    query = """
        SELECT dimension, value, CASE WHEN min(source) = max(source) THEN min(source) END
        FROM thread_dimensions GROUP BY dimension, value
    """
    rows = polled.connection.execute(query).fetchall()
    return {(dimension, value): fleet for dimension, value, fleet in rows}


def compare_times(polled: Polled) -> list[TimeRow]:
    """Hold every row of `time_in_status` against the truth, and what it does not list."""
    fleets = find_fleets(polled)
    truth = {
        (group, status): seconds
        for group, statuses in sum_truth(polled).items()
        for status, seconds in statuses.items()
    }
    rows = {
        ((row["dimension"], row["value"]), row["status"]): (
            row["seconds"],
            row["seconds_low"],
            row["seconds_high"],
        )
        for row in fetch_records(polled.connection, "FROM analytics.time_in_status")
    }
    unlisted = (0.0, 0.0, UNSEEN_GAPS * polled.interval * 60)
    return [
        TimeRow(
            fleets[group],
            group,
            status,
            truth.get((group, status), 0.0),
            *rows.get((group, status), unlisted),
            is_listed=(group, status) in rows,
        )
        for group, status in sorted(truth.keys() | rows.keys())
    ]


def is_proven(polled: Polled, spell: Mapping[str, Any]) -> bool:
    """Tell whether the transition that ended the spell was direct, the time before in bounds."""
    life = polled.histories[spell["source"], spell["session_id"], spell["thread_id"]]
    begin, end = find_state(life, spell["observed_from"]), find_state(life, spell["ended_before"])
    seconds = life[begin + 1].at - life[begin].at
    is_inside = spell["seconds_low"] - EXACT_S <= seconds <= spell["seconds_high"] + EXACT_S
    return end == begin + 1 and is_inside


def compare_transitions(polled: Polled) -> list[TransitionRow]:
    """Hold every row of `status_transitions` against the truth."""
    proven: Counter[tuple[str, str, str]] = Counter()
    for spell in polled.spells:
        if not spell["is_current"] and is_proven(polled, spell):
            proven[spell["source"], spell["status"], spell["next_status"]] += 1
    return [
        TransitionRow(
            row["source"],
            (row["from_status"], row["to_status"]),
            row["transitions"],
            proven[row["source"], row["from_status"], row["to_status"]],
            row["possibly_missed"],
        )
        for row in fetch_records(polled.connection, "FROM analytics.status_transitions")
    ]


def count_changes(polled: Polled) -> Counter[str]:
    """Return fleet -> how often a thread's status really changed after it was first seen."""
    changes: Counter[str] = Counter()
    for (fleet, _, _), intervals in find_truth(polled).items():
        changes[fleet] += sum(event.status != "end" for event in intervals[1:])
    return changes


def percent(part: float, whole: float) -> float:
    """Return the part in percent of the whole, to two digits; 0 of nothing."""
    return round(100 * part / whole, 2) if whole else 0.0


def summarize_times(rows: Sequence[TimeRow]) -> dict[str, float]:
    """Return, in percent, the mean errors of a fleet's rows and how many hold.

    An error is a share of the group's time after its threads were first seen.
    """
    whole: dict[tuple[str, str], float] = defaultdict(float)
    seen = [row for row in rows if row.status != UNOBSERVED]
    for row in seen:
        whole[row.group] += row.truth
    errors = [
        (row, 100 * (row.seconds - row.truth) / whole[row.group])
        for row in seen
        if whole[row.group]
    ]
    return {
        "error": round(fmean(abs(error) for _, error in errors), 2),
        "bias": 0.0 + round(fmean(e for row, e in errors if row.status == "running"), 2),
        "times_hold": percent(sum(row.holds for row in rows), len(rows)),
    }


def summarize(polled: Polled) -> list[dict[str, Any]]:
    """Return a row of figures per fleet, in percent."""
    times, transitions = compare_times(polled), compare_transitions(polled)
    changes = count_changes(polled)
    figures = []
    for fleet in dict.fromkeys(source for source, _, _ in polled.histories):
        rows = [row for row in transitions if row.fleet == fleet]
        total = sum(row.transitions for row in rows)
        proven = sum(row.proven for row in rows)
        figures.append(
            {
                "interval": polled.interval,
                "fleet": fleet,
                **summarize_times([row for row in times if row.fleet == fleet]),
                "seen": percent(proven, changes[fleet]),
                "indirect": percent(total - proven, total),
                "possibly_missed": percent(sum(row.possibly_missed for row in rows), total),
                "transitions_hold": percent(sum(row.holds for row in rows), len(rows)),
            }
        )
    return figures


COLUMNS = {
    "interval": "poll interval (min)",
    "fleet": "fleet",
    "error": "mean error of time in status (% of the group's observed time)",
    "bias": "bias of running (% of the same)",
    "times_hold": "rows that contain the truth (%)",
    "seen": "status changes seen (%)",
    "indirect": "transitions not direct (%)",
    "possibly_missed": "possibly missed (%)",
    "transitions_hold": "rows whose claim holds (%)",
}


def write_table(figures: Iterable[Mapping[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| " + " | ".join(COLUMNS.values()) + " |",
        "|" + "|".join("---" if name == "fleet" else "---:" for name in COLUMNS) + "|",
    ]
    for row in figures:
        cells = (row[name] for name in COLUMNS)
        texts = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def draw_panel(figures: pl.DataFrame, column: str, title: str) -> alt.Chart:
    """Return a column over the poll interval, a line for each fleet."""
    scale = alt.Scale(domain=list(FLEETS))
    panel = alt.Chart(figures, title=title, width=380, height=280)
    drawn: alt.Chart = panel.mark_line(point=alt.OverlayMarkDef(size=50)).encode(
        x=alt.X(
            "interval:Q",
            scale=alt.Scale(type="log", domain=[0.9, 70], nice=False),
            axis=alt.Axis(title="poll interval (minutes)", values=list(INTERVALS), grid=False),
        ),
        y=alt.Y(f"{column}:Q", axis=alt.Axis(title="%", titleAngle=0, tickCount=6)),
        color=alt.Color("fleet:N", scale=scale, title="fleet"),
        shape=alt.Shape("fleet:N", scale=scale, title="fleet"),
    )
    return drawn


def draw_figure(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures as an SVG picture without external references."""
    frame = pl.DataFrame(figures)
    chart = alt.hconcat(
        draw_panel(frame, "error", "Mean error of time in status (% of the observed time)"),
        draw_panel(frame, "seen", "Status changes that polling saw (% of all)"),
        title=alt.TitleParams("What polling cannot see", anchor="middle", fontSize=16),
        background="white",
        padding=12,
    ).configure_legend(orient="bottom", columns=3, labelLimit=260, symbolSize=80)
    return vl_convert.vegalite_to_svg(chart.to_json())


def main(hours: float = HOURS) -> None:
    """Simulate every interval; print the table, and write it and the picture to docs."""
    figures = [row for interval in INTERVALS for row in summarize(simulate(interval, hours))]
    table = write_table(figures)
    sys.stdout.write(table)
    (DOCS / "polling_error.md").write_text(table, encoding="utf-8")
    (DOCS / "polling_error.svg").write_text(draw_figure(figures), encoding="utf-8")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
