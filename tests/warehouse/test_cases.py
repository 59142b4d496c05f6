"""Small cases of the analyses, worked out by hand; odd and hostile worlds; and the same bytes."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.sql import fetch_records
from tests.builders import land, load_all, read
from tests.warehouse.worlds import (
    SESSION,
    SOURCE,
    Row,
    World,
    at,
    build_all,
    build_one,
    connect,
    parsed_analyses,
    simulate,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KNOWN = ["archived", "blocked", "idle", "rescheduling", "running", "terminated"]
MINUTE = 60.0


def archived(id_: str, created: float, end: float, **fields: Any) -> Row:
    """Return a thread that was archived at its end."""
    return state(id_, "archived", created, end, archived_at=at(end), **fields)


def terminated(id_: str, created: float, end: float, **fields: Any) -> Row:
    """Return a thread that was terminated at its end."""
    return state(id_, "terminated", created, end, **fields)


def only(rows: list[Row], **fields: Any) -> list[Row]:
    """Return the rows that have these fields, without them."""
    return [
        {name: cell for name, cell in row.items() if name not in fields}
        for row in rows
        if all(row[name] == cell for name, cell in fields.items())
    ]


def groups_of(rows: list[Row]) -> list[tuple[str, str]]:
    """Return the dimensions and values of a table in order, each once."""
    return list(dict.fromkeys((row["dimension"], row["value"]) for row in rows))


def columns(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of the rows."""
    return [tuple(row[name] for name in names) for row in rows]


# A textbook's curve: lifetimes of 10, 20, 30 and 50 minutes, and one still open after 30.
FIVE = [
    archived("a", 0, 10),
    archived("b", 0, 20),
    state("c", "idle", 70, 70),
    terminated("d", 0, 30),
    archived("e", 0, 50),
]
ALONE = [
    ("agent", "(none)"),
    ("agent_version", "(none)@(none)"),
    ("all", "all"),
    ("model", "(none)"),
    ("role", "coordinator"),
    ("session", SESSION),
    ("source", SOURCE),
]


def test_survival_by_hand() -> None:
    """Five lifetimes, one of them censored at the time of a closing: a textbook's figures."""
    world = World()
    world.poll(100, *FIVE)
    rows = build_one(world, "survival")
    assert groups_of(rows) == ALONE
    # Greenwood's sums: 1/20, + 1/12, + 1/6; the censored one is at risk at 30 minutes.
    curve = [
        (10 * MINUTE, 5, 1, 0, 0.8, 0.2038, 0.9692),
        (20 * MINUTE, 4, 1, 0, 0.6, 0.1257, 0.8818),
        (30 * MINUTE, 3, 1, 1, 0.4, 0.0520, 0.7528),
        (50 * MINUTE, 1, 1, 0, 0.0, None, None),
    ]
    names = ("t_seconds", "at_risk", "closed", "censored", "survival", "ci_low", "ci_high")
    for dimension, value in ALONE:
        own = only(rows, dimension=dimension, value=value, role="coordinator", as_of=at(100))
        assert [
            tuple(cell if cell is None else round(cell, 4) for cell in cells)
            for cells in columns(own, *names)
        ] == curve


def test_duration_percentiles_by_hand() -> None:
    """The same five: percentiles between two lifetimes lie on the line from one to the other."""
    world = World()
    world.poll(100, *FIVE)
    rows = build_one(world, "duration_percentiles")
    assert groups_of(rows) == ALONE
    names = ("p50", "p75", "p90", "p95", "p99", "mean", "max", "km_p50", "km_p90")
    expected = {
        "archived": (3, 1, 20, 35, 44, 47, 49.4, 80 / 3, 50, None, None),
        "closed": (4, 1, 25, 35, 44, 47, 49.4, 27.5, 50, 30, 50),
        "terminated": (1, 1, 30, 30, 30, 30, 30, 30, 30, None, None),
    }
    for dimension, value in ALONE:
        own = only(rows, dimension=dimension, value=value, role="coordinator", as_of=at(100))
        assert [row["basis"] for row in own] == list(expected)
        for row in own:
            n, n_open, *minutes = expected[row["basis"]]
            assert (row["n"], row["n_open"]) == (n, n_open)
            wanted = [None if cell is None else pytest.approx(cell * MINUTE) for cell in minutes]
            assert [row[name] for name in names] == wanted


def test_percentiles_of_equal_lifetimes() -> None:
    """Lifetimes equal to the microsecond, between which floating point falls, fail no check."""
    lasted = 47930.000003 / MINUTE
    world = World()
    world.poll(1000, terminated("a", 0, lasted), terminated("b", 0, lasted))
    (row,) = only(build_one(world, "duration_percentiles"), dimension="all", basis="terminated")
    assert (row["n"], row["max"]) == (2, pytest.approx(47930.000003))


