"""Killed processes, full disks, readers and rivals: the last good state stands."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.errors import WarehouseError
from pipelines.landing.directory import RAW, list_runs
from pipelines.landing.store import Directory
from pipelines.sandbox.world import World
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import land, load, load_all, publish_all, replay_all, thread
from tests.faults import loader
from tests.faults.loader import load_and_publish
from tests.support import invoke, read_table, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.sandbox.plans import ThreadPlan

COMMAND = str(Path(sys.executable).parent / "session-threads")
# Kills of whole runs, and of what a run does after its pages have landed.
RUN_KILLS = int(os.environ.get("KILLS", "2"))
LOADER_KILLS = int(os.environ.get("KILLS", "4"))
IS_SOAK = "KILLS" in os.environ
READERS = 4 if IS_SOAK else 2
# A disk may fill up while pages land, while they are loaded, or while the copy is published.
LEFT_BYTES = range(0, 2_000_000, 40_000) if IS_SOAK else [1_600_000]
LEFT_BYTES_IN_REPLAY = range(0, 4_000_000, 80_000 if IS_SOAK else 1_600_000)
KNOWN = {"raw", "threads.duckdb", "warehouse.duckdb", "warehouse.lock", "warehouse.holder"}
TABLES = {
    "threads": "SELECT * FROM threads",
    "history": "SELECT * FROM thread_status_history",
    "spells": "SELECT * FROM thread_spells",
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
    """Start a process that loads, analyses and publishes; return when it begins to."""
    process = subprocess.Popen(
        [sys.executable, loader.__file__, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def time_loader(home: Path) -> float:
    """Load, analyse and publish undisturbed; return how long it took."""
    with start_loader(home) as process:
        started = time.monotonic()
        assert process.wait(60) == 0
        return time.monotonic() - started


def kill_after(process: subprocess.Popen[Any], seconds: float) -> bool:
    """Kill a process after a time; return whether it had not ended by itself."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_random_moments(home: Path, tmp_path: Path) -> None:
    """After kills at any moment of load, analyses and publication the tables come out the same."""
    draw = random.Random(7)  # noqa: S311 - moments, not secrets
    land_past(home, 0)
    span = time_loader(home)
    number = killed = 0
    while killed < LOADER_KILLS:
        number += 1
        land_past(home, number)
        with start_loader(home) as process:
            killed += kill_after(process, draw.random() * span)
    load_and_publish(home)
    assert_undisturbed(home, tmp_path / "undisturbed")
    assert {path.name for path in home.iterdir()} == KNOWN


