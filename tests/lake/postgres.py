"""A PostgreSQL server of the tests: an ordinary process on loopback, gone with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from pydantic import SecretStr

from pipelines.config.lake import Access, Catalog, Lake
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator

# PostgreSQL does not run as root.
USER = "nobody" if os.geteuid() == 0 else None


def find_binaries() -> Path | None:
    """Return the directory of PostgreSQL's programs: Debian keeps them out of the path."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), shutil.which("initdb")]
    return max((Path(path).parent for path in found if path), default=None)


@contextmanager
def run_postgres(binaries: Path) -> Iterator[int]:
    """Run a server whose superuser is `admin`, with the canary as password; give its port."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        home = Path(name)
        if USER:
            shutil.chown(home, USER)
        password = home / "password"
        password.write_text(CANARY, encoding="utf-8")
        password.chmod(0o644)
        run = [str(binaries / "initdb"), "-D", f"{home}/data", "-U", "admin", "-N"]
        run += ["-A", "scram-sha-256", f"--pwfile={password}"]
        subprocess.run(run, check=True, capture_output=True, user=USER, cwd=home)
        port = find_port()
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
        run = [str(binaries / "postgres"), "-D", f"{home}/data", "-c", "fsync=off"]
        run += [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(run, stderr=log, user=USER, cwd=home)
        try:
            wait_for(port)
            yield port
        finally:
            server.send_signal(signal.SIGINT)  # it waits for no connection
            server.wait(timeout=30)


def describe_lake(
    port: int, database: str, schema: str, data: str, access: Access | None = None
) -> Lake:
    """Return a lake in a schema of the server's database, which the superuser loads."""
    catalog = {
        "host": "127.0.0.1",
        "port": port,
        "database": database,
        "user": "admin",
        "schema": schema,
        "password_env": "LAKE_PASSWORD",
    }
    return Lake(Catalog.model_validate(catalog), data, SecretStr(CANARY), access)


def find_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when the server answers."""
    for _ in range(300):
        with suppress(psycopg.OperationalError), connect(port):
            return
        time.sleep(0.1)
    raise TimeoutError


def connect(port: int, database: str = "postgres") -> psycopg.Connection:
    """Connect as the superuser."""
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        dbname=database,
        user="admin",
        password=CANARY,
        autocommit=True,
    )
