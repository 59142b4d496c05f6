"""Killed processes, full disks, readers and rivals: the last good state stands."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.errors import WarehouseError
from pipelines.sandbox.world import World
from pipelines.warehouse.load import RAW, load_landed
from pipelines.warehouse.replay import replay
from tests.support import CANARY, read_table, serve_world
from tests.warehouse.test_load import land, load, thread
from tests.warehouse.test_publication import publish_all

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).parent / "session-threads")
KILLS = int(os.environ.get("KILLS", "20"))
# A disk may fill up while pages land, while they are loaded, or while the copy is published.
LEFT_BYTES = range(0, 2_000_000, 40_000) if KILLS > 20 else [0, 400_000, 1_600_000]
LEFT_BYTES_IN_REPLAY = range(0, 4_000_000, 80_000 if KILLS > 20 else 800_000)
KNOWN = {"raw", "threads.duckdb", "warehouse.duckdb", "warehouse.lock", "warehouse.holder"}
# What a run does after its pages have landed, over and over, in one process without Dagster.
LOADER = """
import sys
from pathlib import Path
from pipelines.warehouse.analyses import build_analysis, list_analyses
from pipelines.warehouse.database import open_warehouse
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish

home = Path(sys.argv[1])
print("ready", flush=True)
load_landed(home)
with open_warehouse(home) as connection:
    for analysis in list_analyses().values():
        build_analysis(connection, analysis)
publish(home, list_analyses())
"""
TABLES = {
    "threads": "SELECT * FROM threads",
    "history": "SELECT * FROM thread_status_history",
    "ledger": "SELECT * FROM session_polls",
    "runs": "SELECT * FROM runs",
    "drift": "SELECT * FROM schema_drift",
}


def dump(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table."""
    return {
        name: read_table(path, f"FROM ({query}) ORDER BY ALL") for name, query in TABLES.items()
    }


def land_past(home: Path, number: int) -> None:
    """Land one more run of a fleet that changes a little each time."""
    crowd = [
        thread(f"t{i}", "idle" if (i + number) % 9 else "running", updated=10 * number, n=i % 3)
        for i in range(400 + number)
    ]
    land(home, 10 * number, *crowd)