def test_killed_before_a_publication(home: Path, tmp_path: Path) -> None:
    """What is loaded and not published is in no file: the next run loads it from its pages."""
    land_past(home, 0)
    load_and_publish(home)
    before = (home / "warehouse.duckdb").read_bytes()
    land_past(home, 1)
    script = (
        "import os; from pathlib import Path; from pipelines.landing.directory import RAW;"
        "from pipelines.landing.store import Directory;"
        "from pipelines.warehouse.duckdb_file import DuckdbFile;"
        "from pipelines.warehouse.load import load_landed;"
        f"home = Path({str(home)!r}); opened = DuckdbFile(home).write();"
        "tables = opened.__enter__();"
        "load_landed(tables, Directory(home / RAW));"
        "assert tables.execute('SELECT count(*) FROM runs').fetchall() == [(2,)];"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (home / "warehouse.duckdb").read_bytes() == before
    load_and_publish(home)
    assert_undisturbed(home, tmp_path / "undisturbed")
    assert {path.name for path in home.iterdir()} == KNOWN


WITH_LOG = """
import os, sys
from pathlib import Path
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_all
from pipelines.warehouse.duckdb_file import open_tables
from pipelines.warehouse.load import load_landed
home = Path(sys.argv[1])
with open_tables(home / "warehouse.duckdb", mode="READ_WRITE") as tables:
    load_landed(tables, Directory(home / RAW))
    build_all(tables, list_analyses())
    os.kill(os.getpid(), 9)
"""


WITHOUT_LOG = """
import sys
from pathlib import Path
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.load import load_landed
home = Path(sys.argv[1])
with DuckdbFile(home).write() as tables:
    load_landed(tables, Directory(home / RAW))
    DuckdbFile(home).publish(tables)
"""


@pytest.mark.parametrize("cut", [0, 10, 100, 10**6])
def test_killed_with_a_log(home: Path, tmp_path: Path, cut: int) -> None:
    """What an older version's log holds is taken over, even if it ends in the middle."""
    land_past(home, 0)
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    land_past(home, 1)
    subprocess.run([sys.executable, "-c", WITH_LOG, str(home)], check=False)
    log = home / "warehouse.duckdb.wal"
    os.truncate(log, max(log.stat().st_size - cut, 20))
    land_past(home, 2)
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    assert_undisturbed(home, tmp_path / "undisturbed")
    assert {path.name for path in home.iterdir()} == KNOWN


ENDED_IN_THE_MAKING = """
import resource, sys
from pathlib import Path
from pipelines.warehouse.duckdb_file import DuckdbFile
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
with DuckdbFile(Path(sys.argv[1])).write():
    pass
"""


@pytest.mark.parametrize("size", [100, 8192, 12288, 100_000])
def test_ended_while_the_file_is_made(home: Path, tmp_path: Path, size: int) -> None:
    """A file of tables is made whole or not at all: the next run can open it."""
    land_past(home, 0)
    script = [sys.executable, "-c", ENDED_IN_THE_MAKING, str(home), str(size)]
    assert subprocess.run(script, check=False, capture_output=True).returncode == 1
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    assert_undisturbed(home, tmp_path / "undisturbed")
    assert {path.name for path in home.iterdir()} == KNOWN


def test_a_log_and_a_full_disk(home: Path, tmp_path: Path) -> None:
    """It stays until there is room for what it holds; no advice is to move the file away."""
    land_past(home, 0)
    subprocess.run([sys.executable, "-c", WITH_LOG, str(home)], check=False)
    log = home / "warehouse.duckdb.wal"
    content = log.read_bytes()
    script = [sys.executable, "-c", ENDED_IN_THE_MAKING, str(home), "20000"]
    ended = subprocess.run(script, check=False, capture_output=True, text=True)
    assert "What was not finished is undone" in ended.stderr
    assert "damaged" not in ended.stderr
    assert log.read_bytes() == content
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    assert_undisturbed(home, tmp_path / "undisturbed")


def test_log_of_a_file_that_was_moved_away(home: Path, tmp_path: Path) -> None:
    """It does not belong to the file that is made in its place."""
    land_past(home, 0)
    subprocess.run([sys.executable, "-c", WITH_LOG, str(home)], check=False)
    (home / "warehouse.duckdb").unlink()
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    assert_undisturbed(home, tmp_path / "undisturbed")


def test_log_of_a_file_on_another_disk(home: Path, tmp_path: Path) -> None:
    """DuckDB puts it where a link leads to: it is taken over there, and the link stays one."""
    home.mkdir(exist_ok=True)
    disk = tmp_path / "disk"
    link = home / "warehouse.duckdb"
    link.symlink_to(disk / "tables.duckdb")
    with pytest.raises(WarehouseError, match="No such file or directory"):
        DuckdbFile(home).prepare()
    assert link.is_symlink()
    disk.mkdir()
    land_past(home, 0)
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    land_past(home, 1)
    subprocess.run([sys.executable, "-c", WITH_LOG, str(home)], check=False)
    log = disk / "tables.duckdb.wal"
    os.truncate(log, log.stat().st_size - 10)
    land_past(home, 2)
    subprocess.run([sys.executable, "-c", WITHOUT_LOG, str(home)], check=True)
    assert_undisturbed(home, tmp_path / "undisturbed")
    assert link.is_symlink()
    assert [path.name for path in disk.iterdir()] == ["tables.duckdb"]


def assert_undisturbed(home: Path, other: Path) -> None:
    """Assert that the tables are those of the landed pages when nobody disturbs their loading."""
    shutil.copytree(home / RAW, other / RAW)
    load_and_publish(other)
    for name in ("warehouse.duckdb", "threads.duckdb"):
        assert dump(home / name) == dump(other / name)


class Watched(World):
    """A world that tells when somebody looks at it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen = threading.Event()

    def list_plans(self, *arguments: Any) -> list[ThreadPlan]:
        """Say that somebody looks."""
        self.seen.set()
        return super().list_plans(*arguments)

    @contextmanager
    def start_run(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start a run; go on when its first request has come."""
        self.seen.clear()
        with subprocess.Popen(
            [COMMAND, "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            assert self.seen.wait(60)
            yield process


@pytest.mark.slow
def test_killed_runs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kills at any moment of whole runs the tables are those of an undisturbed history."""
    draw = random.Random(3)  # noqa: S311 - moments, not secrets
    world = Watched([300, 40])
    with serve_world(world, monkeypatch):
        with world.start_run() as process:
            started = time.monotonic()
            assert process.wait(60) == 0
            span = time.monotonic() - started
        killed = 0
        while killed < RUN_KILLS:
            world.advance(300)
            with world.start_run() as process:
                killed += kill_after(process, draw.random() * span)
        assert invoke("run").returncode == 0
    assert_undisturbed(home, tmp_path / "undisturbed")
    runs = [row["run_id"] for row in dump(home / "threads.duckdb")["runs"]]
    assert sorted(runs) == sorted(list_runs(Directory(home / RAW)))
    assert {path.name for path in home.iterdir()} == KNOWN | {"sources"}
    # What a killed run has left, its claim of a number too, goes later (see test_replay.py).
    assert {path.suffix for path in (home / RAW).iterdir()} <= {".parquet", ".tmp", ".claim"}


READER = """
import sys, time, duckdb
while True:
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        seen = set()
        for _ in range(5):
            seen.add(connection.execute(
                "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM threads),"
                " (SELECT max(n) FROM analytics.status_distribution),"
                " (SELECT count(*) FROM thread_status_history WHERE ended_before IS NULL)"
            ).fetchone())
            time.sleep(0.02)
        (row,) = seen
        print(*row, flush=True)
"""


@pytest.mark.slow
def test_readers_and_loads(home: Path) -> None:
    """Readers query the copy during five loads: no load fails, each reader sees one whole."""
    land_past(home, 0)
    load_and_publish(home)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(home / "threads.duckdb")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(READERS)
    ]
    whole = []
    for number in range(6):
        whole.append(f"{number + 1} {400 + number} {400 + number} {400 + number}\n")
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() in whole
        if number < 5:
            land_past(home, number + 1)
            load_and_publish(home)
    for reader in readers:
        assert reader.poll() is None
        reader.kill()
        lines = reader.communicate(timeout=60)[0].splitlines(keepends=True)
        assert set(lines[:-1]) <= set(whole)


HOLDING = """
import sys, time
from pathlib import Path
from pipelines.warehouse.duckdb_file import DuckdbFile
with DuckdbFile(Path(sys.argv[1])).write() as connection:
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
    with hold(home, 60) as holder:

        def end_when_waited_for() -> None:
            while "waiting for process" not in caplog.text and holder.poll() is None:
                time.sleep(0.05)
            holder.kill()

        patient = threading.Thread(target=end_when_waited_for)
        patient.start()
        load(home, 0, thread("a"))
        patient.join()
    assert f"waiting for process {holder.pid} (-c)" in caplog.text


def test_waiting_has_a_limit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits too long gives up, names the holder, and loses nothing."""
    monkeypatch.setattr("pipelines.warehouse.lock.WAIT_LIMIT_S", 0.2)
    from pipelines.errors import WarehouseBusy  # noqa: PLC0415

    land(home, 0, thread("a"))
    with hold(home, 60) as holder:
        with pytest.raises(WarehouseBusy, match=rf"process {holder.pid} .* next run loads"):
            load_all(home)
        holder.kill()
    assert load_all(home) == ["run-0"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 64 MB; skip where the machine lets nobody mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", str(disk)]
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


@pytest.mark.slow
@pytest.mark.parametrize("leave", LEFT_BYTES)
def test_full_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch, leave: int) -> None:
    """A disk that fills up anywhere in a run: a clear line, the last good copy served."""
    home = small_disk / "data"
    monkeypatch.setenv("SESSION_THREADS_HOME", str(home))
    world = World([1500, 40])
    with serve_world(world, monkeypatch):
        assert invoke("run").returncode == 0
        before = dump(home / "threads.duckdb")
        world.advance(600)
        ballast = fill(small_disk, leave)
        result = invoke("run")
        last = result.stderr.strip().splitlines()[-1]
        if result.returncode == 0:
            pytest.fail(f"the disk was not full enough with {leave} bytes left")
        assert "Traceback" not in result.stderr
        assert last.startswith("session-threads: ")
        assert str(home) in last
        assert dump(home / "threads.duckdb") == before
        ballast.unlink()
        assert invoke("run").returncode == 0
    after = dump(home / "threads.duckdb")
    assert len(after["threads"]) >= len(before["threads"])
    assert len(after["runs"]) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("leave", LEFT_BYTES_IN_REPLAY)
def test_full_disk_in_a_replay(small_disk: Path, leave: int) -> None:
    """A disk that fills up anywhere in a replay: a clear line, or the tables as they were."""
    home = small_disk / "data"
    for number in range(6):
        land_past(home, number)
    load_all(home)
    before = dump(home / "warehouse.duckdb")
    fill(small_disk, leave)
    with suppress(WarehouseError):
        replay_all(home)
    assert dump(home / "warehouse.duckdb") == before
    assert {path.name for path in home.iterdir()} == KNOWN - {"threads.duckdb"}


@pytest.mark.slow
def test_readers_do_not_keep_old_copies_alive(home: Path) -> None:
    """A publication goes on while a thread of this process reads the copy before."""
    load(home, 0, thread("a"))
    path = publish_all(home, {})
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(read_table(path, "SELECT count(*) AS n FROM threads")[0]["n"])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 6):
        load(home, 10 * number, *(thread(f"t{i}") for i in range(number)), thread("a"))
        publish_all(home, {})
    done.set()
    reader.join()
    assert set(seen) <= {1, 2, 3, 4, 5, 6}
