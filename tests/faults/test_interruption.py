"""Ctrl-C and SIGTERM: a run that is ended, ends well."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.sandbox.world import World
from tests.support import CANARY, read_table, serve_world

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).parent / "session-threads")


def interrupt(send: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """Begin a run, end it when its first session is through; return exit status and last line."""
    with subprocess.Popen(
        [COMMAND, "run", "--verbose"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert ": complete, " in process.stderr.readline()
        time.sleep(1)  # until the others are at their second or third page
        send(process)
        rest = process.stderr.read()
        status = process.wait(60)
    assert "Traceback" not in rest
    assert CANARY not in rest
    return status, rest.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal(home: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The first signal ends the polls: what had come is loaded, and the ledger says the rest."""
    Path("sessions.yaml").write_text("sources: [{min_page_interval_ms: 500, sessions: [x]}]")
    world = World([1500, 1, 1400, 1300])
    with serve_world(world, monkeypatch):
        status, line = interrupt(lambda process: process.send_signal(number))
    assert status == 1
    assert "incomplete: interrupted by a signal" in line
    ledger = read_table(
        home / "threads.duckdb",
        "SELECT session_id, outcome, end_reason, error_type, pages, threads_listed "
        "FROM session_polls",
    )
    assert len(ledger) == 4
    ended = [row for row in ledger if row["outcome"] == "incomplete"]
    assert {(row["end_reason"], row["error_type"]) for row in ended} == {
        ("interrupted", "interrupted")
    }
    assert len(ended) == 3
    counts = read_table(
        home / "threads.duckdb", "SELECT session_id, count(*) AS n FROM threads GROUP BY ALL"
    )
    listed = {row["session_id"]: row["threads_listed"] for row in ledger if row["threads_listed"]}
    assert {row["session_id"]: row["n"] for row in counts} == listed
    assert sum(row["pages"] for row in ended) > 0


QUERY = """
import os, signal, threading, duckdb
from pipelines.cli.main import main

@main.command()
def endless():
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    duckdb.sql("SELECT count(*) FROM range(1_000_000_000_000) WHERE random() < 2").fetchall()

main(["endless"])
"""


def test_ctrl_c_ends_a_query() -> None:
    """Ctrl-C in a query of DuckDB, which words it its own way, ends a command as elsewhere."""
    ended = subprocess.run(
        [sys.executable, "-c", QUERY], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (130, "session-threads: interrupted\n")
