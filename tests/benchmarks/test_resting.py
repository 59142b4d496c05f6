"""What is simulated of resting holds in a few worlds; `python -m benchmarks.resting` takes more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from benchmarks.quiet import QuietFleet
from benchmarks.resting.__main__ import measure, simulate_all
from benchmarks.resting.requests import configure
from benchmarks.resting.simulation import KINDS, POLLS_A_DAY, Kind, simulate
from pipelines import steps
from pipelines.sandbox.server import serve
from tests.support import read_table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # ten days of polls

NEVER_TRUSTED = {"says nothing", "misses one change in ten", "always running"}


@pytest.mark.parametrize("seed", range(3))
def test_trust(seed: int) -> None:
    """Whoever announces its changes is trusted, soon after three days, and saves most requests.

    Whoever announces none, or misses one in ten, is not trusted for two days; and in no poll is
    anything known wrong, or older than it may be, which the simulation itself checks.
    """
    found = {kind.name: simulate(kind, 20, 0.02, seed) for kind in KINDS}
    misses = {kind.name: kind.missed > 0 for kind in KINDS}
    assert {name: each["found"] is not None for name, each in found.items()} == misses
    assert all(found[name]["longest"] < 2 for name in NEVER_TRUSTED)
    honest = {"honest", "lags by ten seconds", "all change while they are listed"}
    assert all(3 <= found[name]["first"] < 4 for name in honest)
    assert found["honest"]["asked"] < 0.1
    assert found["all change while they are listed"]["asked"] == 1


def test_lies_are_found() -> None:
    """A source that begins to miss one change in three is trusted no more within a day."""
    liar = Kind("honest for five days", missed=1 / 3, lies_after=5)
    found = simulate(liar, 20, 0.05, 1)
    assert found["first"] < 4
    assert found["found"] < POLLS_A_DAY
    assert found["first"] + found["longest"] < 6


def test_worlds_are_kept(tmp_path: Path) -> None:
    """A world that was simulated is not simulated again; what became of all makes the row."""
    kept, world = tmp_path / "kept.jsonl", ("says nothing", 20, 0.05, 0)
    found = simulate_all([world], kept)
    text = kept.read_text(encoding="utf-8")
    assert simulate_all([world], kept) == found
    assert kept.read_text(encoding="utf-8") == text
    row = measure(*world[:3], [found[world]] * 2)
    polls = found[world]["found"]
    assert (row["seeds"], row["found"], row["found_polls"]) == (2, 1, [polls] * 3)
    assert (row["trusted"], row["first_days"], row["asked"]) == (0, None, None)


def test_quiet_fleet(tmp_path: Path) -> None:
    """The server of the benchmarks says what a right copy holds, and changes as it is asked to."""
    fleet = QuietFleet(90, 3, timedelta(hours=2))
    query = "SELECT status, count(*) AS threads FROM threads GROUP BY status"
    with serve(fleet, is_dated=False) as base_url:
        settings = configure(tmp_path, base_url)
        for changed in (0, 1):
            fleet.move(15, 1, changed)
            choices = steps.run(settings).choices
            truth = fleet.take_truth()
            rows = read_table(tmp_path / "threads.duckdb", query)
            assert {row["status"]: row["threads"] for row in rows} == truth.statuses
            assert (len(choices), truth.requests) == (3, 4)
            assert [choice.reason for choice in choices].count("changed") == changed
