"""The analysis agent_versions: by hand, against lifelines and scipy, and on random worlds."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
import pytest
from lifelines import AalenJohansenFitter
from scipy.stats import false_discovery_control, t

from pipelines.warehouse.schema import migrate
from pipelines.warehouse.sql import ArrowStream, fetch_records
from tests.builders import at
from tests.warehouse.cases import archived, columns, terminated
from tests.warehouse.reference import (
    assert_table,
    facts_of,
    names_of,
    newest,
    seconds,
    table_of,
    world_of,
)
from tests.warehouse.worlds import Row, World, build_one, parsed_analyses, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    Numbers = NDArray[Any]

OPEN, CLOSED, VANISHED, FAILED = "open", "closed", "vanished", "failed"
GAVE_UP = {"retries_exhausted", "budget_reached", "refusal"}
MEASURES = ("failures", "speed")


def test_versions_by_hand() -> None:
    """Of 20 threads in 5 sessions each: failures 0 and 8 of 20, lifetimes of 10 and 20 minutes."""
    world = World()
    for session in range(5):
        old = [archived(f"o{i}", 0, 10, agent_id="x", agent_version=1) for i in range(4)]
        slow = [archived(f"s{i}", 1, 21, agent_id="x", agent_version=2) for i in range(2)]
        failed = [terminated(f"f{i}", 1, 2, agent_id="x", agent_version=2) for i in range(2)]
        few = [archived(f"n{i}", 5, 6 + i, agent_id="x", agent_version=3) for i in range(3)]
        rest = [state("no_version", agent_id="x"), state("no_agent", agent_version=1)]
        world.poll(61, *old, *slow, *failed, *few, *rest, session_id=f"s{session}")
    rows = build_one(world, "agent_versions")
    assert list(rows[0]) == list(parsed_analyses()["agent_versions"].header.columns)
    names = ("version", "compared_with", "failures", "speed", "n", "followed", "sessions")
    assert columns(rows, *names) == [
        (1, None, None, None, 20, 20, 5),
        # All sessions say the same: no variance but that of one thread more or less.
        (2, 1, "more", "slower", 20, 20, 5),
        # Versions 1 and 2 have as many threads: the younger of them.
        (3, 2, "too few", "too few", 15, 15, 5),
    ]
    assert columns(rows, "created_from", "created_until", "created_from_compared")[1:] == [
        (at(1), at(1), at(0)),
        (at(5), at(5), at(1)),
    ]
    shares = [row["failed_share"] for row in rows], [row["failed_share_compared"] for row in rows]
    assert shares == ([0, 0.5, 0], [None, 0, 0.5])
    # Lifetimes are known to half a per cent, and third ones are of 1, 2 and 3 minutes.
    typical = [600, 1200, 60 * 6 ** (1 / 3)]
    assert [row["lifetime_seconds"] for row in rows] == pytest.approx(typical, rel=0.005)
    assert [row["common_age_seconds"] for row in rows] == pytest.approx(
        [3660, 3600, 3360], rel=0.01
    )
    assert {(row["agent"], row["role"], row["compared"], row["as_of"]) for row in rows} == {
        ("x", "coordinator", 1, at(61))
    }


def test_what_fails() -> None:
    """Terminated, or given up, whether closed since or not; not archived, cancelled or idle."""
    expected: dict[int, float] = {}
    listed: list[Row] = []
    for stop in ("end_turn", "requires_action", *GAVE_UP, None):
        kinds: dict[str, tuple[Row, bool]] = {
            "archived": (archived("t", 0, 5), False),
            "terminated": (terminated("t", 0, 5), True),
            "archived later": (archived("t", 0, 5) | {"status": "terminated"}, False),
            "cancelled": (state("t", "cancelled", 0, 5), False),
            "idle": (state("t", "idle", 0, 5), False),
        }
        for thread, fails in kinds.values():
            version = len(listed)
            given = {"thread_id": f"t{version}", "agent_id": "x", "agent_version": version}
            listed.append(thread | given | {"stop_reason_type": stop})
            expected[version] = float(fails or stop in GAVE_UP)
    world = World()
    world.poll(9, *listed)
    rows = build_one(world, "agent_versions")
    assert {row["version"]: row["failed_share"] for row in rows} == expected


def test_young_version_is_compared_at_its_age() -> None:
    """Of a version one hour old only crashes have closed: they are as many as an hour brings."""
    world = World()
    for number in range(6):
        old = [archived(f"a{i}", 0, 600, agent_id="x", agent_version=1) for i in range(4)]
        old += [terminated(f"b{i}", 0, 30, agent_id="x", agent_version=1) for i in range(1)]
        new = [state(f"c{i}", "idle", 2880, 2880, agent_id="x", agent_version=2) for i in range(4)]
        new += [terminated(f"d{i}", 2880, 2910, agent_id="x", agent_version=2) for i in range(1)]
        world.poll(2940, *old, *new, session_id=f"s{number}")
    row = build_one(world, "agent_versions")[1]
    assert (row["failures"], row["speed"], row["compared_with"]) == ("unclear", "unclear", 1)
    assert (row["failed_share"], row["failed_share_compared"]) == pytest.approx((0.2, 0.2))
    assert row["common_age_seconds"] == pytest.approx(3600, rel=0.01)


@pytest.fixture(scope="module")
def macros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database that has the views and macros, and no row."""
    path: Path = tmp_path_factory.mktemp("macros")
    with duckdb.connect() as connection:
        migrate(connection, path / "memory")
        yield connection