@pytest.mark.parametrize(("open_threads", "half", "tenth"), [(0, 500, 900), (350, 540, 908)])
def test_thinned_curve_is_exact(open_threads: int, half: int, tenth: int) -> None:
    """A thousand lifetimes of 1 to 1000 s: few rows, and the median falls on the very second.

    350 threads more are open after 250.5 s: from then on 750 of 1100 are left.
    """
    age = 250.5 / 60
    waiting = [state(f"open{i}", "idle", 100 - age, 100 - age) for i in range(open_threads)]
    world = World()
    world.poll(100, *(archived(f"t{i}", 0, i / 60) for i in range(1, 1001)), *waiting)
    tables = build_all(world)
    curve = only(tables["survival"], dimension="all")
    assert 160 < len(curve) <= 225
    assert sum(row["closed"] for row in curve) == 1000
    for row in curve:
        if row["t_seconds"] != 250.5:
            second = round(row["t_seconds"])
            left = 1000 - second
            early = second < 251
            share = left / 750 * (750 + open_threads) / (1000 + open_threads)
            if early:
                share = (left + open_threads) / (1000 + open_threads)
            assert row["at_risk"] == left + 1 + early * open_threads
            assert row["survival"] == pytest.approx(share, abs=1e-11)
    (row,) = only(tables["duration_percentiles"], dimension="all", basis="closed")
    assert (row["km_p50"], row["km_p90"], row["p50"]) == (half, tenth, 500.5)


def test_agent_versions_by_hand() -> None:
    """Six versions in a row: too few, worse, better and no different, chi-squared worked out."""
    lifetimes = {1: [1, 3], 2: [2, 4], 3: [1] * 10, 4: [2] * 10, 5: [1] * 10, 6: [1] * 10}
    world = World()
    listed = [
        (terminated if version == 1 and end == 1 else archived)(
            f"v{version}_{i}", 0, end, agent_id="x", agent_version=version
        )
        for version, ends in lifetimes.items()
        for i, end in enumerate(ends)
    ]
    listed += [
        state("open", "idle", 9, 9, agent_id="x", agent_version=6),
        state("no_version", agent_id="x"),
        state("no_agent", agent_version=1),
    ]
    world.poll(10, *listed)
    rows = build_one(world, "agent_versions")
    assert list(rows[0]) == list(parsed_analyses()["agent_versions"].header.columns)
    names = ("version", "n", "n_closed", "km_p50", "version_before", "ratio", "verdict")
    assert columns(rows, *names) == [
        (1, 2, 2, 60, None, None, None),
        (2, 2, 2, 120, 1, 2, "too few"),
        (3, 10, 10, 60, 2, 0.5, "too few"),
        (4, 10, 10, 120, 3, 2, "worse"),
        (5, 10, 10, 60, 4, 0.5, "better"),
        (6, 11, 10, 60, 5, 1, "unclear"),
    ]
    # Versions 1 and 2: observed 2, expected 1/2 + 2/3 + 1/2 + 1, variance 1/4 + 2/9 + 1/4.
    # Versions 3 and 4: 5 too few closed at the first minute, variance 10 * 1/4 * 10/19.
    # Versions 5 and 6: 10 and 10 of 10 and 11 closed: expected 20 * 11/21.
    excess, variance = 10 - 220 / 21, 20 * (11 / 21) * (10 / 21) * (1 / 20)
    chi = [row["log_rank"] for row in rows]
    assert chi[0] is None
    assert chi[1] == pytest.approx((2 / 3) ** 2 / (13 / 18))
    assert chi[3:] == pytest.approx([19, 19, excess**2 / variance])
    wilson = ("terminated_share", "terminated_share_low", "terminated_share_high")
    assert [round(cell, 4) for cell in columns(rows, *wilson)[0]] == [0.5, 0.0945, 0.9055]
    assert [round(cell, 4) for cell in columns(rows, *wilson)[3]] == [0, 0, 0.2775]
    before = ("n_before", "n_closed_before", "terminated_share_before", "km_p50_before")
    assert columns(rows, *before)[:3] == [(None,) * 4, (2, 2, 0.5, 60), (2, 2, 0, 120)]
    assert {(row["agent"], row["role"], row["as_of"]) for row in rows} == {
        ("x", "coordinator", at(10))
    }


def overlapping() -> World:
    """Return a world of two and a half hours, whose threads begin and end at chosen minutes."""
    child: Row = {"parent_thread_id": "a"}
    listed = [
        archived("a", 0, 60),
        archived("b", 30, 90, **child),
        state("c", "idle", 30, 80, parent_thread_id="b"),
        archived("momentary", 45, 45, **child),
        state("future", "weird", 200, 100, parent_thread_id="nobody"),
        state("undated", "running", **child) | {"created_at": None, "updated_at": None},
    ]
    world = World()
    world.poll(110, *listed, state("gone", "blocked", 100, 105, **child), label="old")
    world.poll(120, *listed)
    world.poll(150, *listed)
    world.poll(400, outcome="failed", error_message="broken")
    return world


