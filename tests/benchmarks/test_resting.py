"""What is simulated of resting holds in a few worlds; `python -m benchmarks.resting` takes more."""

from __future__ import annotations

import pytest

from benchmarks.resting.simulation import KINDS, POLLS_A_DAY, Kind, simulate

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
