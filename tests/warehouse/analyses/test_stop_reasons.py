"""The analysis stop_reasons: by hand, and against another computation on random worlds."""

from __future__ import annotations

from typing import Any

from tests.builders import SESSION, at
from tests.warehouse.cases import columns
from tests.warehouse.reference import assert_distribution
from tests.warehouse.worlds import SOURCE, Row, World, build_one, state


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
        ("all", "all"): everyone,
        ("agent", "(none)"): parent,
        ("agent", "x"): children,
        ("agent_version", "(none)@(none)"): parent,
        ("agent_version", "x@2"): children,
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
    others = {"name", "agent", "agent_version", "threads_unwatched", "as_of_oldest"}
    assert rows[0].keys() == {*names, *others}


def test_stop_reasons(name: str) -> None:
    """Threads that are listed are counted by stop reason in every group."""
    assert_distribution(name, "stop_reasons", "stop_reason_type")