def test_student(macros: duckdb.DuckDBPyConnection) -> None:
    """Probabilities and quantiles of Student's distribution are scipy's."""
    for df in (1, 2, 3, 4, 7, 8, 19, 60, 61, 200):
        (reach,) = macros.execute("SELECT student_t_95(?)", [df]).fetchone() or ()
        assert reach == pytest.approx(t.ppf(0.975, df), rel=0.01 if df > 1 else 0.12)
        for value in (0.0, -0.5, 2.0, 5.0, 12.0):
            (p,) = macros.execute("SELECT student_t_p(?, ?)", [value, df]).fetchone() or ()
            assert p == pytest.approx(2 * t.sf(abs(value), df), rel=1e-6, abs=1e-14)


def test_benjamini_hochberg(macros: duckdb.DuckDBPyConnection) -> None:
    """Adjusted probabilities are scipy's, ties and what is no test included."""
    values = np.random.default_rng(1).random(50).round(2) ** 3
    given = [*map(float, values), None]
    query = "WITH given AS (SELECT unnest(?) AS p) FROM benjamini_hochberg('given')"
    query = f"SELECT p, p_adjusted FROM ({query})"
    found = macros.execute(query, [given]).fetchall()
    assert (None, None) in found
    expected = zip(values, false_discovery_control(values), strict=True)
    assert sorted(row for row in found if row[0] is not None) == [
        pytest.approx(pair) for pair in sorted(expected)
    ]


