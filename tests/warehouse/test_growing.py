"""Numbers that grow by themselves: stored with the change that brings them, and no change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.builders import at, land, load, load_all, read, replay_all, thread
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # together they take long

SAMPLE = ROOT / "tests" / "samples" / "threads.growing.json"
TABLES = ("threads", "thread_status_history", "schema_drift", "session_digests", "spells_unseen")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a data directory."""
    return tmp_path


def tables(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table but the ledger."""
    return {table: read(home, f"FROM {table}") for table in TABLES}


def changed(row: dict[str, Any]) -> tuple[int, int, int]:
    """Return how many threads of a poll were new, changed and unchanged."""
    return (row["threads_new"], row["threads_changed"], row["threads_unchanged"])


def test_a_server_whose_numbers_grow(home: Path) -> None:
    """Polls in which numbers alone have grown change nothing but the ledger, and replay alike."""
    running, archived = msgspec.json.decode(SAMPLE.read_bytes())["data"]
    stats: dict[str, float] = {}
    for minute in range(4):
        stats = {"active_seconds": 12.5 + minute, "duration_seconds": 3600.25 + 60 * minute}
        land(home, minute, running | {"stats": stats, "usage": {"input_tokens": minute}}, archived)
    land(
        home,
        5,
        running | {"stats": stats, "status": "idle", "usage": {"input_tokens": 9}},
        archived,
    )
    load_all(home)
    assert [changed(row) for row in read(home, "FROM session_polls ORDER BY sequence")] == [
        *((2, 0, 0), (0, 0, 2), (0, 0, 2), (0, 0, 2)),
        (0, 1, 1),
    ]
    assert read(home, "SELECT duration_seconds, usage FROM threads ORDER BY is_open DESC") == [
        {"duration_seconds": 3780.25, "usage": '{"input_tokens":9}'},
        {"duration_seconds": 3000.0, "usage": None},
    ]
    before = tables(home)
    replay_all(home)
    assert tables(home) == before


GROWING: dict[str, tuple[str, Any]] = {
    "duration_seconds": ("idle", lambda n: {"stats": {"duration_seconds": n}}),
    "elapsed_seconds": ("blocked", lambda n: {"stats": {"elapsed_seconds": n}}),
    "both": ("idle", lambda n: {"stats": {"duration_seconds": n, "elapsed_seconds": n + 0.5}}),
    "as a text": ("idle", lambda n: {"stats": {"duration_seconds": f"{n} s"}}),
    "unset archival": (
        "terminated",
        lambda n: {"archived_at": "0001-01-01T00:00:00Z", "stats": {"duration_seconds": n}},
    ),
    "active_seconds": ("running", lambda n: {"stats": {"active_seconds": n}}),
    "usage": ("rescheduling", lambda n: {"usage": {"by": {"m": n}}}),
    "odd usage": ("running", lambda n: {"usage": [n], "colour": "red"}),
}
STILL: dict[str, tuple[str, Any]] = {
    "startup_seconds": ("running", lambda n: {"stats": {"startup_seconds": n}}),
    "archived": ("archived", lambda n: {"stats": {"duration_seconds": n}}),
    "archived at": (
        "terminated",
        lambda n: {"archived_at": "some day", "stats": {"elapsed_seconds": n}},
    ),
    "active while idle": ("idle", lambda n: {"stats": {"active_seconds": n}}),
    "usage while idle": ("idle", lambda n: {"usage": {"input_tokens": n}}),
    "something else": ("running", lambda n: {"seconds": n}),
}


@pytest.mark.parametrize(("status", "fields"), GROWING.values(), ids=GROWING)
def test_what_grows(home: Path, status: str, fields: Any) -> None:
    """Such a number is no change, whoever else changes, and nothing but the ledger is written."""
    load(home, 0, thread("a", status, **fields(1)))
    before = tables(home)
    assert changed(load(home, 10, thread("a", status, **fields(2)))) == (0, 0, 1)
    assert tables(home) == before
    row = load(home, 20, thread("a", status, **fields(3)), thread("b"))
    assert changed(row) == (1, 0, 1)
    assert read(home, "FROM threads WHERE thread_id = 'a'") == before["threads"]


@pytest.mark.parametrize(("status", "fields"), STILL.values(), ids=STILL)
def test_what_does_not_grow(home: Path, status: str, fields: Any) -> None:
    """Any other number is a change."""
    load(home, 0, thread("a", status, **fields(1)))
    assert changed(load(home, 10, thread("a", status, **fields(2)))) == (0, 1, 0)


def test_numbers_are_stored_with_a_change_and_after_an_hour(home: Path) -> None:
    """They are stored with a change, when they appear, and when what is stored is an hour old."""

    def poll(minute: float, tokens: int | None, **fields: Any) -> tuple[int, int, int]:
        usage = None if tokens is None else {"input_tokens": tokens}
        run = {name: fields.pop(name) for name in ("sequence", "run_id") if name in fields}
        still = thread("b", "idle")
        return changed(load(home, minute, thread("a", usage=usage, **fields), still, **run))

    assert poll(0, None) == (2, 0, 0)
    assert poll(10, 1) == (0, 1, 1)
    assert poll(20, 2) == (0, 0, 2)
    assert poll(30, 3, name="n") == (0, 1, 1)
    assert poll(90.4, 4, name="n") == (0, 0, 2)
    assert poll(90.5, 5, name="n") == (0, 1, 1)
    assert poll(20, 6, name="n", sequence=9000, run_id="r") == (0, 1, 1)
    query = "SELECT usage, last_changed_at FROM threads WHERE thread_id = 'a'"
    assert read(home, query) == [{"usage": '{"input_tokens":6}', "last_changed_at": at(20.5)}]


def test_the_oldest_number_of_a_session_counts(home: Path) -> None:
    """A change of one thread does not put off the hour of another."""
    load(home, 0, thread("a", usage={"n": 1}), thread("b", usage={"n": 1}))
    load(home, 50, thread("a", usage={"n": 2}, name="x"), thread("b", usage={"n": 2}))
    row = load(home, 70, thread("a", usage={"n": 3}, name="x"), thread("b", usage={"n": 3}))
    assert changed(row) == (0, 1, 1)
    assert read(home, "SELECT usage FROM threads ORDER BY thread_id") == [
        {"usage": '{"n":2}'},
        {"usage": '{"n":3}'},
    ]
