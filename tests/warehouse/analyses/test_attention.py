"""The analysis attention: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from tests.builders import SESSION, at
from tests.warehouse.cases import MINUTE, archived, columns, only, terminated
from tests.warehouse.reference import (
    assert_table,
    facts_of,
    seconds,
    spells_of,
    table_of,
    unwatched_of,
    world_of,
)
from tests.warehouse.worlds import SOURCE, Row, World, build_one, state


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


def test_attention(name: str) -> None:
    """Who needs someone, against which threshold and how badly, follows from the ended spells."""
    ended = defaultdict(list)
    for spell in spells_of(name):
        if not spell["is_current"] and spell["status"] is not None:
            ended[spell["status"], None].append(spell["seconds"])
            if spell["fact"]["agent"] is not None:
                ended[spell["status"], spell["fact"]["agent"]].append(spell["seconds"])
    configured = world_of(name).settings.get("attention_after_minutes", 60) * 60
    gone = unwatched_of(world_of(name))
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
            **{c: fact[c] for c in ("session_label", "name", "created_at")},
            "agent_name": fact["called"],
            "reason": reason,
            "quiet_seconds": fact["quiet"],
            "threshold_seconds": threshold,
            "threshold_basis": basis,
            "severity": severity,
        }
    assert_table(table_of(name, "attention"), ("source", "session_id", "thread_id"), expected)


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
