"""What a server may make as many of as it likes: statuses, drift, and what a thread holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipelines.files import list_statuses
from tests.builders import build, land, load_all, thread

if TYPE_CHECKING:
    from pathlib import Path


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
