"""What a server may make as many of as it likes: statuses, drift, and what a thread holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipelines.files import list_statuses
from tests.builders import build, land, load, load_all, read, thread

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.slow  # together they take long


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a data directory."""
    return tmp_path


def test_a_status_of_each_thread(home: Path) -> None:
    """All but the known and the 20 most frequent are (other), in every analysis alike.

    Threads go from statuses of one thread each to a common one and to others again: there would be
    as many pairs as the square of their number.
    """
    for minute, name in ((0, "a{}"), (10, "idle"), (20, "c{}")):
        threads = [thread(f"{n}", name.format(n), updated=minute) for n in range(200)]
        pairs = [thread(f"pair {n}", f"often {n // 2}") for n in range(42)]
        land(home, minute, *threads, *pairs)
    load_all(home)
    often = {f"often {number}" for number in range(21)} - {"often 9"}
    for table in ("status_distribution", "status_over_time", "time_in_status"):
        found = {row["status"] for row in build(home, table)}
        assert found - {*list_statuses(closed=True), *list_statuses(closed=False)} == often | {
            "(other)"
        }
    assert [
        (row["from_status"], row["to_status"], row["transitions"])
        for row in build(home, "status_transitions")
    ] == [("(other)", "idle", 200), ("idle", "(other)", 200)]


def sizes(home: Path) -> list[tuple[str, str, int]]:
    """Return path, type and examples of what was new."""
    rows = read(home, "SELECT path, json_type, examples FROM schema_drift ORDER BY ALL")
    return [(row["path"], row["json_type"], row["examples"]) for row in rows]


DATA_KEYS = {
    "ids": "toolu_01{:022d}",
    "uuids": "01890a5d-ac96-774b-bcce-{:012x}",
    "dates": "2026-10-{:02d}",
    "times": "2026-10-01T00:00:{:02d}Z",
    "integers": "{}",
    "hexadecimal": "{:032x}",
    "sessions": "sess-{:08d}",
    "models": "claude-{}-20250929",
    "texts": "{:0200d}",
}


@pytest.mark.parametrize("key", DATA_KEYS.values(), ids=DATA_KEYS)
def test_keys_that_are_data(home: Path, key: str) -> None:
    """An object keyed by data is one path, at whatever depth, however many keys there are."""
    threads = [
        thread(f"t{n}", usage={"input_tokens": 1, "by": {key.format(n): {"x": {key.format(n): 1}}}})
        for n in range(30)
    ]
    land(home, 0, *threads[:15])
    land(home, 10, *threads)
    load_all(home)
    paths = ("usage.by", "usage.by.*", "usage.by.*.x", "usage.by.*.x.*")
    kinds = ("object", "object", "object", "number")
    assert sizes(home) == [(path, kind, 15) for path, kind in zip(paths, kinds, strict=True)]


def test_keys_without_end(home: Path) -> None:
    """Of keys that look like names there are fifty under one parent, in all runs; then one path."""
    for minute in range(5):
        fields: dict[str, Any] = {f"name {chr(97 + minute)} {chr(97 + n)}": n for n in range(26)}
        land(home, minute, thread("a", box=fields, **fields))
    load_all(home)
    found = sizes(home)
    assert ("box.*", "number", 1) in found
    assert ("*", "number", 1) in found
    assert len([path for path, _, _ in found if path.startswith("box.")]) <= 51
    assert len(found) <= 52 + 51


def test_paths_and_values_without_end(home: Path) -> None:
    """Beyond a thousand paths, and fifty values of an enumeration, there is one row (other)."""
    box = {f"a{chr(97 + n)}": {f"b{chr(97 + m)}": 1 for m in range(26)} for n in range(26)}
    threads = [
        thread(
            f"{n}", f"s{n}", role=f"r{n}", stop_reason={"type": f"x{n}"}, agent={"type": f"y{n}"}
        )
        for n in range(100)
    ]
    land(home, 0, *threads, thread("box", box=box, more=box))
    land(home, 10, thread("box", f"new {0}", yet=box))
    load_all(home)
    values = read(home, "SELECT path, value FROM schema_drift WHERE value IS NOT NULL")
    for path in ("status", "role", "stop_reason.type", "agent.type"):
        found = [row["value"] for row in values if row["path"] == path]
        assert len(found) == 51
        assert "(other)" in found
    assert 1000 <= len(sizes(home)) - len(values) <= 1004
    assert {("(other)", "number", 1), ("(other)", "object", 1)} <= set(sizes(home))


