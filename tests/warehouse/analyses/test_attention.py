"""The analysis attention: by hand, and against another computation on random worlds."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import binom, norm

from tests.builders import SESSION, at
from tests.warehouse.cases import MINUTE, archived, only, terminated
from tests.warehouse.reference import (
    assert_table,
    facts_of,
    seconds,
    table_of,
    unwatched_of,
    world_of,
)
from tests.warehouse.worlds import SOURCE, Row, World, build_one, state

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    same |= dict.fromkeys(("session_label", "name", "agent_name"))
    same |= {"created_at": at(0)}
    same |= {"threshold_seconds": 1800.0, "threshold_basis": "configured", "as_of": at(1640)}
    same |= {"as_of_basis": "poll"}
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


def move(world: World, silences: list[float], *, agent: str = "x") -> None:
    """Let threads of an agent, all running, move after they were seen quiet for so many minutes."""
    silent = enumerate(silences)
    first = [state(f"{agent}{i}", "running", 0, 100.5 - m, agent_id=agent) for i, m in silent]
    world.poll(100, *first, session_id=agent)
    later = [row | {"updated_at": at(190)} for row in first]
    world.poll(200, *later, session_id=agent)


@pytest.mark.parametrize(
    ("silences", "expected"),
    [
        ([30, 30, 30, 30], {"own": ("agent_and_status", 132), "other": ("configured", 60)}),
        ([10, 10, 10, 10], {"own": ("configured", 60), "other": ("configured", 60)}),
        ([10] * 5, {"own": ("agent_and_status", 43), "other": ("configured", 60)}),
        (range(1, 60), {"own": ("agent_and_status", 118.4), "other": ("configured", 60)}),
        (range(1, 61), {"own": ("agent_and_status", 60), "other": ("status", 60)}),
        (range(1, 101), {"own": ("agent_and_status", 99), "other": ("status", 99)}),
        # Of all the time that anybody was silent, more than 3 % came after 50 minutes.
        ([1] * 98 + [50, 99], {"own": ("agent_and_status", 99), "other": ("status", 99)}),
        # The longest is 10 times the mean of 5 minutes, and 7.4 % of the time came after 20.
        ([3] * 56 + [20, 50, 50], {"own": ("agent_and_status", 50.6), "other": ("configured", 60)}),
    ],
)
def test_attention_learns_what_is_usual(
    silences: Iterable[int], expected: dict[str, tuple[str, float]]
) -> None:
    """Sixty silences tell what is usual, by an upper bound of their 95th percentile.

    Of 60 that is the longest, of 100 the 99th. Fewer tell their mean: 3.9 times that, or more if
    silences vary more; of n the mean is taken for one in 2 n longer. Fewer than five count only
    if that is longer than what else is usual: with nothing configured, an hour.
    """
    world = World()
    move(world, [float(minute) for minute in silences])
    world.poll(2000, state("own", agent_id="x"), state("other", agent_id="y"))
    rows = {row["thread_id"]: row for row in build_one(world, "attention")}
    found = {id_: rows[id_]["threshold_basis"] for id_ in expected}
    assert found == {id_: basis for id_, (basis, _) in expected.items()}
    for id_, (_, minutes) in expected.items():
        assert rows[id_]["threshold_seconds"] == pytest.approx(minutes * MINUTE, rel=0.011)


def test_few_silences_vary_as_those_of_others_do() -> None:
    """Of an agent with ten silences the mean is known, how far they vary from all agents."""
    world = World()
    others = [1.0] * 180 + [10.0] * 20
    move(world, others, agent="others")
    move(world, [20.0] * 10, agent="few")
    silent = [state("own", agent_id="few"), state("other", agent_id="others")]
    world.poll(5000, *silent)
    rows = {row["thread_id"]: row for row in build_one(world, "attention")}
    # Half of the seconds of silence are long ones of 5.3 times the mean, of whom none is longer.
    assert rows["own"]["threshold_seconds"] == pytest.approx(
        20 * MINUTE * 1.05 * 10 / 1.9, rel=0.02
    )
    assert rows["other"]["threshold_seconds"] == pytest.approx(10 * MINUTE, rel=0.011)


def test_a_hang_is_seen() -> None:
    """A minute is usual: nine hours of silence are listed, few healthy threads are.

    Of the agent that is usually quiet for hours the same silence is usual.
    """
    rng = random.Random(3)  # noqa: S311 - no secret
    world = World()
    for agent, usual in (("quick", 1.0), ("slow", 600.0)):
        shown = [state(f"hangs {agent}", "running", 0, 6000 - 540, agent_id=agent)]
        for number in range(300):
            moved = 6000 - rng.expovariate(1 / usual)
            shown.append(state(f"{agent}{number}", "running", 0, moved, agent_id=agent))
            step = round(100 * math.log(max(rng.expovariate(1 / usual) * MINUTE, 1)))
            world.silences[SOURCE, agent, "running", step] += 1
        world.poll(6000, *shown, session_id=agent)
    rows = {row["thread_id"]: row for row in build_one(world, "attention")}
    assert rows["hangs quick"]["severity"] == "high"
    assert "hangs slow" not in rows
    assert len(rows) - 1 <= 0.05 * 600


def test_attention(name: str) -> None:
    """Who needs someone, against which threshold and how badly, follows from the ended spells."""
    silences: dict[Any, list[int]] = defaultdict(list)
    for (source, agent, status, step), count in world_of(name).silences.items():
        silences[status].extend([step] * count)
        silences[source, agent, status].extend([step] * count)
    bounds = {group: find_usual(group, silences) for group in silences}
    configured = world_of(name).settings.get("attention_after_minutes", 60) * 60
    gone = unwatched_of(world_of(name))
    expected = {}
    for fact in facts_of(name):
        reason = find_reason(fact)
        if fact["missing_since"] is not None or reason is None or fact["key"][:2] in gone:
            continue
        status = fact["status"] or "(none)"
        group = (fact["source"], fact["agent"] or "(none)", status)
        basis, threshold = "configured", configured
        if len(silences[status]) >= 60:
            basis, threshold = "status", bounds[status]
        if len(silences[group]) >= 5 or (silences[group] and bounds[group] > threshold):
            basis, threshold = "agent_and_status", bounds[group]
        quiet = fact["quiet"] or 0
        severity = "high" if quiet > 3 * threshold else "medium" if quiet > threshold else "low"
        severity = severity if fact["is_open"] else "low"
        if reason == "stuck" and severity == "low":
            continue
        expected[fact["key"]] = {
            "as_of_basis": "poll",
            **{c: fact[c] for c in ("role", "agent", "status", "stop_reason_type", "as_of")},
            **{c: fact[c] for c in ("session_label", "name", "created_at")},
            "agent_name": fact["called"],
            "reason": reason,
            "quiet_seconds": fact["quiet"],
            "threshold_seconds": threshold,
            "threshold_basis": basis,
            "severity": severity,
        }
    key = ("source", "session_id", "thread_id")
    # The mean is of milliseconds.
    assert_table(table_of(name, "attention"), key, expected, rel=1e-5)


def find_usual(group: Any, silences: dict[Any, list[int]]) -> float:
    """Return the bound of the silences of a status, or of an agent in one, of whom it has few.

    Such an agent's is so many times its mean as of all agents, of whom each counts by its time.
    """
    n = len(silences[group])
    if n >= 60 or isinstance(group, str):
        return bound_of(silences[group])
    means = {key: np.exp(np.array(steps) / 100).mean() for key, steps in silences.items()}
    alike = [key for key in silences if not isinstance(key, str) and key[2] == group[2]]
    steps = [s - round(100 * math.log(means[key])) for key in alike for s in silences[key]]
    seconds = [means[key] for key in alike for _ in silences[key]]
    multiple = max(bound_of(steps, seconds), -math.log(0.02))
    return float(means[group]) * (1 + 0.5 / n) * multiple


def bound_of(steps: list[int], weights: list[float] | None = None) -> float:
    """Return the upper bound of the 95th percentile of silences in steps, as an order statistic.

    Beyond it is at most 3 % of all the time of silence.
    """
    order = np.argsort(steps, kind="stable")
    sizes = np.ones(len(steps)) if weights is None else np.array(weights)[order]
    lengths, n, z = np.exp(np.array(steps)[order] / 100), sizes.sum(), norm.ppf(0.95)
    skew = (z**2 - 1) * (1 - 2 * 0.95) / 6
    rank = min(n, math.ceil(0.95 * n + z * math.sqrt(n * 0.95 * 0.05) + skew + 0.5))
    if weights is None:
        exact = int(binom.ppf(0.95, n, 0.95)) + 1
        assert min(n, exact) <= rank <= min(n, exact + 1)
    beyond = np.array([(sizes * np.maximum(lengths - length, 0)).sum() for length in lengths])
    is_enough = (np.cumsum(sizes) >= rank * (1 - 1e-9)) & (beyond <= 0.03 * (sizes * lengths).sum())
    return float(lengths[np.argmax(is_enough)] * math.exp(0.005))


def find_reason(fact: Row) -> str | None:
    """Return why a thread may need someone."""
    gave_up = fact["stop_reason_type"] in {"retries_exhausted", "budget_reached", "refusal"}
    since = seconds(fact["closed_at"], fact["as_of"])
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
