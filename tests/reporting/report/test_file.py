"""Where the report lies, and what the command and the asset say of it."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.errors import LandingError, ReportError, WarehouseError
from pipelines.reporting.report.file import write_whole
from tests.reporting.report.pages import draw_report, publish_world
from tests.warehouse.worlds import World, state

pytestmark = pytest.mark.slow  # together they take long

COMMAND = Path(sys.executable).parent / "session-threads"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory with a published copy of one thread, polled at 07:00."""
    world = World()
    world.poll(7 * 60, state("t1"))
    return publish_world(tmp_path_factory.mktemp("published") / "home", world)


@pytest.fixture
def home(published: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the data directory be the published one, without reports."""
    for path in published.glob("reports/*"):
        path.unlink()
    monkeypatch.setenv("SESSION_THREADS_HOME", str(published))
    return published


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [COMMAND, "report", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def find_reports(home: Path) -> list[str]:
    """Return the names of all files beside the reports."""
    return sorted(path.name for path in (home / "reports").iterdir())


def test_command(home: Path) -> None:
    """`session-threads report` says where the page lies: named by its time, for its owner alone."""
    done = run()
    path = home / "reports" / "threads-20261001T070000Z.html"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"report: {path}\n", "")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert find_reports(home) == [path.name]
    modes = [oct(place.stat().st_mode & 0o777) for place in (path, path.parent)]
    assert modes == ["0o600", "0o700"]


def test_command_with_nothing_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a published copy the command says in one line what to run first, and ends with 4."""
    monkeypatch.setenv("SESSION_THREADS_HOME", str(tmp_path / "new"))
    done = run("--out", str(tmp_path / "page.html"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    assert "nothing is published yet. Run `session-threads run` first" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_file_keeps_its_mode(tmp_path: Path) -> None:
    """A file that is there is replaced and stays as readable as it was, also behind a link."""
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("before")
    page.chmod(0o644)
    link.symlink_to(page)
    write_whole(link, "after")
    assert link.is_symlink()
    assert page.read_text() == "after"
    assert oct(page.stat().st_mode & 0o777) == "0o644"
    assert sorted(tmp_path.iterdir()) == [link, page]


def test_out_in_no_directory(home: Path, tmp_path: Path) -> None:
    """A directory that is not there is named, with what to do."""
    out = tmp_path / "nowhere" / "page.html"
    problem = re.escape(f"{out}: cannot be written (No such file or directory)")
    with pytest.raises(ReportError, match=f"{problem}.*--out"):
        draw_report(home, out)


def test_no_directory_for_reports(home: Path) -> None:
    """What stands in the way of the directory of reports is named."""
    blocked = home / "reports"
    blocked.rmdir() if blocked.is_dir() else None
    blocked.write_text("no directory")
    try:
        with pytest.raises(LandingError, match=re.escape(f"{blocked}: cannot be made")):
            draw_report(home)
    finally:
        blocked.unlink()


def test_no_room(tmp_path: Path) -> None:
    """Where there is no room the previous page stays, and nothing unfinished beside it."""
    path = tmp_path / "page.html"
    path.write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_whole(path, "after" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk(home: Path) -> None:
    """A full disk is named as such."""
    with pytest.raises(ReportError, match="No space left on device"):
        draw_report(home, Path("/dev/full"))


@pytest.mark.parametrize(
    ("drop", "missing"),
    [("DROP TABLE analytics.survival", "survival"), ("DROP VIEW staleness", "staleness")],
)
def test_copy_of_an_older_version(tmp_path: Path, drop: str, missing: str) -> None:
    """A copy that lacks an analysis, or what is new, is named as such, with the fix."""
    home = publish_world(tmp_path / "home", World())
    run_on_copy = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
    copy = home / "threads.duckdb"
    subprocess.run([sys.executable, "-c", run_on_copy, copy, drop], check=True, timeout=60)
    with pytest.raises(ReportError, match=rf"{missing}.*`session-threads run` builds it, or says"):
        draw_report(home)


def test_asset(home: Path) -> None:
    """The job `write_report` keeps one page, replaced each time, and says how large it is."""
    job = defs().resolve_job_def("write_report")
    (event,) = job.execute_in_process().asset_materializations_for_node("report")
    path = home / "reports" / "threads.html"
    assert find_reports(home) == [path.name]
    assert event.metadata == {
        "path": dg.MetadataValue.path(str(path)),
        "bytes": dg.MetadataValue.int(path.stat().st_size),
    }


def test_asset_with_nothing_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be drawn fails its own job alone."""
    monkeypatch.setenv("SESSION_THREADS_HOME", str(tmp_path / "new"))
    with pytest.raises(WarehouseError, match="nothing is published yet"):
        defs().resolve_job_def("write_report").execute_in_process()


def test_the_main_job_imports_no_charts() -> None:
    """What every run imports is free of Altair, which takes half a second."""
    check = "import sys, pipelines.reporting.report.file; sys.exit('altair' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