def test_concurrency_by_hand() -> None:
    """Ends at the stroke of an hour, a moment's life, a future one, and one gone missing."""
    names = ("hour", "open_peak", "open_mean", "arrivals", "completions", "backlog")
    rows = build_one(overlapping(), "concurrency")
    assert only(rows, source=SOURCE, as_of=at(150)) == [
        dict(zip(names, cells, strict=True))
        for cells in [
            (at(0), 3, (60 + 30 + 30) / 60, 4, 1, 3),
            (at(60), 2, (30 + 60 + 20) / 60, 1, 2, 2),
            (at(120), 2, 1, 1, 0, 2),
        ]
    ]


def test_session_summary_by_hand() -> None:
    """The same world at a glance, every column."""
    world = overlapping()
    world.poll(40, outcome="gone", session_id="lost")
    lost, row = build_one(world, "session_summary")
    assert row == {
        "source": SOURCE,
        "session_id": SESSION,
        "label": None,
        "threads": 6,
        "open": 3,
        "idle": 1,
        "running": 1,
        "rescheduling": 0,
        "blocked": 0,
        "archived": 3,
        "terminated": 0,
        "other": 1,
        "missing": 1,
        "depth": 2,
        "max_fan_out": 4,
        "orphans": 1,
        "peak_concurrency": 3,
        "first_created_at": at(0),
        "last_updated_at": at(105),
        "span_seconds": 105 * MINUTE,
        "last_child_lag_seconds": -45 * MINUTE,
        "as_of": at(150),
    }
    numbers = [cell for cell in lost.values() if isinstance(cell, int)]
    assert (lost["session_id"], lost["as_of"], lost["depth"]) == ("lost", None, None)
    assert numbers == [0] * 13


def test_ingestion_health_of_the_last_failure() -> None:
    """A label that was taken away is gone, and a failure without a message shows no older one."""
    world = World()
    world.poll(0, state("a"), label="old")
    world.poll(10, outcome="failed", label="old", error_message="first")
    world.poll(20, outcome="incomplete")
    (row,) = build_one(world, "ingestion_health")
    assert (row["label"], row["failure_streak"], row["last_error"]) == (None, 2, None)
    assert (row["lag_seconds"], row["last_outcome"]) == (20 * MINUTE, "incomplete")


def test_status_over_time_by_hand() -> None:
    """Two sessions of three hours, one of them polled no more after the first."""
    world = World()
    world.poll(10, state("a", "running", 5, 5))
    world.poll(20, state("b", "running", 15, 15), session_id="sess_2")
    world.poll(70, state("a", "idle", 5, 50), state("c", "running", 65, 65))
    world.poll(80, outcome="failed", session_id="sess_2")
    world.poll(130, state("a", "idle", 5, 50))
    world.poll(-50, outcome="overtaken")
    rows = only(build_one(world, "status_over_time"), source=SOURCE)
    assert columns(rows, *rows[0]) == [
        (at(0), "idle", 1, 2, 0),
        (at(0), "running", 1, 2, 0),
        (at(60), "idle", 1, 1, 1),
        (at(60), "running", 2, 1, 1),
        (at(120), "idle", 1, 1, 1),
        (at(120), "running", 1, 1, 1),
    ]


def test_status_over_time_with_overlapping_polls() -> None:
    """A thread that a short poll missed before a long one's late page listed it counts as 0."""
    world = World()
    late: Row = {"finished_at": at(66), "observed_at": at(65)}
    world.poll(40, state("a", "running", 5, 5), state("new", "idle", 64, 64), **late)
    world.poll(50, state("a", "running", 5, 5))
    rows = build_one(world, "status_over_time")
    assert columns(rows, "hour", "status", "threads") == [
        (at(0), "idle", 0),
        (at(0), "running", 1),
        (at(60), "idle", 0),
        (at(60), "running", 1),
    ]


def spelled() -> World:
    """Return two threads seen by four polls, ten minutes apart; pages come half a minute later."""
    first = state("a", "running", 4, 4)
    second = state("b", "idle", 6, 9)
    ended = terminated("b", 6, 18)
    world = World()
    world.poll(10, first, second)
    world.poll(20, first | {"status": "idle", "updated_at": at(15)}, ended)
    blocked = first | {"status": "blocked", "updated_at": at(15)}
    ended |= {"status": "archived", "archived_at": at(28), "updated_at": at(28)}
    world.poll(30, blocked, ended)
    world.poll(40, blocked, ended)
    return world


def test_time_in_status_by_hand() -> None:
    """Five spells and a birth that no poll saw; the time after a termination is nobody's."""
    rows = build_one(spelled(), "time_in_status")
    assert groups_of(rows) == ALONE
    # The page of minute 30.5 shows no new updated_at: that change is put between it and minute 20.
    expected = [
        ("idle", 2, 10.25 + 9, 0, 48),
        ("blocked", 1, 14.75, 0, 48),
        ("running", 1, 11, 0, 16.5 + 30),
        ("(unobserved)", 1, 3, 0, 4.5),
    ]
    # Three gaps of ten minutes are more than was seen; no status had more than all together.
    total = sum(cells[2] for cells in expected)
    assert total == 48
    for dimension, value in ALONE:
        own = only(rows, dimension=dimension, value=value, as_of=at(40))
        assert columns(own, "status", "threads") == [cells[:2] for cells in expected]
        for row, cells in zip(own, expected, strict=True):
            found = (row["seconds"], row["seconds_low"], row["seconds_high"], row["share"])
            minutes = [cell * MINUTE for cell in cells[2:]]
            assert found == pytest.approx((*minutes, cells[2] / total))


