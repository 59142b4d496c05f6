"""What the pages for people on call print works, and what is deployed is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pipelines.config.settings import Settings
from pipelines.sandbox.world import World
from tests.support import BIN, ROOT, read_blocks, read_table, run_printed, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"
UNITS = sorted((DOCS / "deploy").glob("session-threads*"))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """Return a directory in which the pages' shell commands have been run, and their output."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        path = tmp_path_factory.mktemp("operator")
        monkeypatch.chdir(path)
        for variable in ("DAGSTER_HOME", "SESSION_THREADS_HOME", "SESSION_THREADS_CONFIG"):
            monkeypatch.delenv(variable, raising=False)
        with serve_world(World([0, 40]), monkeypatch):
            blocks = [
                block
                for page in ("operating.md", "troubleshooting.md")
                for block in read_blocks(DOCS / page, "sh")
            ]
            yield path, [run_printed("bash", "-euo", "pipefail", "-c", block) for block in blocks]


@pytest.mark.slow
def test_shell_commands(printed: tuple[Path, list[str]]) -> None:
    """Every shell command works in the order of the pages; a backup restores what it held."""
    path, _ = printed
    (row,) = read_table(path / "data" / "threads.duckdb", "SELECT count(*) AS runs FROM runs")
    assert row == {"runs": 2}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "number"), [("run", 0), ("status", 1)])
def test_keys_for_machines(printed: tuple[Path, list[str]], command: str, number: int) -> None:
    """The keys of a JSON document are those that the page names, and no others."""
    text = (DOCS / "operating.md").read_text(encoding="utf-8")
    table = text.split(f"| key of `{command}` | holds |")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", table, flags=re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    document = json.loads(printed[1][0].splitlines()[number])
    assert document.keys() == named
    assert len(document["sessions"]) == 2
    if command == "status":
        (line,) = [line for line in table.splitlines() if line.startswith("| `sessions`")]
        assert all(f"`{key}`" in line for key in document["sessions"][0])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units(unit: Path) -> None:
    """Each unit starts what is installed, as a separate user, and is named by the page."""
    text = unit.read_text(encoding="utf-8")
    commands = re.findall(r"^ExecStart=/srv/threads/\.venv/bin/(\S+)", text, flags=re.MULTILINE)
    assert all((BIN / command).exists() for command in commands)
    assert unit.suffix == ".timer" or (len(commands) == 1 and "\nUser=threads\n" in text)
    assert f"(deploy/{unit.name})" in (DOCS / "operating.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """Every line of the units is one that systemd knows."""
    copies = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        text = unit.read_text(encoding="utf-8")
        copy.write_text(re.sub(r"/srv/threads/\.venv/bin/\S+", "/bin/true", text), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_timer_keeps_to_the_interval() -> None:
    """The timer polls as often as `status` expects by default."""
    timer = (DOCS / "deploy" / "session-threads.timer").read_text(encoding="utf-8")
    minutes = Settings.model_fields["poll_interval_minutes"].default
    assert f"OnCalendar=*:0/{minutes}\n" in timer


def test_containerfile() -> None:
    """The container is made of files that are there, from the lock, and runs as no root."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) /build\S*$", text, flags=re.MULTILINE)
    assert all((ROOT / name).exists() for names in copied for name in names.split())
    assert "pip install --require-hashes -r /build/requirements.lock" in text
    assert re.search(r"^USER (?!root)", text.split("FROM")[-1], flags=re.MULTILINE)