@pytest.mark.parametrize(("latest", "unseen"), [(-1, 0.0), (200, 0.0), (-1, 0.5)])
def test_aalen_johansen(macros: duckdb.DuckDBPyConnection, latest: int, unseen: float) -> None:
    """Incidences are those of lifelines, and influences what trying a session's weight gives.

    Threads come into view at ages up to `latest`, from birth on where that is none. A share of
    those that close does so unseen, and was listed before: lifelines knows no such thing.
    """
    draw = np.random.default_rng(3)
    ages = draw.permutation(np.arange(200, 500))[:120]
    entries = np.minimum(draw.integers(-200, 200, 120).clip(-1), latest)
    causes = draw.choice([0, 1, 2], 120)
    named = np.array([OPEN, CLOSED, FAILED], dtype="<U8")[causes]
    named[(causes == 1) & (draw.random(120) < unseen)] = VANISHED
    columns_ = {"entry": entries, "listed": (ages - draw.integers(1, 250, 120)).clip(-1)}
    columns_ |= {"age": ages, "cause": named, "part": np.where(named == VANISHED, 0.25, 1.0)}
    given = columns_ | {"session": np.arange(120) % 7, "followed": ages}
    macros.register("given", ArrowStream(pl.DataFrame({"curve": 1, "is_followed": True, **given})))
    macros.execute("CREATE OR REPLACE TEMP TABLE members AS SELECT *, part AS threads FROM given")
    macros.unregister("given")
    macros.execute("""
        CREATE OR REPLACE TEMP TABLE listings AS
        SELECT curve, unnest([listed, age]) AS age, unnest([part, -part]) AS listed
        FROM members
        WHERE EXISTS (FROM members WHERE cause = 'vanished')
    """)
    points = fetch_records(macros, "FROM aalen_johansen('members', 'listings') ORDER BY age")
    for event, column in ((1, "closed_share"), (2, "failed_share")) if not unseen else ():
        fitter = AalenJohansenFitter(calculate_variance=False)
        fitter.fit(ages, causes, event_of_interest=event, entry=entries.clip(0))
        curve = fitter.cumulative_density_.iloc[:, 0]
        found = {row["age"]: row[column] for row in points}
        assert [found[age] for age in ages] == pytest.approx([curve[age] for age in ages])
    lives = [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]
    expected = Curve(lives, 499)
    weights = expected.weigh(np.array([expected.session == session for session in range(7)]))
    query = """
        WITH points AS (SELECT *, 499 AS horizon FROM aalen_johansen('members', 'listings')),
        functions AS (FROM influence_function('points'))
        FROM session_influences('members', 'members', 'functions') ORDER BY session
    """
    rows = fetch_records(macros, query)
    for index, measure in enumerate(MEASURES):
        own = [row for row in rows if row["measure"] == measure]
        assert [row["influence"] for row in own] == pytest.approx(list(weights[:, index]), rel=1e-6)
        assert own[0]["estimate"] == pytest.approx(expected.estimate[index])


class Curve:
    """The threads of a version up to an age; what sums them up, with any weights of theirs."""

    def __init__(self, lifetimes: list[Row], horizon: int) -> None:
        lifetimes = [life for life in lifetimes if life["entry"] < horizon]
        self.n = round(sum(life["part"] for life in lifetimes))
        self.horizon = horizon
        self.part = np.array([life["part"] for life in lifetimes])
        age = np.array([life["age"] for life in lifetimes])
        cause = np.array([life["cause"] for life in lifetimes])
        cause[age > horizon] = OPEN
        self.steps = np.unique(age[cause != OPEN])
        self.at_risk = np.array([life["entry"] for life in lifetimes])[:, None] < self.steps
        self.at_risk &= age[:, None] >= self.steps
        ends = age[:, None] == self.steps
        seen, unseen, self.failing = (
            ends & (cause == kind)[:, None] for kind in (CLOSED, VANISHED, FAILED)
        )
        listed = np.array([life["listed"] for life in lifetimes])[:, None] < self.steps
        listed &= age[:, None] >= self.steps
        # Whoever vanished stands for those at risk, of each that had been listed.
        at_risk, listed_, seen_, unseen_, failing = (
            self.part @ kind for kind in (self.at_risk, listed, seen, unseen, self.failing)
        )
        with np.errstate(all="ignore"):
            each = np.maximum(at_risk / listed_, 1)
            room = (at_risk - seen_ - failing) / unseen_
            each = np.minimum(np.where(np.isfinite(each), each, 1), room)
        self.closing = seen + np.where(unseen, each, 0)
        self.session = np.array([life["session"] for life in lifetimes])
        followed = np.array([life["followed"] >= horizon for life in lifetimes])
        self.followed = round(self.part @ followed)
        self.sessions = len(set(self.session[followed]))
        shares = [self.part @ (self.session == session) / self.n for session in set(self.session)]
        self.df = max(1.0, 1 / sum(share**2 for share in shares) - 1)
        self.estimate = self.sum_up(np.ones((1, len(age))))[0]

    def sum_up(self, weights: Numbers) -> Numbers:
        """Return the share that failed and the mean log lifetime of the others, for each row."""
        weights = weights * self.part
        at_risk = weights @ self.at_risk
        closing, failing = (weights @ kind / at_risk for kind in (self.closing, self.failing))
        still_open = np.cumprod(np.maximum(0, 1 - closing - failing), axis=1)
        before = np.hstack([np.ones((len(weights), 1)), still_open])[:, :-1]
        failed = (before * failing).sum(axis=1)
        logs = (before * closing * self.steps / 100).sum(axis=1)
        last = still_open[:, -1] if len(self.steps) else 1.0
        with np.errstate(all="ignore"):
            typical = (logs + last * self.horizon / 100) / (1 - failed)
        return np.stack([failed, np.where(failed > 1 - 1e-6, np.nan, typical)], axis=1)

    def weigh(self, groups: Numbers) -> Numbers:
        """Return how the sums change with the weight of each group of threads, by trying it."""
        up, down = (self.sum_up(1 + change * groups) for change in (1e-5, -1e-5))
        return (up - down) / 2e-5

    def changes(self) -> dict[str, Numbers]:
        """Return what each session changes in the sums if it is left out, scaled to a variance."""
        names = sorted(set(self.session))
        groups = np.array([self.session == name for name in names])
        share = (groups @ self.part)[:, None] / self.n
        with np.errstate(all="ignore"):
            left_out = self.weigh(groups) / (1 - share) * math.sqrt(1 - 1 / len(names))
        return dict(zip(names, left_out, strict=True))