def test_bounds_of_time_in_status_by_hand() -> None:
    """Gaps of 10 and 20 minutes: threads widen the bounds by the mean of theirs, three times."""
    world = World()
    for minute in (10, 20, 30, 40, 50, 60):
        world.poll(minute, state("a"), state("b"))
    for minute in (20, 30, 40, 60):
        outcome = "failed" if minute == 30 else "complete"
        world.poll(minute, state("c"), state("d", "idle"), session_id="s2", outcome=outcome)
    rows = build_one(world, "time_in_status")
    names = ("value", "status", "seconds", "seconds_low", "seconds_high")
    found = [row for row in rows if row["dimension"] in {"all", "session"}]
    assert [
        (*cells[:2], *(cell / MINUTE for cell in cells[2:])) for cells in columns(found, *names)
    ] == [
        ("all", "running", 180, 49.5 + 49.5 + 39.5 - 40, 180 + 40),
        ("all", "idle", 60, 0, 60 + 60),
        ("s2", "idle", 60, 0, 120),
        ("s2", "running", 60, 0, 120),
        (SESSION, "running", 120, 99 - 30, 120),
    ]


def test_status_transitions_by_hand() -> None:
    """The same spells: what followed them; each that ended was seen once, and may hide another."""
    rows = build_one(spelled(), "status_transitions")
    assert only(rows, source=SOURCE, as_of=at(40)) == [
        {
            "from_status": start,
            "to_status": end,
            "transitions": 1,
            "share": 1 / n,
            "n": n,
            "p50_seconds_before": estimate * MINUTE,
            "p50_seconds_before_low": 0,
            "p50_seconds_before_high": high * MINUTE,
            "p90_seconds_before": estimate * MINUTE,
            "possibly_missed": missed,
        }
        for start, end, n, estimate, high, missed in [
            ("idle", "blocked", 2, 10.25, 20.5, 1),
            ("idle", "terminated", 2, 9, 14.5, 1),
            ("running", "idle", 1, 11, 16.5, 1),
            ("terminated", "archived", 1, 10, 20.5, 1),
        ]
    ]


def test_possibly_missed_by_hand() -> None:
    """Forty threads, half of them idle before they end; two were seen idle only once."""
    # Where changes are rarer than polls, what follows is half a gap old when first seen. Those that
    # end at once are 7/16 of a gap of 10.5 minutes old: with the others 15/32, 1/16 is missed.
    half, younger = 5.25, 10.5 * 9 / 16
    world = World()
    for minute in (10, 20, 30, 40, 50, 60, 70):
        listed = []
        for number in range(40):
            idle = 30 + half if number < 20 else 100
            end = (40 if number < 2 else 60) + half if number < 20 else 30 + younger
            now = minute + 0.25
            shown = state(f"t{number}")
            if now > end:
                shown = terminated(f"t{number}", 0, end)
            elif now > idle:
                shown = state(f"t{number}", "idle", 0, idle)
            listed.append(shown)
        world.poll(minute, *listed)
    rows = build_one(world, "status_transitions")
    assert columns(rows, "from_status", "to_status", "transitions", "possibly_missed") == [
        # What follows never ends: as often as idle itself, 2 * 2/20 of 20: 4, and 2 * 2 of chance.
        ("idle", "terminated", 20, 8),
        # 2 * 2/20 + 1/16 of 20: 5.25, and 4.58 of chance.
        ("running", "idle", 20, 10),
        # The same, and 2 * 2/20 of the 20 that went by way of idle: 9.25, and 6.08 of chance.
        ("running", "terminated", 20, 16),
    ]


def needy() -> World:
    """Return a world in which each thread needs someone, or just does not."""
    day = 24 * 60
    rejected: Row = {"stop_reason_type": "refusal"}
    listed = [
        state("rejected", "idle", 0, day + 190, **rejected),
        archived("gave_up", 0, day + 190, stop_reason_type="retries_exhausted"),
        archived("long_ago", 0, 200, **rejected),
        archived("sealed", 0, day + 190, **rejected) | {"updated_at": at(100)},
        archived("sealed_silently", 0, day + 190, **rejected) | {"updated_at": None},
        archived("touched", 0, 200, **rejected) | {"updated_at": at(day + 190)},
        terminated("ended", 0, 201, **rejected),
        terminated("ended_before", 0, 200, **rejected),
        state("asks", "idle", 0, day + 160, stop_reason_type="requires_action"),
        state("blocked", "blocked", 0, day + 50),
        state("stuck", "running", 0, day + 100),
        state("at_threshold", "running", 0, day + 170),
        state("fresh", "running", 0, day + 180),
        state("odd", "weird", 0, day + 100),
        state("done", "idle", 0, day, stop_reason_type="end_turn"),
        state("silent", "running") | {"updated_at": None},
        state("asks_silently", "idle", stop_reason_type="requires_action") | {"updated_at": None},
    ]
    world = World(settings={"attention_after_minutes": 30.0})
    world.poll(day + 195, *listed, state("missing", "blocked", 0, 0))
    world.poll(day + 200, *listed)
    return world


