"""The tree of threads that created each other: depths, orphans and cycles."""

from __future__ import annotations

import random

import duckdb

from pipelines.files import sql_directory


def climb(parents: dict[str, str | None], thread: str) -> tuple[int | None, bool]:
    """Return the depth of a thread, None if it has none, and whether it is in or under a cycle."""
    seen: set[str] = set()
    while (parent := parents[thread]) is not None:
        seen.add(thread)
        if parent not in parents:
            return None, False
        if parent in seen:
            return None, True
        thread = parent
    return len(seen), False


def test_depths() -> None:
    """They are those of a walk upward, in long chains, below orphans and in cycles.

    Those that have no depth alone say who is an orphan, or in or under a cycle.
    """
    chance = random.Random(5)  # noqa: S311 - a made-up tree
    names = [f"t{number}" for number in range(400)]
    parents = {name: chance.choice([*names, None, "gone"]) for name in names}
    parents |= {f"c{number}": f"c{number - 1}" if number else None for number in range(20_000)}
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE threads (source TEXT, session_id TEXT, thread_id TEXT,"
            " parent_thread_id TEXT)"
        )
        pairs = [[*parents], [*parents.values()]]
        connection.execute("INSERT INTO threads SELECT 's', 'x', unnest(?), unnest(?)", pairs)
        for name in ("0_parents_of", "1_parent_threads"):
            connection.execute((sql_directory() / "views" / f"{name}.sql").read_text())
        query = "SELECT thread_id, depth, is_in_cycle FROM parent_threads"
        rows = connection.execute(query).fetchall()
        deep = [[name for name in names if climb(parents, name)[0] is None]]
        query = "SELECT *, rowid AS thread_row FROM threads WHERE list_contains(?, thread_id)"
        connection.execute(f"CREATE TABLE rootless AS {query}", deep)
        query = "SELECT thread_id, is_orphan, is_in_cycle FROM places_of('rootless')"
        places = connection.execute(query).fetchall()
    known = {name: climb(parents, name) for name in names if name in {*parents.values()}}
    known |= {f"c{number}": (number, False) for number in range(19_999)}
    assert {name: (depth, is_in_cycle) for name, depth, is_in_cycle in rows} == known
    assert len(places) > 100
    assert {(name, parents[name] == "gone", climb(parents, name)[1]) for name, *_ in places} == {
        *places
    }
