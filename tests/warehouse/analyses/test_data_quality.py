"""The analysis data_quality: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from tests.builders import SESSION, at
from tests.warehouse.cases import KNOWN, columns, terminated
from tests.warehouse.reference import (
    Group,
    assert_table,
    facts_of,
    newest_of_source,
    table_of,
    world_of,
)
from tests.warehouse.worlds import SOURCE, Row, World, build_one, state

if TYPE_CHECKING:
    from collections.abc import Iterable


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
        state("odd") | {"extra": '{"archived_at":"soon","colour":"red"}'},
        state("orphan", parent_thread_id="nobody"),
        state("below_orphan", parent_thread_id="orphan"),
        state("own_parent", parent_thread_id="own_parent"),
        state("below_cycle", parent_thread_id="own_parent"),
    ]
    world.poll(40, *listed, threads_regressed=2, threads_unconfirmed=5)
    world.poll(50, *listed, threads_regressed=1, threads_unconfirmed=4)
    world.poll(60, *listed, outcome="incomplete", threads_unconfirmed=6)
    world.poll(45, outcome="gone", source="other", session_id="lost")
    drift = [("b", "string", None), ("a", "null", None), ("status", "string", "x")]
    for path, kind, value in drift:
        row = {"path": path, "json_type": kind, "value": value, "examples": 1}
        world.drift.append(row | {"first_seen_at": at(0), "run_id": "r"})
    findings = {
        ("unconfirmed", SOURCE): (4, SESSION),
        ("regression", SOURCE): (3, SESSION),
        ("clock_skew", SOURCE): (2, f"{SESSION}/ahead"),
        ("negative_duration", SOURCE): (2, f"{SESSION}/backwards"),
        ("parent_cycle", SOURCE): (2, f"{SESSION}/below_cycle"),
        ("unknown_field", "(any)"): (2, "a (null)"),
        ("unknown_status", SOURCE): (2, f"{SESSION}/hibernating"),
        ("orphan", SOURCE): (1, f"{SESSION}/orphan"),
        ("undated", SOURCE): (1, f"{SESSION}/undated"),
        ("unreadable_time", SOURCE): (1, f"{SESSION}/odd"),
        ("updated_before_created", SOURCE): (1, f"{SESSION}/backwards"),
    }
    nothing = sorted({(check, "other") for check, source in findings if source == SOURCE})
    nothing += [("wrong_clock", "other"), ("wrong_clock", SOURCE)]
    expected: list[tuple[Any, ...]] = [(*key, *found) for key, found in findings.items()]
    expected += [(*key, 0, None) for key in nothing]
    rows = build_one(world, "data_quality")
    assert columns(rows, "check", "source", "rows", "example") == expected
    assert {(row["source"], row["as_of"]) for row in rows} == {
        (SOURCE, at(60)),
        ("other", at(45)),
        ("(any)", at(60)),
    }


def test_data_quality(name: str) -> None:
    """What is odd is found by looking at each thread, and by walking up to its ancestors."""
    world = world_of(name)
    found: dict[Group, list[str]] = defaultdict(list)
    for fact in facts_of(name):
        source, label = fact["key"][0], "/".join(fact["key"][1:])
        for check in find_oddities(world, fact):
            found[check, source].append(label)
    counts: Counter[Group] = Counter()
    for poll in world.polls:
        if poll["threads_regressed"]:
            counts["regression", poll["source"]] += poll["threads_regressed"]
            found["regression", poll["source"]].append(poll["session_id"])
    last = {(p["source"], p["session_id"]): p for p in world.polls if p["is_complete"]}
    for (source, session_id), poll in last.items():
        if poll["threads_unconfirmed"]:
            counts["unconfirmed", source] += poll["threads_unconfirmed"]
            found["unconfirmed", source].append(session_id)
    for drift in world.drift:
        if drift["value"] is None:
            found["unknown_field", "(any)"].append(f"{drift['path']} ({drift['json_type']})")
    checks = ["negative_duration", "updated_before_created", "clock_skew", "undated", "regression"]
    checks += ["orphan", "parent_cycle", "unknown_status", "unconfirmed", "wrong_clock"]
    checks += ["unreadable_time"]
    sources = {poll["source"] for poll in world.polls}
    cells = [(check, source) for check in checks for source in sources]
    cells += [("unknown_field", "(any)")] if world.polls else []
    expected: dict[Group, Row] = {
        (check, source): {
            "rows": counts.get((check, source), len(found[check, source])),
            "example": min(found[check, source], default=None),
            "as_of": newest_of_source(world, source),
        }
        for check, source in cells
    }
    assert_table(table_of(name, "data_quality"), ("check", "source"), expected)


def find_oddities(world: World, fact: Row) -> Iterable[str]:
    """Give the checks that a thread fails."""
    created, updated, archived = fact["created_at"], fact["updated_at"], fact["archived_at"]
    end = fact["as_of"] if fact["basis"] == "open" else fact["closed_at"]
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