def test_attention_by_hand() -> None:
    """Who needs someone against a configured half hour, the worst first."""
    rows = build_one(needy(), "attention")
    same: Row = {"source": SOURCE, "session_id": SESSION, "role": "coordinator", "agent": None}
    same |= {"threshold_seconds": 1800.0, "threshold_basis": "configured", "as_of": at(1640)}
    names = ("thread_id", "status", "stop_reason_type", "reason", "quiet_seconds", "severity")
    assert only(rows, **same) == [
        dict(zip(names, cells, strict=True))
        for cells in [
            ("blocked", "blocked", None, "blocked", 9000, "high"),
            ("odd", "weird", None, "stuck", 6000, "high"),
            ("stuck", "running", None, "stuck", 6000, "high"),
            ("asks", "idle", "requires_action", "needs_you", 2400, "medium"),
            ("rejected", "idle", "refusal", "gave_up", 600, "low"),
            ("asks_silently", "idle", "requires_action", "needs_you", None, "low"),
            ("sealed", "archived", "refusal", "gave_up", 92400, "low"),
            ("ended", "terminated", "refusal", "gave_up", 86340, "low"),
            ("gave_up", "archived", "retries_exhausted", "gave_up", 600, "low"),
            ("sealed_silently", "archived", "refusal", "gave_up", None, "low"),
        ]
    ]


def test_outage_by_hand() -> None:
    """Complete polls, then a day of 404 and 400: nothing is taken to go on that no poll saw."""
    world = World()
    world.poll(50, state("a", "running", 0, 10), terminated("b", 0, 40), state("c", "running"))
    world.poll(70, state("a", "idle", 0, 65), terminated("b", 0, 40), state("c", "running"))
    for hour in range(2, 24):
        outcome = "gone" if hour < 12 else "failed"
        world.poll(60 * hour, outcome=outcome, error_message=str(404 if hour < 12 else 400))
    tables = build_all(world)
    names = ("hour", "open_peak", "open_mean", "arrivals", "completions", "backlog", "as_of")
    assert columns(tables["concurrency"], *names) == [
        (at(0), 3, (60 + 40 + 60) / 60, 3, 1, 2, at(70)),
        (at(60), 2, 2, 0, 0, 2, at(70)),
    ]
    assert columns(tables["session_summary"], "open", "peak_concurrency", "as_of") == [
        (2, 3, at(70))
    ]
    assert columns(tables["status_transitions"], "from_status", "to_status", "as_of") == [
        ("running", "idle", at(70))
    ]
    assert {row["as_of"] for row in tables["data_quality"]} == {at(70)}
    health = ("failure_streak", "last_outcome", "lag_seconds", "as_of")
    assert columns(tables["ingestion_health"], *health) == [
        (22, "failed", (1380 - 70) * MINUTE, at(1380))
    ]
    # Of failures a person is told elsewhere: whether the session is still there nobody knows.
    assert columns(tables["attention"], "thread_id", "as_of", "quiet_seconds") == [
        ("c", at(70), 70 * MINUTE)
    ]


def test_pages_of_a_failed_poll_count() -> None:
    """A poll that broke off after a page brought that page; one before its first page nothing."""
    world = World()
    world.poll(10, state("a"), state("b"))
    world.poll(80, state("a", "idle", 0, 75), outcome="incomplete")
    world.poll(130, outcome="incomplete", pages=0)
    world.poll(190, state("a", "idle", 0, 76), outcome="overtaken")
    tables = build_all(world)
    assert columns(tables["concurrency"], "hour", "backlog", "as_of") == [
        (at(0), 2, at(80)),
        (at(60), 2, at(80)),
    ]
    for name in ("session_summary", "status_transitions", "data_quality"):
        assert {row["as_of"] for row in tables[name]} == {at(80)}


def test_attention_leaves_out_what_is_gone() -> None:
    """Nobody can look at the threads of a session that is gone, unless it was found again.

    It is gone where a poll said so last, overtaken ones unheard; a failure leaves it in doubt.
    """
    ends = {
        "gone": ["gone"],
        "gone_overtaken": ["gone", "overtaken"],
        "gone_after_failure": ["failed", "gone"],
        "gone_for_a_while": ["gone", "complete"],
        "in_doubt": ["gone", "failed"],
        "never_gone": [],
    }
    listed = [state("stuck"), state("asks", "idle", stop_reason_type="requires_action")]
    listed += [terminated("rejected", 0, 5, stop_reason_type="refusal")]
    world = World()
    for session, outcomes in ends.items():
        for number, outcome in enumerate(["complete", *outcomes]):
            brought = listed if outcome == "complete" else ()
            world.poll(100 + 100 * number, *brought, session_id=session, outcome=outcome)
    world.poll(100, *listed, session_id="gone", source="other")
    rows = build_one(world, "attention")
    assert {(row["source"], row["session_id"]) for row in rows} == {
        (SOURCE, "gone_for_a_while"),
        (SOURCE, "in_doubt"),
        (SOURCE, "never_gone"),
        ("other", "gone"),
    }
    assert len(rows) == 4 * 3


