"""Small worlds that several analyses are worked out on by hand."""

from __future__ import annotations

from typing import Any

from tests.builders import SESSION, at
from tests.warehouse.worlds import SOURCE, Row, World, state

KNOWN = ["archived", "blocked", "cancelled", "idle", "rescheduling", "running", "terminated"]
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
    ("all", "all"),
    ("agent", "(none)"),
    ("agent_version", "(none)@(none)"),
    ("model", "(none)"),
    ("role", "coordinator"),
    ("session", SESSION),
    ("source", SOURCE),
]


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
