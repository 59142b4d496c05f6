"""`check` finds by day what would fail at night: each finding one line, and the status it means."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from pipelines.sandbox.server import Sandbox
from pipelines.sandbox.world import World
from tests.builders import see, thread
from tests.support import CANARY, Script, invoke, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

EMPTY = '{"data": [], "has_more": false}'


@pytest.fixture
def fleet(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve and configure a session; return the data directory."""
    with serve_world(World([1]), monkeypatch):
        yield home


@contextmanager
def run_server(app: ASGIApp, **options: Any) -> Iterator[int]:
    """Serve on loopback as uvicorn is asked to; give the port."""
    quiet: dict[str, Any] = {"log_level": "critical", "lifespan": "off", "port": 0}
    server = uvicorn.Server(uvicorn.Config(app, **quiet, **options))
    running = threading.Thread(target=server.run, daemon=True)
    running.start()
    while not server.started:
        time.sleep(0.01)
    (port,) = {sock.getsockname()[1] for each in server.servers for sock in each.sockets}
    try:
        yield port
    finally:
        server.should_exit = True
        running.join()


def find_wrong(status: int, **variables: str) -> list[str]:
    """Return the lines on what is wrong; the command must end with this status."""
    result = invoke("check", **variables)
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines) > 0) == (status, status != 0), result.stderr
    assert all(line.startswith("session-threads: ") for line in lines)
    return [line.removeprefix("session-threads: ") for line in lines]


def test_all_is_well(fleet: Path, tmp_path: Path) -> None:
    """What is right is a line each on standard output, and nothing is left behind but locks."""
    see(fleet, 0, thread("a"))
    before = {path.name for path in fleet.iterdir()}
    result = invoke("check", DAGSTER_HOME=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    begins = [line.partition(":")[0] for line in result.stdout.splitlines()]
    assert begins == [
        "data directory",
        "room",
        "source qoder",
        "source qoder",
        "source qoder",
        "DAGSTER_HOME",
        "warehouse",
        "published copy",
    ]
    assert {path.name for path in fleet.iterdir()} == before | {"sources"}


def test_discovered_sessions(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that names no session is asked for the list of them, and creates nothing by it."""
    monkeypatch.delenv("QODER_SESSION_IDS")
    Path("sessions.yaml").write_text("sources: [{discover: true}]", encoding="utf-8")
    assert find_wrong(0) == []
    assert fleet.exists()


def test_several_findings(fleet: Path) -> None:
    """One finding hides no other; the first says how the command ends."""
    see(fleet, 0, thread("a"))
    (fleet / "threads.duckdb.wal").write_bytes(b"x")
    wrong = find_wrong(3, QODER_PAT="pt-another", DAGSTER_HOME="relative")
    assert [line.partition(": ")[0] for line in wrong] == [
        "source qoder",
        "DAGSTER_HOME",
        str(fleet / "threads.duckdb.wal"),
    ]


def test_tables_that_cannot_be_opened(fleet: Path) -> None:
    """A damaged warehouse ends it with 4, as does a data directory that cannot be."""
    fleet.mkdir(mode=0o700)
    (fleet / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    problem = find_wrong(4)[0]
    assert "warehouse.duckdb: cannot be opened" in problem
    assert "session-threads replay makes it anew" in problem
    assert "cannot be made" in find_wrong(4, SESSION_THREADS_HOME="/dev/null/x")[0]


def test_no_room(fleet: Path) -> None:
    """A disk with less room than what the next run may write is found before it."""
    fleet.mkdir(mode=0o700)
    with (fleet / "warehouse.duckdb").open("wb") as file:
        file.truncate(shutil.disk_usage(fleet).total)  # a hole, which takes no room
    try:
        wrong = find_wrong(2)
    finally:
        (fleet / "warehouse.duckdb").unlink()
    assert "MiB free, a run may need" in wrong[0]
    assert wrong[0].endswith("Make room, or lower raw_retention_days")


@pytest.mark.parametrize(("ahead_s", "side"), [(-7200, "ahead of"), (7200, "behind"), (20, "")])
def test_clock(home: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int, side: str) -> None:
    """A clock that is minutes off the server's is found; seconds are not."""
    date = formatdate(time.time() + ahead_s, usegmt=True)
    with run_server(Script((200, {"date": date}, EMPTY)).app, date_header=False) as port:
        monkeypatch.setenv("QODER_SESSION_IDS", "sess_1")
        monkeypatch.setenv("QODER_BASE_URL", f"http://127.0.0.1:{port}")
        wrong = find_wrong(2 if side else 0, QODER_PAT=CANARY)
    assert len(wrong) == bool(side)
    if side:
        assert f"{side} the server's, whose time is recorded instead" in wrong[0]
    assert home.exists()


def make_authority(folder: Path) -> None:
    """Make a CA, and a certificate of it for this machine."""
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"]
    for command in (
        [*new, "-x509", "-subj", "/CN=CA", "-keyout", "ca.key", "-out", "ca.pem"],
        [*new, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"],
        [*sign, "-CAcreateserial", "-extfile", "names", "-out", "server.pem"],
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(not shutil.which("openssl"), reason="nothing here makes a certificate")
def test_private_authority(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private CA is taken from SSL_CERT_FILE, on loopback too; without it a line says where."""
    make_authority(tmp_path)
    world = World([1])
    keys = {"ssl_certfile": tmp_path / "server.pem", "ssl_keyfile": tmp_path / "server.key"}
    with run_server(Sandbox(world, token=CANARY).app, **keys) as port:
        monkeypatch.setenv("QODER_BASE_URL", f"https://127.0.0.1:{port}/api/v1/cloud")
        monkeypatch.setenv("QODER_SESSION_IDS", ",".join(world.sessions))
        monkeypatch.setenv("QODER_PAT", CANARY)
        authority = str(tmp_path / "ca.pem")
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name, raising=False)
        (unknown,) = find_wrong(2, REQUESTS_CA_BUNDLE=authority)
        assert "Name a private CA in SSL_CERT_FILE or SSL_CERT_DIR" in unknown
        assert unknown.endswith("REQUESTS_CA_BUNDLE is not looked at")
        assert find_wrong(0, SSL_CERT_FILE=authority) == []
        (tmp_path / "certs").mkdir()
        shutil.copy(authority, tmp_path / "certs" / "ca.pem")
        subprocess.run(["openssl", "rehash", tmp_path / "certs"], check=True)
        assert find_wrong(0, SSL_CERT_DIR=str(tmp_path / "certs")) == []
    assert home.exists()