@pytest.mark.parametrize(
    ("spells", "expected"),
    [
        (20, [("agent_and_status", 19.05 * MINUTE), ("status", 19.05 * MINUTE)]),
        (19, [("configured", 3600), ("configured", 3600)]),
    ],
)
def test_attention_learns_what_is_usual(spells: int, expected: list[tuple[str, float]]) -> None:
    """Twenty ended spells of 1 to 20 minutes tell what is usual, nineteen do not.

    With nothing configured an hour is the threshold.
    """
    agent: Row = {"agent_id": "x"}
    waiting = [state("own", agent_id="x"), state("other", agent_id="y")]
    world = World()
    world.poll(0.2, *(state(f"t{i}", **agent) for i in range(1, spells + 1)), *waiting)
    idle = [state(f"t{i}", "idle", 0, i, **agent) for i in range(1, spells + 1)]
    world.poll(100, *idle, *waiting)
    rows = {row["thread_id"]: row for row in build_one(world, "attention")}
    assert rows.keys() == {"own", "other"}
    found = columns([rows["own"], rows["other"]], "threshold_basis", "threshold_seconds")
    assert [basis for basis, _ in found] == [basis for basis, _ in expected]
    assert [cell for _, cell in found] == pytest.approx([cell for _, cell in expected])


def test_stop_reasons_by_hand() -> None:
    """Four listed threads and one missing, the most frequent reason first in every group."""
    agent: Row = {"agent_id": "x", "agent_version": 2, "agent_model": "lite"}
    child = agent | {"parent_thread_id": "a"}
    listed = [
        state("a"),
        state("b", "idle", stop_reason_type="end_turn", **child),
        state("c", "idle", stop_reason_type="end_turn", **child),
        state("d", "idle", stop_reason_type="refusal", **child),
    ]
    world = World()
    world.poll(0, *listed, state("gone", stop_reason_type="refusal", **child))
    world.poll(10, *listed)
    children = [("end_turn", 2, 2 / 3, 3), ("refusal", 1, 1 / 3, 3)]
    everyone = [("end_turn", 2, 0.5, 4), ("(none)", 1, 0.25, 4), ("refusal", 1, 0.25, 4)]
    parent = [("(none)", 1, 1, 1)]
    expected: dict[tuple[str, str], list[Any]] = {
        ("agent", "(none)"): parent,
        ("agent", "x"): children,
        ("agent_version", "(none)@(none)"): parent,
        ("agent_version", "x@2"): children,
        ("all", "all"): everyone,
        ("model", "(none)"): parent,
        ("model", "lite"): children,
        ("role", "child"): children,
        ("role", "coordinator"): parent,
        ("session", SESSION): everyone,
        ("source", SOURCE): everyone,
    }
    rows = build_one(world, "stop_reasons")
    names = ("dimension", "value", "stop_reason_type", "threads", "share", "n", "as_of")
    assert columns(rows, *names) == [
        (*group, *cells, at(10)) for group, own in expected.items() for cells in own
    ]
    assert list(rows[0]) == list(names)


def test_data_quality_by_hand() -> None:
    """Each oddity once or twice, counted beside an example; what was not found stands at 0."""
    world = World()
    listed = [
        state("root"),
        terminated("backwards", 30, 10),
        state("ahead", "idle", 0, 50),
        state("unborn", "idle", 60, 60),
        state("undated") | {"created_at": None},
        state("hibernating", "hibernating"),
        state("mute", None),
        state("orphan", parent_thread_id="nobody"),
        state("below_orphan", parent_thread_id="orphan"),
        state("own_parent", parent_thread_id="own_parent"),
        state("below_cycle", parent_thread_id="own_parent"),
    ]
    world.poll(40, *listed, threads_regressed=2)
    world.poll(50, *listed, threads_regressed=1)
    world.poll(45, outcome="gone", source="other", session_id="lost")
    drift = [("b", "string", None), ("a", "null", None), ("status", "string", "x")]
    for path, kind, value in drift:
        row = {"path": path, "json_type": kind, "value": value, "examples": 1}
        world.drift.append(row | {"first_seen_at": at(0), "run_id": "r"})
    findings = {
        ("regression", SOURCE): (3, SESSION),
        ("clock_skew", SOURCE): (2, f"{SESSION}/ahead"),
        ("negative_duration", SOURCE): (2, f"{SESSION}/backwards"),
        ("parent_cycle", SOURCE): (2, f"{SESSION}/below_cycle"),
        ("unknown_field", "(any)"): (2, "a (null)"),
        ("unknown_status", SOURCE): (2, f"{SESSION}/hibernating"),
        ("orphan", SOURCE): (1, f"{SESSION}/orphan"),
        ("undated", SOURCE): (1, f"{SESSION}/undated"),
        ("updated_before_created", SOURCE): (1, f"{SESSION}/backwards"),
    }
    nothing = sorted({(check, "other") for check, source in findings if source == SOURCE})
    expected: list[tuple[Any, ...]] = [(*key, *found) for key, found in findings.items()]
    expected += [(*key, 0, None) for key in nothing]
    rows = build_one(world, "data_quality")
    assert columns(rows, "check", "source", "rows", "example") == expected
    assert {(row["source"], row["as_of"]) for row in rows} == {
        (SOURCE, at(50)),
        ("other", None),
        ("(any)", at(50)),
    }


