"""Raw pages on disk: whole or not at all, and read back as they were."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.errors import LandingError
from pipelines.landing import directory
from pipelines.landing import format as form
from pipelines.landing.footer import FORMAT, Footer
from pipelines.landing.format import FOOTER, PAGES, Landed
from pipelines.landing.retention import remove_unfinished
from pipelines.landing.store import Directory
from pipelines.records import Run
from tests.builders import as_file, as_path

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.landing.footer import PageRow

NOW = datetime(2026, 10, 1, 12, 0, 0, 123456, tzinfo=UTC)
ROWS = [
    ("qoder", "threads", "s1", 1, None, NOW, 200, b'{"data": []}'),
    ("qoder", "threads", "s1", 2, "page=x", NOW, 200, b"\x00\xff"),
]


def write_run(place: Path, footer: Footer, rows: list[PageRow]) -> Path:
    """Write a run into a directory; return its file."""
    return as_path(form.write_run(Directory(place), footer, rows))


def read_run(path: Path) -> Landed:
    """Read a run's file."""
    return form.read_run(as_file(path))


def list_runs(place: Path) -> dict[str, Path]:
    """Return the runs of a directory, and their files."""
    runs = directory.list_runs(Directory(place))
    return {run_id: as_path(file) for run_id, file in runs.items()}


def make_footer(run_id: str = "run-1", second: int = 0) -> Footer:
    """Return the footer of a run without polls."""
    return Footer(Run(id=run_id, started_at=NOW.replace(second=second), finished_at=NOW), [])


def test_round_trip(tmp_path: Path) -> None:
    """A run is read back as it was written: pages, types, bodies to the byte, and footer."""
    path = write_run(tmp_path / "raw", make_footer(), list(ROWS))
    landed = read_run(path)
    assert landed.run == make_footer().run
    assert landed.pages.schema == PAGES
    assert landed.pages.rows() == ROWS
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_empty_run(tmp_path: Path) -> None:
    """A run without a page has the same columns."""
    assert read_run(write_run(tmp_path, make_footer(), [])).pages.schema == PAGES


def test_runs_are_listed_as_they_began(tmp_path: Path) -> None:
    """Runs are listed in the order in which they began; half-written files are not."""
    for second, run_id in ((5, "b-2"), (1, "c-3"), (9, "a-1")):
        write_run(tmp_path, make_footer(run_id, second), [])
    (tmp_path / "20200101T000000000000Z-half.tmp").write_bytes(b"")
    assert list(list_runs(tmp_path)) == ["c-3", "b-2", "a-1"]
    assert list_runs(tmp_path / "none") == {}


def test_files_finished_meanwhile_are_no_leftovers(tmp_path: Path) -> None:
    """Another run may finish its file while leftovers are looked for."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            write_run(tmp_path, make_footer(), list(ROWS))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3000):
            remove_unfinished(Directory(tmp_path), [])
    finally:
        done.set()
        writer.join()
    assert len(list_runs(tmp_path)) == 1


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """Where the file cannot be written the error names it, and nothing is left behind."""
    path = write_run(tmp_path, make_footer(), list(ROWS))
    path.unlink()
    path.mkdir()
    (path / "in_the_way").touch()
    with pytest.raises(LandingError, match=r"run-1\.\w+\.parquet: cannot be written"):
        write_run(tmp_path, make_footer(), list(ROWS))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("body", [b"", b"PAR1", b"no parquet at all" * 100])
def test_damaged_files(tmp_path: Path, body: bytes) -> None:
    """A damaged file is named, with what to do."""
    path = tmp_path / "x-1.parquet"
    path.write_bytes(body)
    with pytest.raises(LandingError, match=r"x-1\.parquet: not a landed run.*Move it away"):
        read_run(path)


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    """Whatever happens to a landed file's bytes, it is named and nobody reads them."""
    rows = [
        ("qoder", "threads", "s1", page, None, NOW, 200, b"%d" % page * 99) for page in range(300)
    ]
    path = write_run(tmp_path, make_footer(), list(rows))
    content = path.read_bytes()
    draw = random.Random(1)  # noqa: S311 - places, not secrets
    for _ in range(300):
        place = draw.randrange(len(content))
        flipped = content[place] ^ 1 << draw.randrange(8)
        for damaged in (
            content[:place],
            content[:place] + bytes([flipped]) + content[place + 1 :],
        ):
            path.write_bytes(damaged)
            with pytest.raises(LandingError, match="damaged"):
                read_run(path)
    path.write_bytes(content)
    assert read_run(path).pages.rows() == rows


def test_files_of_before(tmp_path: Path) -> None:
    """A file whose name holds no digest is read as it always was; a panic of polars is damage."""
    path = write_run(tmp_path, make_footer("run.1"), list(ROWS))
    older = path.rename(tmp_path / "20261001T120000000000Z-run.1.parquet")
    assert list_runs(tmp_path) == {"run.1": older}
    assert read_run(older).pages.rows() == ROWS
    content = older.read_bytes()
    for place in range(len(content) - 1200, len(content)):
        older.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with suppress(LandingError):
            read_run(older)


def test_foreign_files(tmp_path: Path) -> None:
    """A Parquet file of something else, or of a newer format, is named too."""
    path = tmp_path / "x-1.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(LandingError, match="not a landed run"):
        read_run(path)
    pl.DataFrame({"a": [1]}).write_parquet(path, metadata={FOOTER: "{}"})
    with pytest.raises(LandingError, match="not a landed run"):
        read_run(path)
    newer = Footer(make_footer().run, [], format=FORMAT + 1)
    with pytest.raises(LandingError, match="newer version"):
        read_run(write_run(tmp_path, newer, []))