def test_jackknife() -> None:
    """A session's influence is near what leaving it out changes, to a few per cent."""
    draw = np.random.default_rng(5)
    lifetimes = [
        {"entry": -1, "age": int(600 + 80 * draw.normal()), "cause": cause, "session": number % 20}
        | {"followed": 700, "listed": -1, "part": 1.0}
        for number, cause in enumerate(draw.choice([OPEN, CLOSED, CLOSED, FAILED], 600))
    ]
    curve = Curve(lifetimes, 700)
    groups = np.array([curve.session == session for session in range(20)])
    left_out = curve.estimate - curve.sum_up(1.0 - groups)
    centered = left_out - left_out.mean(axis=0)
    exact = (centered**2).sum(axis=0) * 19 / 20
    near = sum(change**2 for change in curve.changes().values())
    assert near == pytest.approx(exact, rel=0.05)


def test_agent_versions(name: str) -> None:
    """Every cell, from the weights of threads, Student, Welch and Smyth in numpy and scipy."""
    polled = {
        (poll["source"], poll["session_id"]): poll["started_at"]
        for poll in sorted(world_of(name).polls, key=lambda poll: poll["sequence"])
        if poll["is_complete"]
    }
    lifetimes = [life for fact in facts_of(name) for life in read_lives(fact, polled)]
    curves = pair_versions(lifetimes)
    pairs = [pair for pair in curves.values() if pair["old"] and is_enough(pair)]
    tests = dict(zip(map(id, pairs), compare(pairs), strict=True))
    expected = {}
    for group, pair in curves.items():
        row = {"compared": len(pairs), **describe(pair)}
        row["agent_name"] = names_of(name)["agent", group[0]]["name"]
        for measure, (more, less) in enumerate((("more", "fewer"), ("slower", "faster"))):
            test = tests.get(id(pair), {}).get(measure)
            column = MEASURES[measure]
            row[f"{column}_p"], row[f"{column}_p_adjusted"] = test[:2] if test else (None, None)
            row[column] = "too few" if pair["old"] else None
            if test:
                verdict = more if test[2] > 0 else less
                row[column] = verdict if test[1] <= 0.05 else "unclear"
        expected[group] = row
    assert_table(table_of(name, "agent_versions"), ("agent", "role", "version"), expected, 1e-6)


def read_lives(fact: Row, polled: dict[tuple[str, str], datetime]) -> Iterator[Row]:
    """Yield a thread in steps of a per cent, if it has an age and version: vanished, in pieces."""
    if None not in {fact["agent"], fact["agent_version"], fact["elapsed"]}:
        for number, elapsed in enumerate(fact["pieces"]):
            part = {"part": 1 / len(fact["pieces"]), "is_first": number == 0}
            yield read_life(fact, elapsed, polled) | part