def start_loader(home: Path) -> subprocess.Popen[str]:
    """Start a process that loads, analyses and publishes."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOADER, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_killed_at_random_moments(home: Path, tmp_path: Path) -> None:
    """After kills at any moment of load, analyses and publication the tables come out the same."""
    draw = random.Random(7)  # noqa: S311 - moments, not secrets
    other = tmp_path / "undisturbed"
    killed = 0
    for number in range(KILLS):
        land_past(home, number)
        land_past(other, number)
        with start_loader(home) as process:
            try:
                process.wait(draw.random() * 0.6)
            except subprocess.TimeoutExpired:
                process.kill()
                killed += process.wait() == -signal.SIGKILL
    for directory in (home, other):
        with start_loader(directory) as process:
            assert process.wait(60) == 0
    assert killed >= KILLS // 2
    for name in ("warehouse.duckdb", "threads.duckdb"):
        assert dump(home / name) == dump(other / name)
    assert {path.name for path in home.iterdir()} == KNOWN


def test_killed_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole run killed anywhere, the landing included, leaves nothing the next one trips over."""
    draw = random.Random(3)  # noqa: S311 - moments, not secrets
    world = World([300, 40])
    with serve_world(world, monkeypatch):
        for _ in range(max(KILLS // 5, 3)):
            with subprocess.Popen(
                [COMMAND, "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                try:
                    process.wait(1 + draw.random() * 2)
                except subprocess.TimeoutExpired:
                    process.kill()
        result = subprocess.run([COMMAND, "run"], check=False, capture_output=True, text=True)
        assert (result.returncode, CANARY in result.stderr) == (0, False)
    tables = dump(home / "threads.duckdb")
    runs = [row["run_id"] for row in tables["runs"]]
    assert len(runs) == len(set(runs)) == len(list((home / RAW).glob("*.parquet")))
    keys = {(row["session_id"], row["thread_id"]) for row in tables["threads"]}
    assert (
        len(keys) == len(tables["threads"]) == sum(row["threads_new"] for row in tables["ledger"])
    )
    assert len(keys) >= sum(row["threads_listed"] for row in tables["ledger"][:2]) > 0
    assert {path.name for path in home.iterdir()} == KNOWN


READER = """
import sys, time, duckdb
path, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds
print("ready", flush=True)
while time.monotonic() < end:
    with duckdb.connect(path, read_only=True) as connection:
        seen = set()
        for _ in range(5):
            seen.add(connection.execute(
                "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM threads),"
                " (SELECT max(n) FROM analytics.status_distribution),"
                " (SELECT count(*) FROM thread_status_history WHERE ended_by IS NULL)"
            ).fetchone())
            time.sleep(0.02)
        (row,) = seen
        print(*row, flush=True)
"""


def test_readers_and_loads(home: Path) -> None:
    """Four readers query the copy during ten loads: no load fails, each reader sees one whole."""
    land_past(home, 0)
    with start_loader(home) as process:
        assert process.wait(60) == 0
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(home / "threads.duckdb"), "10"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    for number in range(1, 11):
        land_past(home, number)
        with start_loader(home) as process:
            assert process.wait(60) == 0
    whole = {f"{n + 1} {400 + n} {400 + n} {400 + n}" for n in range(11)}
    for reader in readers:
        lines = reader.communicate(timeout=60)[0].split("\n")
        assert reader.returncode == 0
        assert len(lines) > 3
        assert set(lines) - {""} <= whole


HOLDING = """
import sys, time
from pathlib import Path
from pipelines.warehouse.database import open_warehouse
with open_warehouse(Path(sys.argv[1])) as connection:
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(home: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a process that has the warehouse open for so long."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(home), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_second_writer_waits(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A second writer waits for the first, and says for whom."""
    with hold(home, 2) as holder:
        started = time.monotonic()
        load(home, 0, thread("a"))
        assert time.monotonic() - started > 0.5
    assert f"waiting for process {holder.pid} (-c)" in caplog.text


def test_waiting_has_a_limit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits too long gives up, names the holder, and loses nothing."""
    monkeypatch.setattr("pipelines.warehouse.database.WAIT_LIMIT_S", 0.2)
    from pipelines.errors import WarehouseBusy  # noqa: PLC0415
    from pipelines.warehouse.load import load_landed  # noqa: PLC0415

    land(home, 0, thread("a"))
    with hold(home, 60) as holder:
        with pytest.raises(WarehouseBusy, match=rf"process {holder.pid} .* next run loads"):
            load_landed(home)
        holder.kill()
    assert load_landed(home) == ["run-0"]


def test_two_runs_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs at once end as one after the other."""
    world = World([150, 3])
    with serve_world(world, monkeypatch):
        both = [
            subprocess.Popen([COMMAND, "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        for process in both:
            process.communicate(timeout=120)
            assert process.returncode == 0
    tables = dump(home / "threads.duckdb")
    assert (len(tables["runs"]), len(tables["ledger"])) == (2, 4)
    assert sum(row["threads_new"] for row in tables["ledger"]) == len(tables["threads"]) > 100


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 24 MB; skip where the machine lets nobody mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill the disk up to so many bytes."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("wb") as file:
        file.write(b"x" * max(free - leave, 0))
    return ballast


@pytest.mark.parametrize("leave", LEFT_BYTES)
def test_full_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch, leave: int) -> None:
    """A disk that fills up anywhere in a run: a clear line, the last good copy served."""
    home = small_disk / "data"
    monkeypatch.setenv("SESSION_THREADS_HOME", str(home))
    world = World([1500, 40])
    with serve_world(world, monkeypatch):
        run = [COMMAND, "run"]
        assert subprocess.run(run, check=False, capture_output=True).returncode == 0
        before = dump(home / "threads.duckdb")
        world.advance(600)
        ballast = fill(small_disk, leave)
        result = subprocess.run(run, check=False, capture_output=True, text=True)
        last = result.stderr.strip().splitlines()[-1]
        if result.returncode == 0:
            pytest.fail(f"the disk was not full enough with {leave} bytes left")
        assert "Traceback" not in result.stderr
        assert last.startswith("session-threads: ")
        assert str(home) in last
        assert dump(home / "threads.duckdb") == before
        ballast.unlink()
        assert subprocess.run(run, check=False, capture_output=True).returncode == 0
    after = dump(home / "threads.duckdb")
    assert len(after["threads"]) >= len(before["threads"])
    assert len(after["runs"]) >= 2


@pytest.mark.parametrize("leave", LEFT_BYTES_IN_REPLAY)
def test_full_disk_in_a_replay(small_disk: Path, leave: int) -> None:
    """A disk that fills up anywhere in a replay: a clear line, or the tables as they were."""
    home = small_disk / "data"
    for number in range(6):
        land_past(home, number)
    load_landed(home)
    before = dump(home / "warehouse.duckdb")
    fill(small_disk, leave)
    with suppress(WarehouseError):
        replay(home)
    assert dump(home / "warehouse.duckdb") == before
    assert {path.name for path in home.iterdir()} == KNOWN - {"threads.duckdb"}


def test_readers_do_not_keep_old_copies_alive(home: Path) -> None:
    """A publication goes on while a thread of this process reads the copy before."""
    load(home, 0, thread("a"))
    path = publish_all(home)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(read_table(path, "SELECT count(*) AS n FROM threads")[0]["n"])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 6):
        load(home, 10 * number, *(thread(f"t{i}") for i in range(number)), thread("a"))
        publish_all(home)
    done.set()
    reader.join()
    assert set(seen) <= {1, 2, 3, 4, 5, 6}