LONG = "x" * 50_000
HUGE: dict[str, tuple[dict[str, Any], str, Any]] = {
    "stop reason": (
        {
            "stop_reason": {
                "type": "requires_action",
                "event_ids": [f"evt_{n}" for n in range(20_000)],
            }
        },
        "stop_reason",
        '{"type":"requires_action"}',
    ),
    "usage": ({"usage": {"input_tokens": 3, "more": {LONG: 1}}}, "usage", '{"input_tokens":3}'),
    "keys": ({f"key {n}": n for n in range(100_000)}, "status", "running"),
    "name": ({"name": LONG}, "length(name)", 1000),
    "status": ({"status": LONG}, "length(status)", 1000),
    "agent": ({"agent": {"name": LONG, "id": LONG}}, "length(agent_name) + length(agent_id)", 2000),
    "reason": ({"stop_reason": {"type": LONG}}, "length(stop_reason_type)", 1000),
    "digits": ({"number": 10**4000}, "length(extra) < 20000", True),
}


@pytest.mark.parametrize(("fields", "column", "kept"), HUGE.values(), ids=HUGE)
def test_what_a_thread_may_hold(home: Path, fields: dict[str, Any], column: str, kept: Any) -> None:
    """What is too long for a column is cut, and said so; the thread beside it is as it was."""
    load(home, 0, thread("a"), thread("b", **fields))
    row = load(home, 10, thread("a"), thread("b", **fields), thread("c"))
    assert (row["threads_new"], row["threads_unchanged"]) == (1, 2)
    query = f"SELECT {column} AS kept, length(extra) AS size FROM threads WHERE thread_id = 'b'"
    (found,) = read(home, query)
    assert found["kept"] == kept
    assert found["size"] < 20_000
    assert load(home, 20, thread("a"), thread("b"), thread("c"))["threads_changed"] == 1


def test_long_ids_stay_different(home: Path) -> None:
    """Ids that are too long for a column are shortened, and do not become one."""
    load(home, 0, thread(LONG + "1"), thread(LONG + "2", parent_thread_id=LONG + "1"))
    rows = read(home, "SELECT thread_id, parent_thread_id, extra FROM threads ORDER BY role")
    assert len({row["thread_id"] for row in rows}) == 2
    assert rows[1]["parent_thread_id"] is None
    assert rows[0]["parent_thread_id"] == rows[1]["thread_id"]
    assert rows[1]["extra"] == '{"(cut)":{"id":50001}}'


def test_what_the_family_documents_is_no_drift(home: Path) -> None:
    """Fields that one server or another documents are in their columns, and no news."""
    usage: dict[str, Any] = {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "credits": 0.5,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
        "server_tool_use": {"web_search_requests": 1},
        "list_cost": {"amount": "37", "currency": "POINT"},
        "active_seconds": 1.5,
        "total_credits": 2,
        "cache_creation_input_tokens": 9,
    }
    load(
        home,
        0,
        thread("forward", template_id="tmpl_1", usage=usage),
        thread("openma", agent_id="agent_1", agent_name="planner", stats={"elapsed_seconds": 2}),
        thread("claude", workflow_run_id="wfr_1", agent={"type": "advisor", "model": {"id": "m"}}),
    )
    assert sizes(home) == []
    query = "SELECT agent_id, agent_name, workflow_run_id, duration_seconds, extra FROM threads"
    assert [tuple(row.values()) for row in read(home, f"{query} ORDER BY thread_id")] == [
        (None, None, "wfr_1", None, None),
        ("tmpl_1", None, None, None, None),
        ("agent_1", "planner", None, 2.0, None),
    ]