def read_life(fact: Row, elapsed: float, polled: dict[tuple[str, str], datetime]) -> Row:
    """Return a thread as a lifetime that ends, or has lasted, at an age."""
    gave_up = fact["stop_reason_type"] in GAVE_UP
    if fact["basis"] == "open" and gave_up:
        elapsed -= fact["quiet"] or 0
    is_failed = gave_up or fact["basis"] == "terminated"
    until = max(filter(None, (fact["as_of"], polled.get(fact["key"][:2]))))
    age = step_of(elapsed)
    cause = {"open": OPEN, "vanished": VANISHED}.get(fact["basis"], CLOSED)
    return {
        "group": (fact["agent"], fact["role"], fact["agent_version"]),
        "session": f"{fact['source']} {fact['session_id']}",
        "created": fact["created_at"],
        "as_of": fact["as_of"],
        "entry": min(step_of(fact["entry"]) if fact["entry"] else -1, age - 1),
        "age": age,
        "followed": step_of(seconds(fact["created_at"], until) or 0),
        "listed": step_of(min(fact["listed"], fact["bounds"][0])) if fact["listed"] else -1,
        "cause": FAILED if is_failed else cause,
    }


def step_of(elapsed: float) -> int:
    """Return an age in steps of a per cent."""
    return round(100 * math.log(max(elapsed, 1)))


def pair_versions(lifetimes: list[Row]) -> dict[Any, Row]:
    """Return each version with the largest that began before it, at their common age."""
    members: dict[Any, list[Row]] = defaultdict(list)
    for life in lifetimes:
        members[life["group"]].append(life)
    whole = {group: [x for x in lives if x["is_first"]] for group, lives in members.items()}
    began = {group: min(life["created"] for life in lives) for group, lives in members.items()}
    pairs = {}
    for _, same in groupby(sorted(members), key=lambda group: group[:2]):
        earlier: list[Any] = []
        for group in sorted(same, key=lambda group: (began[group], group[2])):
            old = max(earlier, key=lambda g: (len(whole[g]), began[g], g[2]), default=None)
            both = [whole[group], *([whole[old]] if old else [])]
            horizon = min(
                sorted(life["followed"] for life in lives)[(len(lives) - 1) // 2] for lives in both
            )
            curves = [Curve(members[each], horizon) for each in (group, old) if each]
            pairs[group] = {"old": old, "lives": both, "curves": curves, "horizon": horizon}
            earlier.append(group)
    return pairs


def is_enough(pair: Row) -> bool:
    """Tell whether a pair is large enough to be compared."""
    return all(curve.followed >= 20 and curve.sessions >= 5 for curve in pair["curves"])


def describe(pair: Row) -> Row:
    """Return the numbers of a pair's row but for its tests."""
    row = {
        "common_age_seconds": math.exp(pair["horizon"] / 100),
        "compared_with": pair["old"] and pair["old"][2],
        "as_of": newest(life for lives in pair["lives"] for life in lives),
    }
    for suffix, index in (("", 0), ("_compared", 1)):
        lives = pair["lives"][index] if index < len(pair["lives"]) else []
        curve = pair["curves"][index] if lives else None
        created = [life["created"] for life in lives]
        row |= {
            f"n{suffix}": len(lives) or None,
            f"followed{suffix}": curve and curve.followed,
            f"sessions{suffix}": curve and curve.sessions,
            f"created_from{suffix}": min(created, default=None),
            f"created_until{suffix}": max(created, default=None),
        }
        names = [f"failed_share{suffix}{end}" for end in ("", "_low", "_high")]
        names += [f"lifetime{suffix}{end}_seconds" for end in ("", "_low", "_high")]
        row |= dict(zip(names, bound(curve) if curve else [None] * 6, strict=True))
    return row


def bound(curve: Curve) -> list[float | None]:
    """Return the share that failed and the typical lifetime, each with its interval."""
    failed, typical = (float(value) for value in curve.estimate)
    variance = np.square(list(curve.changes().values())).sum(axis=0)
    reach = reach_of(curve.df)
    found: list[float | None] = [failed]
    if len(set(curve.session)) > 1:
        n = curve.n if variance[0] < 1e-18 else min(curve.n, failed * (1 - failed) / variance[0])
        n *= (1.959963984540054 / reach) ** 2
        square = 1.959963984540054**2 / n
        middle, half = failed + square / 2, math.sqrt(square * (failed * (1 - failed) + square / 4))
        found += [(middle - half) / (1 + square), (middle + half) / (1 + square)]
        spread = reach * math.sqrt(variance[1])
        lifetimes = [typical, typical - spread, typical + spread]
    else:
        found += [None, None]
        lifetimes = [typical]
    found += [None if math.isnan(typical) else math.exp(value) for value in lifetimes]
    return [*found, None, None][:6]


def reach_of(df: float) -> float:
    """Return Student's quantile as the macro has it, which test_student holds against scipy."""
    z = 1.959963984540054
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / df**power for power, term in enumerate(terms))


