"""What is removed: by the order of runs and by what they say of time together, by no clock."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.landing.directory import RAW, list_runs
from pipelines.landing.store import Directory
from pipelines.warehouse.ledger import read_ages
from pipelines.warehouse.schema import migrate
from tests.builders import as_path, at, land, load_all, thread

if TYPE_CHECKING:
    from pathlib import Path

DAY = 24 * 60
YEAR, UNSET = 365, -20_727
# When ten runs began, in days, by clocks that may be wrong, and how many are not older than three.
CLOCKS = {
    "right": (range(10), 4),
    "a year ahead at last": ([*range(9), 9 + YEAR], 4),
    "a year ahead from the middle": ([*range(5), *(day + YEAR for day in range(5, 10))], 4),
    "a year ahead once": ([0, 1, 2, 3, 4, 5 + YEAR, 6, 7, 8, 9], 5),
    "back and forth": ([day + day % 2 * YEAR for day in range(10)], 7),
    "a year behind at last": ([*range(9), 9 - YEAR], 10),
    "1970 at last": ([*range(9), UNSET], 5),
    "1970 at first": ([UNSET, *range(1, 10)], 4),
    "1970 always": ([UNSET] * 10, 10),
    "a day back": ([*range(6), 5, 6, 7, 8], 5),
    "long pauses": ([100 * day for day in range(10)], 4),
}


@pytest.mark.parametrize("case", CLOCKS)
def test_ages(tmp_path: Path, case: str) -> None:
    """A clock that is wrong makes no run old: each run after it adds a day at most."""
    days, kept = CLOCKS[case]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        migrate(connection, tmp_path)
        for number, day in enumerate(days, 1):
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, '1', 'command', 0, 0, 0, 0, 0, 0)",
                [f"run-{number}", number, at(day * DAY), at(day * DAY)],
            )
        ages = read_ages(connection)
    assert [age.run_id for age in ages] == [f"run-{number}" for number in range(1, 11)]
    assert sum(age.seconds <= 3 * 86400 for age in ages) == kept
    assert all(one.seconds >= two.seconds for one, two in pairwise(ages))


def test_what_is_removed(home: Path) -> None:
    """Loaded runs go when those after them make them old: names and times of files say nothing."""
    for number in range(6):
        land(
            home,
            number * DAY,
            thread("a", updated=number),
            run_id=f"r{number}",
            sequence=number + 1,
        )
    files = [as_path(file) for file in list_runs(Directory(home / RAW)).values()]
    os.utime(files[5], (0, 0))
    os.utime(files[0], (4e9, 4e9))
    odd = {
        "s0000000001-19700101T000000000000Z-r9.parquet.aa.tmp": True,
        "s0000000009-19700101T000000000000Z-r9.parquet.aa.tmp": False,
        "s99999999999999999999-x.claim": True,
        f"s0000000001-19700101T000000000000Z-r9.s1.{'0' * 32}.parquet": True,
        f"s0000000009-19700101T000000000000Z-r9.s1.{'0' * 32}.parquet": False,
        f"19700101T000000000000Z-r9.s1.{'0' * 32}.parquet": True,
        "notes.txt": False,
    }
    for name in odd:
        (home / RAW / name).write_bytes(b"")
        os.utime(home / RAW / name, (4e9, 4e9))
    for _ in range(2):  # what is loaded now may be on no disk yet
        load_all(home, 1)
    assert list(list_runs(Directory(home / RAW))) == ["r4", "r5"]
    left = {path.name for path in (home / RAW).iterdir()}
    assert left & odd.keys() == {name for name, goes in odd.items() if not goes}
    load_all(home, None)
    assert len(list_runs(Directory(home / RAW))) == 2
