"""Every number of the analyses against another computation, on random worlds made from seeds."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from scipy.stats import binomtest

from tests.warehouse.worlds import (
    CLOSED,
    MICROSECOND,
    NEVER,
    Key,
    Row,
    World,
    at,
    build_all,
    simulate,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# lifelines says so wherever a percentile is read off a curve with steps.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Approximating using `survival_function_`:lifelines.exceptions.ApproximationWarning"
)

Group = tuple[Any, ...]
Life = tuple[Key, datetime, datetime | None]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE, ALL = Fraction(0), Fraction(1)
LENGTHS = ("seconds", "seconds_low", "seconds_high")
KNOWN = ["idle", "running", "rescheduling", "blocked", "archived", "terminated"]
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


@cache
def world_of(name: str) -> World:
    """Return a world, made once."""
    return WORLDS[name]()


@cache
def tables_of(name: str) -> dict[str, list[Row]]:
    """Return the analyses of a world, built once."""
    return build_all(world_of(name))


@pytest.fixture(params=list(WORLDS))
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a world, each in turn."""
    world: str = request.param
    return world


def seconds(start: datetime | None, end: datetime | None) -> float | None:
    """Return the time between two instants, exact to the microsecond."""
    return None if start is None or end is None else (end - start) // MICROSECOND / 1e6


def is_same(found: Any, expected: Any) -> bool:
    """Tell whether two cells are equal, floating point ones but for its rounding."""
    if isinstance(found, float) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-6)
    return bool(found == expected)