def test_order_of_status_distribution() -> None:
    """The most frequent status comes first, and the statuses of no thread come last."""
    world = World()
    world.poll(0, state("a", "weird"), state("b", "weird"), state("c", "running"))
    rows = only(build_one(world, "status_distribution"), dimension="all")
    statuses = ["weird", "running", *(status for status in KNOWN if status != "running")]
    assert [row["status"] for row in rows] == statuses


ROWS_OF_NOTHING = {"status_distribution": 6}


def test_no_poll() -> None:
    """An empty warehouse: known statuses at 0, and nothing else."""
    tables = build_all(World())
    sizes = {name: len(rows) for name, rows in tables.items() if rows}
    assert sizes == ROWS_OF_NOTHING
    assert (
        columns(tables["status_distribution"], "threads", "share", "n", "as_of")
        == [(0, None, 0, None)] * 6
    )


def test_polls_without_threads() -> None:
    """Failed and empty polls alone: the sessions are listed, with no thread and no error."""
    world = World()
    world.poll(0, outcome="failed", error_message="broken")
    world.poll(10, session_id="empty")
    tables = build_all(world)
    sizes = {name: len(rows) for name, rows in tables.items() if rows}
    per_session = {"ingestion_health": 2, "session_summary": 2}
    assert sizes == ROWS_OF_NOTHING | per_session | {"data_quality": 9}
    found = columns(tables["session_summary"], "session_id", "threads", "as_of")
    assert found == [("empty", 0, at(10)), (SESSION, 0, None)]
    world = World()
    world.poll(0, outcome="failed", error_message="broken")
    tables = build_all(world)
    assert columns(tables["session_summary"], "session_id", "as_of") == [(SESSION, None)]
    assert len(tables["data_quality"]) == 9
    assert {row["as_of"] for row in tables["data_quality"]} == {None}
    assert {row["as_of"] for row in tables["ingestion_health"]} == {at(0)}


def test_one_open_thread() -> None:
    """One open thread: a curve that has not fallen, no percentile, one backlog, nothing to do."""
    world = World()
    world.poll(10, state("a", "idle", 0, 5, stop_reason_type="end_turn"))
    tables = build_all(world)
    (row,) = only(tables["survival"], dimension="all", value="all")
    assert columns([row], "t_seconds", "at_risk", "closed", "censored", "survival", "ci_low") == [
        (10 * MINUTE, 1, 0, 1, 1, None)
    ]
    (row,) = only(tables["duration_percentiles"], dimension="all", value="all")
    assert (row["n"], row["n_open"], row["p50"], row["km_p50"]) == (0, 1, None, None)
    assert columns(tables["concurrency"], "open_peak", "open_mean", "backlog") == [(1, 1, 1)]
    assert tables["attention"] == tables["status_transitions"] == tables["agent_versions"] == []


def test_one_closed_thread() -> None:
    """One closed thread: its lifetime is every percentile, and its curve falls to 0 there."""
    world = World()
    world.poll(10, archived("a", 0, 5))
    tables = build_all(world)
    (row,) = only(tables["survival"], dimension="all", value="all")
    assert columns([row], "t_seconds", "at_risk", "closed", "survival", "ci_low", "ci_high") == [
        (5 * MINUTE, 1, 1, 0, None, None)
    ]
    names = ("p50", "p75", "p90", "p95", "p99", "mean", "max", "km_p50", "km_p90")
    for row in only(tables["duration_percentiles"], basis="closed"):
        assert {row[name] for name in names} == {5 * MINUTE}
    assert columns(tables["time_in_status"], "status", "seconds") == [("(unobserved)", 300)] * 7


def test_closed_at_an_unknown_time() -> None:
    """A closed thread without any date of its end is no backlog once it was seen closed."""
    world = World()
    world.poll(90, state("a", "terminated") | {"updated_at": None}, state("b", "idle", 0, 0))
    world.poll(150, state("a", "terminated") | {"updated_at": None}, state("b", "idle", 0, 0))
    tables = build_all(world)
    found = columns(tables["concurrency"], "open_peak", "arrivals", "completions", "backlog")
    assert found == [(2, 2, 0, 2), (2, 0, 1, 1), (1, 0, 0, 1)]
    assert tables["session_summary"][0]["peak_concurrency"] == 2
    assert columns(tables["thread_durations"], "elapsed_seconds") == [(None,), (150 * MINUTE,)]


