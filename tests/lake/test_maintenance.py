"""Maintenance: files and snapshots stay few, rows and readers as they are, others' files too."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipelines import clock
from pipelines.errors import WarehouseError
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.warehouse.analyses import choose_analyses, list_analyses
from pipelines.warehouse.ducklake import DuckLake
from pipelines.warehouse.lake_files import OWNER, list_files
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.replay import replay
from tests.builders import land, thread
from tests.lake.tables import OF_THE_CLOCK, load, read_all
from tests.support import CANARY, invoke

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.config.lake import Lake

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement
LATER = timedelta(days=8)


def list_generations(lake: Lake) -> set[str]:
    """Return the first parts of the paths of a lake's files."""
    return {path.partition("/")[0] for path, _ in list_files(lake)} - {OWNER}


@pytest.mark.parametrize("place", ["s3"])
def test_maintenance(lake: Lake, tmp_path: Path) -> None:
    """It leaves a file or none of each table and one snapshot, the same rows, and open readers.

    Files of the previous generation and of no table go after a day; what is published stays.
    """
    warehouse = DuckLake(tmp_path, lake)
    analyses = choose_analyses(list_analyses(), "thread_durations")
    for minute in range(2):
        land(tmp_path, minute, *(thread(f"t{n}", f"s{minute}") for n in range(3)))
        load(warehouse, tmp_path, analyses)
    before = read_all(warehouse)
    reader = warehouse.attach()
    done = warehouse.maintain(clock.now())
    assert done.before.snapshots < done.after.snapshots  # none is old
    assert read_all(warehouse) == before
    assert reader.execute("SELECT count(*) FROM threads").fetchall() == [(3,)]
    reader.close()
    done = warehouse.maintain(clock.now() + LATER)
    assert done.after.snapshots <= 2
    assert done.after.files <= len(before) + len(OF_THE_CLOCK)
    assert read_all(warehouse) == before
    replay(warehouse, Directory(tmp_path / RAW))
    load(warehouse, tmp_path, analyses)
    assert list_generations(lake) == {"1", "2"}
    warehouse.maintain(clock.now())
    assert list_generations(lake) == {"1", "2"}  # they may still be read
    warehouse.maintain(clock.now() + LATER)
    assert list_generations(lake) == {"2"}
    assert read_all(warehouse) == before


def test_changed_threads(lake: Lake, tmp_path: Path) -> None:
    """A few threads that change every day leave no more files than the day before."""
    warehouse, files = DuckLake(tmp_path, lake), []
    for day in range(4):
        threads = [thread(f"t{n}", "idle" if n == day else "running") for n in range(20)]
        land(tmp_path, 1440 * day, *threads)
        load(warehouse, tmp_path)
        files.append(warehouse.maintain(clock.now() + LATER).after.files)
    assert files[-1] == files[-2]


def test_unpublished_loads(lake: Lake, tmp_path: Path) -> None:
    """What is loaded and not published is compacted, and readers do not see it."""
    warehouse = DuckLake(tmp_path, lake)
    land(tmp_path, 0, thread("a"))
    load(warehouse, tmp_path)
    before = read_all(warehouse)
    land(tmp_path, 1, thread("a"), thread("b"))
    with warehouse.write() as tables:
        load_landed(tables, Directory(tmp_path / RAW))
    warehouse.maintain(clock.now() + LATER)
    assert read_all(warehouse) == before
    load(warehouse, tmp_path)
    assert len(read_all(warehouse)["main.threads"]) == 2


@pytest.mark.parametrize("place", ["s3"])
def test_files_of_another_lake(make_lake: Callable[[str], Lake], tmp_path: Path) -> None:
    """A path that another catalog uses is rejected by whatever writes, and nothing is removed."""
    first = make_lake("team_a")
    land(tmp_path, 0, thread("a"))
    load(DuckLake(tmp_path, first), tmp_path)
    before = read_all(DuckLake(tmp_path, first))
    second = msgspec.structs.replace(make_lake("team_b"), data=first.data)
    other = DuckLake(tmp_path, second)
    for act in (lambda: other.maintain(clock.now() + LATER), lambda: load(other, tmp_path)):
        with pytest.raises(WarehouseError, match=r"is another lake's. Give each lake a path; if"):
            act()
    assert read_all(DuckLake(tmp_path, first)) == before
    assert len(list(list_files(first))) > 0


def test_command(lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`maintain` says what there was and is; of a file, that there is nothing to do."""
    said = invoke("maintain")
    assert (said.returncode, said.stdout) == (
        0,
        f"nothing to do: the tables are in a file of {home}\n",
    )
    catalog = lake.catalog.model_dump(by_alias=True)
    settings = {"warehouse": {"lake": {"catalog": catalog, "data": lake.data}}}
    file = tmp_path / "lake.yaml"
    file.write_bytes(msgspec.json.encode(settings))
    file.chmod(0o600)
    monkeypatch.setenv("SESSION_THREADS_CONFIG", str(file))
    monkeypatch.setenv("LAKE_PASSWORD", CANARY)
    said = invoke("maintain")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("maintained: ")
    assert said.stdout.endswith(f"Data: {lake.name}\n")
