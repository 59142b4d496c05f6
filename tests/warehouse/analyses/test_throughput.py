"""The analysis throughput: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date
from typing import TYPE_CHECKING, Any

from tests.builders import at
from tests.warehouse.cases import MINUTE, archived, columns, terminated
from tests.warehouse.reference import (
    assert_table,
    facts_of,
    find_percentile,
    newest_of_source,
    table_of,
    world_of,
)
from tests.warehouse.worlds import World, build_one, state

if TYPE_CHECKING:
    from tests.warehouse.reference import Group
    from tests.warehouse.worlds import Row

DAY = 24 * 60
BASES = ("archived", "terminated", "cancelled", "vanished")


def test_throughput_by_hand() -> None:
    """Three days: midnight belongs to the day that begins, a reader's zone has no say."""
    world = World()
    listed = [
        archived("a", 0, DAY - 1),
        archived("b", 10, DAY),
        terminated("c", 20, DAY + 30),
        state("d", "idle", DAY, DAY),
        state("e", "cancelled", DAY + 1, DAY + 2),
    ]
    world.poll(DAY + 60, *listed, state("lost", "running", DAY + 50, DAY + 50))
    world.poll(2 * DAY + 120, *listed)
    world.poll(2 * DAY + 130, *listed)
    names = ("day", "created", "closed", *BASES, "net", "median_seconds", "as_of")
    rows = build_one(world, "throughput")
    # The lost one closed in the middle between 60 and 60 + 1500 minutes of the second day.
    assert columns(rows, *names) == [
        (date(2026, 10, 1), 3, 1, 1, 0, 0, 0, 2, (DAY - 1) * MINUTE, at(2 * DAY + 130)),
        (date(2026, 10, 2), 3, 4, 1, 1, 1, 1, -1, 760 * MINUTE, at(2 * DAY + 130)),
    ]


def test_throughput(name: str) -> None:
    """Births and closings of each day are those of the threads."""
    counts: dict[Group, dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    lengths: dict[Group, list[float]] = defaultdict(list)
    for fact in facts_of(name):
        as_of = newest_of_source(world_of(name), fact["source"])
        for moment, kind in ((fact["created_at"], "created"), (fact["closed_at"], fact["basis"])):
            if moment is not None and as_of is not None and moment <= as_of:
                group = (fact["source"], moment.astimezone(UTC).date(), fact["role"])
                counts[group][kind] += 1
                if kind != "created" and fact["elapsed"] is not None:
                    lengths[group].append(fact["elapsed"])
    expected: dict[Group, Row] = {}
    for group, found in counts.items():
        closed = sum(found[basis] for basis in BASES)
        expected[group] = {
            "created": found["created"],
            "closed": closed,
            **{basis: found[basis] for basis in BASES},
            "net": found["created"] - closed,
            "median_seconds": find_percentile(lengths[group], 50),
            "as_of": newest_of_source(world_of(name), group[0]),
        }
    assert_table(table_of(name, "throughput"), ("source", "day", "role"), expected)