def test_worlds_are_what_the_loader_makes(home: Path) -> None:
    """The polls of a random world, loaded from landed pages, leave the very rows of that world."""
    world = simulate(11, 80, polls=16, gap=30, odd=0.06)
    for number, (_, shown, fields) in enumerate(world.given[4:12]):
        kind = {name: fields[name] for name in ("source", "session_id")}
        kind["outcome"] = "incomplete" if number % 3 else "complete"
        world.poll(520 + 10 * number, *shown, **kind)
    later: Row = {"status": "blocked", "updated_at": at(605)}
    moved = [row | later for row in shown if row["is_open"]]
    world.poll(610, *moved, **kind | {"outcome": "incomplete"})
    for minute, shown, fields in world.given:
        known = {name: fields[name] for name in ("outcome", "status_filter") if name in fields}
        if known["outcome"] != "overtaken":
            land(home, minute, *map(send, shown), **known)
    load_all(home)
    assert any(len(spells) > 4 for spells in world.history.values())
    assert sum(poll["threads_regressed"] for poll in world.polls[-8:]) > 50
    unseen = list(world.unseen())
    assert {row["last_seen_at"] is None for row in unseen} == {True, False}
    tables: dict[str, Iterable[Row]] = {
        "threads": world.threads.values(),
        "thread_status_history": world.spells(),
        "spells_unseen": unseen,
    }
    for table, rows in tables.items():
        loaded = {(r["thread_id"], r.get("spell")): r for r in read(home, f"FROM {table}")}
        own = {(r["thread_id"], r.get("spell")): r for r in rows}
        assert loaded.keys() == own.keys()
        for key, row in own.items():
            names = row.keys() - {"source", "session_id"}
            assert {name: loaded[key][name] for name in names} == {
                name: row[name] for name in names
            }


def send(row: Row) -> dict[str, Any]:
    """Return a thread of a world as a server would send it."""
    agent = {name: row.get(f"agent_{name}") for name in ("id", "name", "model", "version")}
    stop = row["stop_reason_type"]
    thread = {
        **{name: row[name] for name in ("parent_thread_id", "role", "status")},
        **{name: row[name] for name in ("created_at", "updated_at", "archived_at")},
        "id": row["thread_id"],
        "agent": {name: cell for name, cell in agent.items() if cell is not None},
        "stop_reason": {"type": stop} if stop else {},
        "stats": {"active_seconds": row["active_seconds"]},
    }
    sent: dict[str, Any] = msgspec.to_builtins(thread)
    return sent


@pytest.mark.parametrize("parents", ["a root", "nobody", "themselves"])
def test_deep_chain(parents: str) -> None:
    """A chain of 3,000 threads below a root, below a stranger or in a ring takes seconds."""
    above = {"a root": None, "nobody": "nobody", "themselves": "t2999"}
    chain = [
        state(f"t{i}", "idle", parent_thread_id=f"t{i - 1}" if i else above[parents])
        for i in range(3000)
    ]
    world = World()
    world.poll(10, *chain)
    start = perf_counter()
    tables = build_all(world)
    assert perf_counter() - start < 20
    (row,) = tables["session_summary"]
    depth, orphans = {"a root": (2999, 0), "nobody": (None, 1), "themselves": (None, 0)}[parents]
    assert (row["depth"], row["max_fan_out"], row["orphans"]) == (depth, 1, orphans)
    found = {row["check"]: row["rows"] for row in tables["data_quality"]}
    rings = 3000 if parents == "themselves" else 0
    assert (found["orphan"], found["parent_cycle"]) == (orphans, rings)


@pytest.fixture(scope="module")
def varied() -> tuple[World, str]:
    """Return a world with everything in it, and its analyses as text."""
    world = simulate(12, 1000, sources=2, sessions=3, odd=0.03)
    return world, repr(build_all(world))


@pytest.mark.parametrize(
    ("zone", "threads", "seed"),
    [
        ("UTC", 1, None),
        ("Asia/Kolkata", 2, None),
        ("America/St_Johns", 1, None),
        ("UTC", 2, 5),
        ("Asia/Kathmandu", 1, 6),
    ],
)
def test_same_bytes(varied: tuple[World, str], zone: str, threads: int, seed: int | None) -> None:
    """The same rows, in any order, time zone and number of threads, give the same tables."""
    world, text = varied
    assert repr(build_all(world, zone, threads, seed)) == text


def test_built_again() -> None:
    """Building all a second time in the same warehouse changes no row, nor their order."""
    with connect(simulate(13, 300, odd=0.05)) as connection:
        tables = []
        for _ in range(2):
            for name, analysis in parsed_analyses().items():
                build_analysis(connection, analysis)
                tables.append((name, fetch_records(connection, f"FROM analytics.{name}")))
    half = len(parsed_analyses())
    assert tables[:half] == tables[half:]