def compare(pairs: list[Row]) -> list[dict[int, tuple[float, float, float]]]:
    """Return of each pair and measure (0 failures, 1 speed) p, adjusted p and the difference."""
    found: list[dict[int, tuple[float, float, float]]] = [{} for _ in pairs]
    tests = [(0, index, *values) for index, values in enumerate(moderate(pairs, 0))]
    tests += [(1, index, *values) for index, values in enumerate(moderate(pairs, 1))]
    known = [test for test in tests if not math.isnan(test[2])]
    adjusted = false_discovery_control([test[2] for test in known]) if known else []
    for (measure, index, p, difference), value in zip(known, adjusted, strict=True):
        found[index][measure] = (p, float(value), difference)
    return found


def moderate(pairs: list[Row], measure: int) -> Iterator[tuple[float, float]]:
    """Yield p and the difference of each pair: Smyth's moderated t of Welch's test."""
    parts = [weigh_difference(pair, measure) for pair in pairs]
    effects = np.array([v / independent if v else 0 for _, v, independent, *_ in parts])
    known = np.array([part[3] for part in parts])[effects > 0]
    prior, usual = 0.0, 1.0
    if len(known) > 1:
        usual = effects[effects > 0].mean()
        by_chance = (2 / known).mean()
        spread = ((effects[effects > 0] / usual - 1) ** 2).sum() / (len(known) - 1)
        beyond = max(0, (spread - by_chance) / (1 + by_chance))
        prior = min((len(known) - 1) * known.mean(), 4 + 2 / beyond if beyond else math.inf)
    for difference, variance, independent, df, least in parts:
        strength = prior if variance else 0
        drawn = (strength * usual * independent + df * variance) / (strength + df)
        freedom = max(1, min(200, math.floor(strength + df)))
        value = abs(difference) / math.sqrt(max(drawn, least))
        yield 2 * float(t.sf(value, freedom)), difference


def weigh_difference(pair: Row, measure: int) -> tuple[float, float, float, float, float]:
    """Return a difference, its variance, that of independent threads, df, and one thread's."""
    new, old = pair["curves"]
    of_new, of_old = new.changes(), old.changes()
    nothing = np.zeros(2)
    names = {*of_new, *of_old}
    changes = [of_new.get(name, nothing) - of_old.get(name, nothing) for name in names]
    variance = sum(float(change[measure]) ** 2 for change in changes)
    own = [sum(float(c[measure]) ** 2 for c in of.values()) for of in (of_new, of_old)]
    inverse = own[0] ** 2 / new.df + own[1] ** 2 / old.df
    welch = sum(own) ** 2 / inverse if inverse else new.df + old.df
    independent = sum(
        float((curve.weigh(np.eye(len(curve.part)))[:, measure] ** 2 / curve.part).sum())
        for curve in (new, old)
    )
    difference = float(new.estimate[measure] - old.estimate[measure])
    return difference, variance, independent, min(len(names) - 1, welch), new.n**-2 + old.n**-2
