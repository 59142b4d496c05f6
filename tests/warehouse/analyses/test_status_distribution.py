"""The analysis status_distribution: by hand, and against another computation on random worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import at, build, load, thread
from tests.warehouse.cases import KNOWN, only
from tests.warehouse.reference import assert_distribution
from tests.warehouse.worlds import World, build_one, state

if TYPE_CHECKING:
    from pathlib import Path


def test_order_of_status_distribution() -> None:
    """The most frequent status comes first, and the statuses of no thread come last."""
    world = World()
    world.poll(0, state("a", "weird"), state("b", "weird"), state("c", "running"))
    rows = only(build_one(world, "status_distribution"), dimension="all")
    statuses = ["weird", "running", *(status for status in KNOWN if status != "running")]
    assert [row["status"] for row in rows] == statuses


def test_status_distribution_by_hand(home: Path) -> None:
    """Four threads of a coordinator's session, counted by hand in every dimension."""
    agent = {"id": "agent_x", "type": "agent", "version": 2, "model": {"id": "lite"}}
    child: dict[str, Any] = {"parent_thread_id": "t0", "agent": agent}
    listed = [
        thread("t0", "running"),
        thread("t1", "idle", **child),
        thread("t2", "idle", **child),
        thread("t3", "hibernating", **child),
    ]
    load(home, 0, *listed, thread("gone", "idle", parent_thread_id="t0"))
    load(home, 10, *listed)
    rows = build(home, "status_distribution")
    assert {row["as_of"] for row in rows} == {at(10)}
    cells = {(row["dimension"], row["value"], row["status"]): row["threads"] for row in rows}
    shares = {(row["dimension"], row["value"], row["status"]): row["share"] for row in rows}
    known = KNOWN
    assert [key[2] for key in sorted(cells) if key[:2] == ("all", "all")] == sorted(
        [*known, "hibernating"]
    )
    assert [key[2] for key in sorted(cells) if key[:2] == ("role", "coordinator")] == known
    parent = {"running": 1}
    children = {"idle": 2, "hibernating": 1}
    expected = {
        ("all", "all"): parent | children,
        ("source", "qoder"): parent | children,
        ("session", "sess_1"): parent | children,
        ("role", "coordinator"): parent,
        ("role", "child"): children,
        ("agent", "(none)"): parent,
        ("agent", "agent_x"): children,
        ("agent_version", "(none)@(none)"): parent,
        ("agent_version", "agent_x@2"): children,
        ("model", "(none)"): parent,
        ("model", "lite"): children,
    }
    assert {key: count for key, count in cells.items() if count} == {
        (*group, status): count
        for group, counts in expected.items()
        for status, count in counts.items()
    }
    assert shares["all", "all", "idle"] == 0.5
    assert shares["role", "child", "idle"] == pytest.approx(2 / 3)
    assert shares["role", "child", "blocked"] == 0


def test_status_distribution(name: str) -> None:
    """Threads that are listed are counted by status in every group."""
    assert_distribution(name, "status_distribution", "status")