def assert_table(rows: list[Row], key: Iterable[str], expected: dict[Group, Row]) -> None:
    """Hold every row and every column of a table against what is expected of each key."""
    keys = list(key)
    found = {tuple(row[name] for name in keys): row for row in rows}
    assert len(found) == len(rows)
    assert sorted(map(repr, found.keys() ^ expected.keys())) == []
    wrong = [
        (group, name, row[name], expected[group][name])
        for group, row in found.items()
        for name in row
        if name not in keys and not is_same(row[name], expected[group][name])
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
    return [
        row
        | measure(row, find_as_of(row, polls[key[:2]]))
        | {"key": key, "children": children[key], "depth": find_depth(world, key)}
        for key, row in rows_of(world)
    ]


def rows_of(world: World) -> list[tuple[Key, Row]]:
    """Return the threads with their keys, every column that the worlds use given."""
    names = ("parent_thread_id", "stop_reason_type", "agent_id", "agent_name", "agent_model")
    empty = dict.fromkeys((*names, "agent_version", "active_seconds"))
    return [(key, empty | row) for key, row in world.threads.items()]


def find_as_of(row: Row, polls: list[Row]) -> datetime | None:
    """Return the beginning of the newest poll that a row rests on."""
    missing = row["missing_since"] or NEVER
    starts = [
        poll["started_at"]
        for poll in polls
        if (poll["is_complete"] and poll["started_at"] < missing)
        or (
            poll["outcome"] != "overtaken"
            and poll["pages"]
            and poll["started_at"]
            == max(
                other["started_at"]
                for other in polls
                if other["outcome"] != "overtaken"
                and other["pages"]
                and other["started_at"] <= row["last_changed_at"]
            )
        )
    ]
    return max(starts, default=None)


def measure(row: Row, as_of: datetime | None) -> Row:
    """Return a thread's lifetime as the specification defines it."""
    archived, updated, created = row["archived_at"], row["updated_at"], row["created_at"]
    basis = "archived" if archived else "open" if row["is_open"] else "terminated"
    end = {"archived": archived, "open": as_of, "terminated": updated}[basis]
    elapsed = seconds(created, end)
    quiet = seconds(updated, as_of)
    quiet = None if quiet is None else max(quiet, 0)
    agent = row["agent_id"] or row["agent_name"]
    version = "(none)" if row["agent_version"] is None else row["agent_version"]
    return {
        "agent": agent,
        "as_of": as_of,
        "basis": basis,
        "elapsed": None if elapsed is None or elapsed < 0 else elapsed,
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


def newest_poll(world: World, **fields: str) -> datetime | None:
    """Return the beginning of the newest poll of a source or session."""
    polls = (p for p in world.polls if all(p[name] == text for name, text in fields.items()))
    return newest(polls, "started_at")


def newest_loaded(world: World, **fields: str) -> datetime | None:
    """Return the beginning of the newest poll that brought something, of a source or session."""
    brought = [poll for poll in world.polls if poll["pages"] and poll["outcome"] != "overtaken"]
    return newest_poll(World(polls=brought), **fields)


def is_gone(world: World, session: tuple[str, str]) -> bool:
    """Tell whether the last that a session's polls said, overtaken ones unheard, is: gone."""
    last = None
    for poll in sorted(world.polls, key=lambda poll: poll["started_at"]):
        if (poll["source"], poll["session_id"]) == session and poll["outcome"] != "overtaken":
            last = poll["outcome"]
    return last == "gone"


def test_worlds_are_worth_it() -> None:
    """The worlds hold what the analyses must cope with, or the tests below would show nothing."""
    facts = [fact for name in WORLDS for fact in facts_of(name)]
    spells = [spell for name in WORLDS for spell in world_of(name).spells()]
    assert {fact["basis"] for fact in facts} == {"open", "archived", "terminated"}
    assert {fact["status"] for fact in facts} >= {*KNOWN, "hibernating", "cancelled", None}
    assert {fact["role"] for fact in facts} == {"coordinator", "child", "reviewer"}
    for column in ("agent", "agent_id", "agent_version", "agent_model", "elapsed", "quiet"):
        assert any(fact[column] is None for fact in facts), column
    assert sum(fact["missing_since"] is not None for fact in facts) > 100
    assert sum(fact["depth"] is None for fact in facts) > 50
    assert max(fact["depth"] or 0 for fact in facts) > 8
    assert max(spell["spell"] for spell in spells) > 5
    assert {row["threshold_basis"] for row in tables_of("five thousand")["attention"]} == {
        "agent_and_status",
        "status",
        "configured",
    }
    assert {row["reason"] for row in tables_of("five thousand")["attention"]} == {
        "gave_up",
        "needs_you",
        "blocked",
        "stuck",
    }
    listed = [key for key, row in world_of("behind").threads.items() if not row["missing_since"]]
    unseen = {
        (row["source"], row["session_id"], row["thread_id"]) for row in world_of("behind").unseen()
    }
    assert len(unseen & set(listed)) > 10
    cut = world_of("cut off")
    gone = [key for key, row in cut.threads.items() if row["is_open"] and is_gone(cut, key[:2])]
    assert len({key[:2] for key in gone}) == 3
    late = {
        source: (newest_poll(cut, source=source), newest_loaded(cut, source=source))
        for source in ("source_0", "source_1", "source_2", "dead")
    }
    assert late == {
        "source_0": (at(810), at(403)),
        "source_1": (at(810), at(670)),
        "source_2": (at(810), at(810)),
        "dead": (at(720), None),
    }
    verdicts = {row["verdict"] for name in WORLDS for row in tables_of(name)["agent_versions"]}
    assert verdicts == {"better", "worse", "unclear", "too few", None}


def test_thread_durations(name: str) -> None:
    """Each thread's lifetime, silence, depth and children are those of a plain walk."""
    expected = {
        fact["key"]: {
            **{column: fact[column] for column in ("role", "agent", "agent_version", "status")},
            **{column: fact[column] for column in ("stop_reason_type", "missing_since")},
            "model": fact["agent_model"],
            "elapsed_seconds": fact["elapsed"],
            "is_censored": fact["is_open"],
            "basis": fact["basis"],
            "active_span_seconds": seconds(fact["created_at"], fact["updated_at"]),
            "quiet_seconds": fact["quiet"] if fact["is_open"] else None,
            "active_seconds": fact["active_seconds"],
            "depth": fact["depth"],
            "children": fact["children"],
            "as_of": fact["as_of"],
        }
        for fact in facts_of(name)
    }
    rows = tables_of(name)["thread_durations"]
    assert_table(rows, ("source", "session_id", "thread_id"), expected)


@cache
def fit(name: str) -> dict[Group, tuple[KaplanMeierFitter, list[Row]]]:
    """Return lifelines' curve of every group, with the threads it is of."""
    curves = {}
    for group, members in gather(facts_of(name), by_role=True).items():
        known = [fact for fact in members if fact["elapsed"] is not None]
        if known:
            curve = KaplanMeierFitter().fit(
                [fact["elapsed"] for fact in known], [not fact["is_open"] for fact in known]
            )
            curves[group] = (curve, known)
    return curves


def test_survival(name: str) -> None:
    """Each curve is that of lifelines at every time it has: estimate, bounds and counts."""
    found = defaultdict(list)
    for row in tables_of(name)["survival"]:
        found[row["dimension"], row["value"], row["role"]].append(row)
    curves = fit(name)
    assert found.keys() == curves.keys()
    for group, rows in found.items():
        curve, members = curves[group]
        times = [row["t_seconds"] for row in rows]
        events = curve.event_table
        if len(members) <= 200:
            assert times == sorted({fact["elapsed"] for fact in members}), group
        assert times == sorted(times)
        assert times[-1] == max(fact["elapsed"] for fact in members), group
        counts = events.loc[times, "at_risk"]
        assert [row["at_risk"] for row in rows] == list(counts), group
        for column, count in (("closed", "observed"), ("censored", "censored")):
            sums = np.cumsum([row[column] for row in rows])
            assert list(sums) == list(events[count].cumsum().loc[times]), (group, column)
        estimate = curve.survival_function_.loc[times].to_numpy()[:, 0]
        bounds = curve.confidence_interval_.loc[times].to_numpy()
        survival = np.array([row["survival"] for row in rows])
        assert survival == pytest.approx(estimate, abs=1e-9), group
        has_bounds = (survival > 0) & (survival < 1)
        assert [row["ci_low"] is not None for row in rows] == list(has_bounds), group
        for index, column in enumerate(("ci_low", "ci_high")):
            inner = [row[column] for row in rows if row[column] is not None]
            assert inner == pytest.approx(bounds[has_bounds, index], abs=1e-7), (group, column)
        assert {row["as_of"] for row in rows} == {newest(members)}


def falls_to(curve: KaplanMeierFitter, share: float) -> float | None:
    """Return the first time at which lifelines' curve is at the share or below.

    A curve that stops at the share exactly is above or below it by floating point's rounding.
    """
    estimates = curve.survival_function_.iloc[:, 0]
    reached = estimates.index[estimates <= share + 1e-9]
    own = float(curve.percentile(share))
    assert (own if math.isfinite(own) else None) in {
        *(float(time) for time in reached[:1]),
        *(float(time) for time in estimates.index[estimates < share - 1e-9][:1]),
        *((None,) if not any(estimates < share - 1e-9) else ()),
    }
    return float(reached[0]) if len(reached) else None


def test_duration_percentiles(name: str) -> None:
    """Percentiles and means are numpy's, medians of the curves those of lifelines."""
    curves = fit(name)
    expected = {}
    for group, members in gather(facts_of(name), by_role=True).items():
        for basis in ("closed", "archived", "terminated"):
            lifetimes = [
                fact["elapsed"]
                for fact in members
                if fact["elapsed"] is not None
                and (fact["basis"] == basis or (basis == "closed" and fact["basis"] != "open"))
            ]
            if not lifetimes and basis != "closed":
                continue
            wanted = (50, 75, 90, 95, 99)
            quantiles = np.percentile(lifetimes, wanted) if lifetimes else [None] * 5
            falls = {"km_p50": 0.5, "km_p90": 0.1}
            has_curve = basis == "closed" and group in curves
            expected[(*group, basis)] = {
                "n": len(lifetimes),
                "n_open": sum(fact["is_open"] for fact in members),
                **dict(zip([f"p{share}" for share in wanted], quantiles, strict=True)),
                "mean": np.mean(lifetimes) if lifetimes else None,
                "max": max(lifetimes, default=None),
                **{
                    c: falls_to(curves[group][0], s) if has_curve else None
                    for c, s in falls.items()
                },
                "as_of": newest(members),
            }
    rows = tables_of(name)["duration_percentiles"]
    assert_table(rows, ("dimension", "value", "role", "basis"), expected)


def test_agent_versions(name: str) -> None:
    """Log-rank is that of lifelines, Wilson's bounds are scipy's, and the verdict follows them."""
    curves = fit(name)
    versions = defaultdict(list)
    for fact in facts_of(name):
        if fact["agent"] is not None and fact["agent_version"] is not None:
            versions[fact["agent"], fact["role"], fact["agent_version"]].append(fact)
    expected: dict[Group, Row] = {}
    before = None
    for group in sorted(versions):
        members = versions[group]
        agent, role, version = group
        closed = [fact for fact in members if not fact["is_open"]]
        terminated = sum(fact["basis"] == "terminated" for fact in closed)
        bounds: Any = (None, None)
        if closed:
            interval = binomtest(terminated, len(closed)).proportion_ci(method="wilson")
            bounds = (interval.low, interval.high)
        fitted = curves.get(("agent_version", f"{agent}@{version}", role))
        own = {
            "n": len(members),
            "n_closed": len(closed),
            "terminated_share": terminated / len(closed) if closed else None,
            "km_p50": falls_to(fitted[0], 0.5) if fitted else None,
        }
        if before is None or before[:2] != group[:2]:
            before = None
        last = expected[before] if before else dict.fromkeys(own)
        median, median_before = own["km_p50"], last["km_p50"]
        judged = judge(versions[before], members) if before else (None, None)
        expected[group] = {
            **own,
            "terminated_share_low": bounds[0],
            "terminated_share_high": bounds[1],
            "version_before": before[2] if before else None,
            **{f"{column}_before": last[column] for column in own},
            "ratio": median / median_before if median and median_before else None,
            "log_rank": judged[0],
            "verdict": judged[1],
            "as_of": newest(members),
        }
        before = group
    assert_table(tables_of(name)["agent_versions"], ("agent", "role", "version"), expected)


def judge(old: list[Row], new: list[Row]) -> tuple[float | None, str]:
    """Return lifelines' log-rank statistic of two versions, and what to say of them."""
    known = [[fact for fact in members if fact["elapsed"] is not None] for members in (old, new)]
    times = [[fact["elapsed"] for fact in members] for members in known]
    ends = [[not fact["is_open"] for fact in members] for members in known]
    statistic, is_sure, sign = None, False, 0.0
    if all(times) and any(map(any, ends)):
        with np.errstate(all="ignore"):
            test = logrank_test(*times, *ends)
        if math.isfinite(test.test_statistic):
            statistic, is_sure = float(test.test_statistic), bool(test.p_value < 0.05)
            sign = count_excess(times, ends)
    if min(sum(not fact["is_open"] for fact in members) for members in (old, new)) < 10:
        return statistic, "too few"
    return statistic, "unclear" if not is_sure else "better" if sign > 0 else "worse"


def count_excess(times: list[list[float]], ends: list[list[bool]]) -> float:
    """Return how many more of the new version closed than were to be expected."""
    pairs = [list(zip(*both, strict=True)) for both in zip(times, ends, strict=True)]
    excess = 0.0
    for moment in {time for both in pairs for time, is_end in both if is_end}:
        at_risk = [sum(time >= moment for time, _ in both) for both in pairs]
        closed = [sum(time == moment and is_end for time, is_end in both) for both in pairs]
        excess += closed[1] - sum(closed) * at_risk[1] / sum(at_risk)
    return excess


def lives_of(world: World, source: str | None = None) -> list[Life]:
    """Return birth and end of every dated thread; one without an end lives on."""
    lives = []
    for key, row in world.threads.items():
        if row["created_at"] is None or source not in {None, key[0]}:
            continue
        end = row["missing_since"] if row["is_open"] else row["archived_at"] or row["updated_at"]
        if end is None and not row["is_open"]:
            end = row["last_changed_at"]
        lives.append((key, row["created_at"], end))
    return lives


def test_concurrency(name: str) -> None:
    """Peak, mean, arrivals, completions and backlog of each hour are those of a sweep line."""
    world = world_of(name)
    expected: dict[Group, Row] = {}
    for source in sorted({poll["source"] for poll in world.polls}):
        as_of = newest_loaded(world, source=source)
        if as_of is None:
            continue
        first = as_of - timedelta(hours=87_660)
        lives = lives_of(world, source)
        steps: Counter[datetime] = Counter()
        arrivals: Counter[datetime] = Counter()
        completions: Counter[datetime] = Counter()
        for key, born, gone in lives:
            start = min(max(born, first), as_of)
            arrivals[floor(start)] += 1
            steps[start] += 1
            if gone is not None:
                end = min(max(gone, start), as_of)
                steps[end] -= 1
                completions[floor(end)] += not world.threads[key]["is_open"]
        expected |= {
            (source, hour): row
            | {"arrivals": arrivals[hour], "completions": completions[hour], "as_of": as_of}
            for hour, row in sweep(steps, as_of)
        }
    assert_table(tables_of(name)["concurrency"], ("source", "hour"), expected)


def floor(moment: datetime) -> datetime:
    """Return the beginning of the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def sweep(steps: Counter[datetime], as_of: datetime) -> Iterable[tuple[datetime, Row]]:
    """Give each hour's peak, mean and last number of open threads."""
    moments = sorted(steps)
    level = index = 0
    hour = floor(moments[0]) if moments else NEVER
    while hour <= as_of:
        end = min(hour + HOUR, as_of)
        levels, area, since = [], 0.0, hour
        if index == len(moments) or moments[index] > hour:
            levels.append(level)
        while index < len(moments) and moments[index] < hour + HOUR:
            area += level * (moments[index] - since).total_seconds()
            since = moments[index]
            level += steps[since]
            levels.append(level)
            index += 1
        area += level * (end - since).total_seconds()
        length = (end - hour).total_seconds()
        mean = area / length if length else float(level)
        yield hour, {"open_peak": max(levels), "open_mean": mean, "backlog": level}
        hour += HOUR


def peak_of(lives: Iterable[Life]) -> int:
    """Return how many lives overlap at most, each until just before its end."""
    known = [(born, gone) for _, born, gone in lives if gone is None or born < gone]
    starts = sorted(born for born, _ in known)
    ends = sorted(gone for _, gone in known if gone is not None)
    overlaps = (bisect_right(starts, start) - bisect_right(ends, start) for start in starts)
    return max(overlaps, default=0)


def test_session_summary(name: str) -> None:
    """Every figure of a session is what counting and walking its threads gives."""
    world = world_of(name)
    lives = lives_of(world)
    expected = {}
    for session in {(poll["source"], poll["session_id"]) for poll in world.polls}:
        facts = [fact for fact in facts_of(name) if fact["key"][:2] == session]
        listed = [fact for fact in facts if fact["missing_since"] is None]
        statuses = Counter(fact["status"] for fact in listed)
        polls = [poll for poll in world.polls if (poll["source"], poll["session_id"]) == session]
        first = min((f["created_at"] for f in facts if f["created_at"]), default=None)
        moved = {
            role: newest((f for f in facts if f["role"] == role), "updated_at")
            for role in ("coordinator", "child")
        }
        expected[session] = {
            "label": max(polls, key=lambda poll: poll["started_at"]).get("label"),
            "threads": len(listed),
            "open": sum(fact["is_open"] for fact in listed),
            **{status: statuses[status] for status in KNOWN},
            "other": len(listed) - sum(statuses[status] for status in KNOWN),
            "missing": len(facts) - len(listed),
            "depth": max((f["depth"] for f in facts if f["depth"] is not None), default=None),
            "max_fan_out": max((fact["children"] for fact in facts), default=0),
            "orphans": sum(
                fact["parent_thread_id"] is not None
                and (*session, fact["parent_thread_id"]) not in world.threads
                for fact in facts
            ),
            "peak_concurrency": peak_of(life for life in lives if life[0][:2] == session),
            "first_created_at": first,
            "last_updated_at": newest(facts, "updated_at"),
            "span_seconds": seconds(first, newest(facts, "updated_at")),
            "last_child_lag_seconds": seconds(moved["child"], moved["coordinator"]),
            "as_of": newest_loaded(world, source=session[0], session_id=session[1]),
        }
    assert_table(tables_of(name)["session_summary"], ("source", "session_id"), expected)


def test_status_over_time(name: str) -> None:
    """At each hour's end as many threads are in each status as their spells say."""
    world = world_of(name)
    expected = {}
    for source in {poll["source"] for poll in world.polls}:
        polls = [p for p in world.polls if p["source"] == source and p["outcome"] != "overtaken"]
        spells = [spell for spell in world.spells() if spell["source"] == source]
        hour = min(floor(poll["started_at"]) for poll in polls)
        last = max(floor(poll["finished_at"]) for poll in polls)
        while hour <= last:
            end = NEVER if hour == last else hour + HOUR
            known = {poll["session_id"] for poll in polls if poll["started_at"] < end}
            polled = {
                poll["session_id"]
                for poll in polls
                if poll["is_complete"] and floor(poll["started_at"]) == hour
            }
            counts = Counter(spell["status"] for spell in spells if is_in_status(world, spell, end))
            for status in {spell["status"] for spell in spells}:
                expected[source, hour, status or "(none)"] = {
                    "threads": counts[status],
                    "sessions_polled": len(polled),
                    "sessions_stale": len(known) - len(polled),
                }
            hour += HOUR
    assert_table(tables_of(name)["status_over_time"], ("source", "hour", "status"), expected)


def is_in_status(world: World, spell: Row, moment: datetime) -> bool:
    """Tell whether a spell lasts just before the moment, as far as is known."""
    row = world.threads[spell["source"], spell["session_id"], spell["thread_id"]]
    end = spell["ended_at"] if spell["ended_before"] else row["missing_since"]
    return bool(spell["changed_at"] < moment and (end is None or end >= moment))


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


def poll_gaps_of(world: World) -> dict[tuple[str, str], float]:
    """Return the mean time between the complete polls of each session, 0 where there is none."""
    starts: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for poll in world.polls:
        starts[poll["source"], poll["session_id"]] += [poll["started_at"]] * poll["is_complete"]
    gaps = {}
    for session, moments in starts.items():
        moments.sort()
        between = [seconds(*pair) or 0 for pair in pairwise(moments)]
        gaps[session] = round(fmean(between), 6) if between else 0.0
    return gaps


def test_time_in_status(name: str) -> None:
    """The time in each status and its bounds are sums over the spells, closed ones left out."""
    stays: dict[Group, list[Row]] = defaultdict(list)
    for spell in spells_of(name):
        fact = spell["fact"]
        is_endless = spell["status"] in CLOSED or (spell["is_current"] and not fact["is_open"])
        unseen = seconds(spell["changed_after"], spell["changed_at"])
        for group in fact["groups"]:
            if not is_endless:
                stays[(*group, spell["status"] or "(none)")].append(spell)
            if spell["spell"] == 1 and unseen and unseen > 0:
                high = seconds(spell["changed_after"], spell["observed_from"])
                lengths = {"seconds": unseen, "seconds_low": 0, "seconds_high": high}
                stays[(*group, "(unobserved)")].append(spell | lengths)
    whole: dict[Group, list[Row]] = defaultdict(list)
    for group, spells in stays.items():
        whole[group[:2]] += spells
    gaps = poll_gaps_of(world_of(name))
    expected = {}
    for group, spells in stays.items():
        total = math.fsum(spell["seconds"] for spell in whole[group[:2]])
        own, low, high = (math.fsum(s[c] for s in spells) for c in LENGTHS)
        # What polls never met in so many threads takes three poll gaps at most: the rule of three.
        keys = {spell["fact"]["key"] for spell in spells}
        is_seen = group[2] != "(unobserved)"
        unseen = 3 * fmean(gaps[key[:2]] for key in keys) if is_seen else 0.0
        expected[group] = {
            "threads": len(keys),
            "seconds": own,
            "seconds_low": max(low - unseen, 0),
            "seconds_high": max(min(high + unseen, total), own),
            "share": own / total if total else None,
            "as_of": newest(spell["fact"] for spell in whole[group[:2]]),
        }
    assert_table(tables_of(name)["time_in_status"], ("dimension", "value", "status"), expected)


def test_status_transitions(name: str) -> None:
    """Each transition's number, share and times are those of the ended spells."""
    world = world_of(name)
    moves: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for spell in spells_of(name):
        if not spell["is_current"]:
            kinds = (spell["status"] or "(none)", spell["next_status"] or "(none)")
            moves[(spell["source"], *kinds)].append(spell)
    totals = Counter(group[:2] for group, spells in moves.items() for _ in spells)
    missed: dict[Group, int] = {}
    for source in {group[0] for group in moves}:
        own = {group[1:]: spells for group, spells in moves.items() if group[0] == source}
        missed |= {(source, *pair): count for pair, count in count_missed(own).items()}
    expected: dict[Group, Row] = {}
    for group, spells in moves.items():
        lengths = {c: [s[c] for s in spells] for c in LENGTHS}
        expected[group] = {
            "transitions": len(spells),
            "share": len(spells) / totals[group[:2]],
            "n": totals[group[:2]],
            "p50_seconds_before": np.percentile(lengths["seconds"], 50),
            "p50_seconds_before_low": np.percentile(lengths["seconds_low"], 50),
            "p50_seconds_before_high": np.percentile(lengths["seconds_high"], 50),
            "p90_seconds_before": np.percentile(lengths["seconds"], 90),
            "possibly_missed": missed[group],
            "as_of": newest_loaded(world, source=group[0]),
        }
    rows = tables_of(name)["status_transitions"]
    assert_table(rows, ("source", "from_status", "to_status"), expected)


def count_missed(moves: dict[tuple[str, str], list[Row]]) -> dict[tuple[str, str], int]:
    """Return how many transitions of each pair may have passed a status that no poll saw.

    In fractions, so that nothing is rounded before the end.
    """
    leaving: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for (start, end), spells in moves.items():
        leaving[start] += [(end, spell) for spell in spells]
    # The share of a status' spells that one poll alone saw: no complete poll after its first page.
    glimpsed = {
        status: mean_of(spell["ended_after"] <= spell["observed_from"] for _, spell in spells)
        for status, spells in leaving.items()
    }
    hidden = {}
    for status, left in leaving.items():
        # What never ends cannot hide; where nothing else follows, the status stands for it.
        after = [glimpsed[end] for end, _ in left if end in glimpsed] or [glimpsed[status]]
        ages = [age_of(spell) for _, spell in left]
        hidden[status] = min(2 * mean_of(after) + max(1 - 2 * mean_of(ages), NONE), ALL)
    counts = {}
    for (start, end), spells in moves.items():
        if start == end:
            counts[start, end] = len(spells)
            continue
        missed = len(spells) * hidden[start]
        for middle in leaving.keys() - {start, end}:
            share = mean_of(last == end for last, _ in leaving[middle])
            entered = len(moves.get((start, middle), ()))
            missed += entered * share * min(2 * glimpsed[middle], ALL)
        chance = 2 * math.sqrt(missed)
        counts[start, end] = min(math.ceil(float(missed) + chance), len(spells))
    return counts


def mean_of(numbers: Iterable[Fraction | bool]) -> Fraction:
    """Return the exact mean of some numbers."""
    exact = [Fraction(number) for number in numbers]
    return sum(exact, NONE) / len(exact)


def age_of(spell: Row) -> Fraction:
    """Return how old the next spell was when first seen, as a share of the time it began in."""
    began_in = spell["ended_before"] - spell["ended_after"]
    return Fraction(
        (spell["ended_before"] - spell["ended_at"]) // MICROSECOND, began_in // MICROSECOND
    )


@pytest.mark.parametrize(
    ("table", "column"),
    [("status_distribution", "status"), ("stop_reasons", "stop_reason_type")],
)
def test_distributions(name: str, table: str, column: str) -> None:
    """Threads that are listed are counted by status and by stop reason in every group."""
    expected = {}
    groups = gather([fact for fact in facts_of(name) if fact["missing_since"] is None])
    if table == "status_distribution":
        groups.setdefault(("all", "all"), [])
    for group, members in groups.items():
        counts = Counter(fact[column] or "(none)" for fact in members)
        for kind in {*counts, *(KNOWN if table == "status_distribution" else ())}:
            expected[(*group, kind)] = {
                "threads": counts[kind],
                "share": counts[kind] / len(members) if members else None,
                "n": len(members),
                "as_of": newest(members),
            }
    assert_table(tables_of(name)[table], ("dimension", "value", column), expected)


def test_attention(name: str) -> None:
    """Who needs someone, against which threshold and how badly, follows from the ended spells."""
    ended = defaultdict(list)
    for spell in spells_of(name):
        if not spell["is_current"] and spell["status"] is not None:
            ended[spell["status"], None].append(spell["seconds"])
            if spell["fact"]["agent"] is not None:
                ended[spell["status"], spell["fact"]["agent"]].append(spell["seconds"])
    configured = world_of(name).settings.get("attention_after_minutes", 60) * 60
    sessions = {key[:2] for key in world_of(name).threads}
    gone = {session for session in sessions if is_gone(world_of(name), session)}
    expected = {}
    for fact in facts_of(name):
        reason = find_reason(fact)
        if fact["missing_since"] is not None or reason is None or fact["key"][:2] in gone:
            continue
        of_agent = ended[fact["status"], fact["agent"]] if fact["agent"] else []
        of_status = ended[fact["status"], None]
        basis, threshold = "configured", configured
        for candidate, lengths in (("status", of_status), ("agent_and_status", of_agent)):
            if len(lengths) >= 20:
                basis, threshold = candidate, float(np.percentile(lengths, 95))
        quiet = fact["quiet"] or 0
        severity = "high" if quiet > 3 * threshold else "medium" if quiet > threshold else "low"
        severity = severity if fact["is_open"] else "low"
        if reason == "stuck" and severity == "low":
            continue
        expected[fact["key"]] = {
            **{c: fact[c] for c in ("role", "agent", "status", "stop_reason_type", "as_of")},
            "reason": reason,
            "quiet_seconds": fact["quiet"],
            "threshold_seconds": threshold,
            "threshold_basis": basis,
            "severity": severity,
        }
    assert_table(tables_of(name)["attention"], ("source", "session_id", "thread_id"), expected)


def find_reason(fact: Row) -> str | None:
    """Return why a thread may need someone."""
    gave_up = fact["stop_reason_type"] in {"retries_exhausted", "budget_reached", "refusal"}
    since = seconds(fact["archived_at"] or fact["updated_at"], fact["as_of"])
    is_recent = since is not None and since < 24 * 3600
    if gave_up and (fact["is_open"] or is_recent):
        return "gave_up"
    if not fact["is_open"]:
        return None
    if fact["stop_reason_type"] == "requires_action":
        return "needs_you"
    if fact["status"] == "blocked":
        return "blocked"
    return None if fact["status"] == "idle" else "stuck"


def test_ingestion_health(name: str) -> None:
    """Each session's polls, failures and lag are those of its ledger, read from its end."""
    world = world_of(name)
    expected = {}
    for session in {(poll["source"], poll["session_id"]) for poll in world.polls}:
        polls = [p for p in world.polls if (p["source"], p["session_id"]) == session]
        polls.sort(key=lambda poll: poll["started_at"])
        counted = [poll for poll in polls if poll["outcome"] != "overtaken"]
        streak: list[Row] = []
        for poll in counted:
            streak = [] if poll["outcome"] == "complete" else [*streak, poll]
        complete = newest((poll for poll in polls if poll["is_complete"]), "started_at")
        rows = [row for key, row in world.threads.items() if key[:2] == session]
        expected[session] = {
            "label": polls[-1].get("label"),
            "last_complete_poll": complete,
            "lag_seconds": seconds(complete, newest_poll(world, source=session[0])),
            "polls": len(polls),
            "failures": sum(poll["outcome"] != "complete" for poll in counted),
            "failure_streak": len(streak),
            "last_outcome": counted[-1]["outcome"],
            "last_error": streak[-1].get("error_message") if streak else None,
            "threads": len(rows),
            "open_threads": sum(row["is_open"] and row["missing_since"] is None for row in rows),
            "missing": sum(row["missing_since"] is not None for row in rows),
            "as_of": polls[-1]["started_at"],
        }
    assert_table(tables_of(name)["ingestion_health"], ("source", "session_id"), expected)


def test_data_quality(name: str) -> None:
    """What is odd is found by looking at each thread, and by walking up to its ancestors."""
    world = world_of(name)
    found: dict[Group, list[str]] = defaultdict(list)
    for fact in facts_of(name):
        source, label = fact["key"][0], "/".join(fact["key"][1:])
        for check in find_oddities(world, fact):
            found[check, source].append(label)
    regressions: Counter[str] = Counter()
    for poll in world.polls:
        if poll["threads_regressed"]:
            regressions[poll["source"]] += poll["threads_regressed"]
            found["regression", poll["source"]].append(poll["session_id"])
    for drift in world.drift:
        if drift["value"] is None:
            found["unknown_field", "(any)"].append(f"{drift['path']} ({drift['json_type']})")
    checks = ["negative_duration", "updated_before_created", "clock_skew", "undated", "regression"]
    checks += ["orphan", "parent_cycle", "unknown_status"]
    sources = {poll["source"] for poll in world.polls}
    cells = [(check, source) for check in checks for source in sources]
    cells += [("unknown_field", "(any)")] if world.polls else []
    expected: dict[Group, Row] = {
        (check, source): {
            "rows": regressions[source] if check == "regression" else len(found[check, source]),
            "example": min(found[check, source], default=None),
            "as_of": newest_loaded(world, **({} if source == "(any)" else {"source": source})),
        }
        for check, source in cells
    }
    assert_table(tables_of(name)["data_quality"], ("check", "source"), expected)


def find_oddities(world: World, fact: Row) -> Iterable[str]:
    """Give the checks that a thread fails."""
    created, updated, archived = fact["created_at"], fact["updated_at"], fact["archived_at"]
    end = fact["as_of"] if fact["is_open"] else archived or updated
    if created and end and end < created:
        yield "negative_duration"
    if created and updated and updated < created:
        yield "updated_before_created"
    if any(moment and moment > fact["last_changed_at"] for moment in (created, updated, archived)):
        yield "clock_skew"
    if created is None:
        yield "undated"
    if fact["status"] not in KNOWN:
        yield "unknown_status"
    above = [fact["key"]]
    while (parent := world.threads[above[-1]].get("parent_thread_id")) is not None:
        key = (*fact["key"][:2], parent)
        if key not in world.threads:
            if len(above) == 1:
                yield "orphan"
            return
        if key in above:
            yield "parent_cycle"
            return
        above.append(key)
