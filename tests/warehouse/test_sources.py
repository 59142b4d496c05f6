"""A source has a rate, which one process keeps: no two ask it at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from pydantic import SecretStr

from pipelines.errors import SourceBusy, WarehouseBusy
from pipelines.sandbox.server import serve
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.lock import lock, lock_sources
from tests.support import CANARY, Script, invoke, make_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOLDING = """
import sys
from pathlib import Path
from types import SimpleNamespace
from pipelines.warehouse.lock import lock_sources
with lock_sources(Path(sys.argv[1]), [SimpleNamespace(name="qoder")]):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_one_process_asks(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While another process polls it, nothing is asked, and a line says who polls.

    The source is free within a second of the end of that process, however it ends.
    """
    monkeypatch.setattr("pipelines.warehouse.lock.WAIT_LIMIT_S", 0.2)
    server = Script({"data": [], "has_more": False})
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLDING, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder,
        serve(server.app) as base_url,
    ):
        assert holder.stdout is not None
        holder.stdout.readline()
        variables = {
            "QODER_BASE_URL": base_url,
            "QODER_PAT": "pt-made-up",
            "QODER_SESSION_IDS": "sess_1",
        }
        polls = f"source qoder: process {holder.pid} (-c) polls it"
        for command, status in (("run", 4), ("plan", 4)):
            result = invoke(command, **variables)
            assert result.returncode == status
            assert f"source qoder: waiting for process {holder.pid} (-c)" in caplog.text
            assert f"session-threads: {polls}. It has not ended within 0 s" in result.stderr
        assert f"{polls} now, and is not asked" in invoke("check", **variables).stdout
        assert server.requests == []

        warehouse, others = DuckdbFile(home), [make_source(name="another")]
        with warehouse.hold_sources(others, wait_s=0):  # another source is free
            pass
        holder.kill()
        with warehouse.hold_sources([make_source(name="qoder")], wait_s=1):
            pass


@pytest.mark.parametrize(
    ("file", "hold"),
    [
        ("warehouse.lock", lock),
        ("sources/qoder.lock", partial(lock_sources, sources=[make_source(name="qoder")])),
    ],
)
def test_previous_holder(home: Path, file: str, hold: Callable[..., Any]) -> None:
    """One that has released a lock is not named as the holder while the next has not said who."""
    with hold(home):
        pass
    with (
        FileLock(home / file),
        pytest.raises((WarehouseBusy, SourceBusy), match=": another process "),
        hold(home, wait_s=0),
    ):
        pass
    with hold(home), pytest.raises((WarehouseBusy, SourceBusy), match=f": process {os.getpid()} "):
        hold(home, wait_s=0).__enter__()


@pytest.mark.parametrize("hold", [lock, partial(lock_sources, sources=[make_source(name="qoder")])])
def test_name_of_a_holder_waits_for_no_disk(
    home: Path, hold: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a lock is of use only as long as the process lives: it need not survive more."""
    synchronized: list[int] = []
    monkeypatch.setattr(os, "fsync", synchronized.append)
    with hold(home):
        assert str(os.getpid()) in next(home.glob("**/*.holder")).read_text(encoding="utf-8")
    assert not synchronized


def test_identity_of_a_source() -> None:
    """Name, server and token make a source; the token is not in what a database is given."""
    source = make_source()
    others = [make_source(name="another"), make_source("http://127.0.0.1:2/x"), make_source()]
    others[-1]._token = SecretStr("pt-another")  # noqa: SLF001 - as load_settings does
    assert len({each.identity for each in (source, *others, make_source())}) == 4
    assert CANARY not in source.identity
