"""Dagster's web server behind the guard, and with --daemon also what runs schedules and sensors.

    python -m pipelines.defs.server --daemon

It takes the place of `dagster dev`, whose server runs whatever any web page asks of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click
import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__ as version
from sqlalchemy import Pool, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from pipelines.cli.failure import fail
from pipelines.config.dagster_home import find_dagster_home
from pipelines.config.document import list_secret_variables, read_document
from pipelines.defs.guard import Guard
from pipelines.errors import SettingsError
from pipelines.files import restrict
from pipelines.providers.registry import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

WORKSPACE = "workspace.yaml"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
STATEMENT_TIMEOUT_MS, POOL_RECYCLE_S, POOL_OVERFLOW = 15_000, 3600, 20  # as in dagster-webserver


@click.command()
@click.option("--port", "-p", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen to.")
@click.option("--name", "names", multiple=True, help="What a proxy before it is called in URLs.")
@click.option("--workspace", "-w", default=WORKSPACE, show_default=True, help="The code servers.")
@click.option("--daemon", is_flag=True, help="Also run schedules, sensors and queued runs.")
def main(port: int, host: str, names: tuple[str, ...], workspace: str, *, daemon: bool) -> None:
    """Show what Dagster knows, and take orders, of the pages of this server alone."""
    os.umask(0o077)  # Dagster's databases hold names of threads
    own = {f"{name}:{port}" for name in (*LOOPBACK, host)}
    try:
        reject_dagster_home()
        with (
            run_daemon(workspace) if daemon else nullcontext(),
            dg.DagsterInstance.get() as instance,
        ):
            drop_secrets(os.environ)
            serve(instance, workspace, f"{host}:{port}", own.union(names))
    except SettingsError as error:
        fail(str(error), error.exit_code)
    except (dg.DagsterError, SQLAlchemyError, OSError) as error:
        home, reason = os.environ["DAGSTER_HOME"], str(error).partition("\n")[0]
        fail(f"DAGSTER_HOME: {home} cannot be used ({reason}). Name another directory", 2)


def reject_dagster_home() -> None:
    """Let the owner alone enter Dagster's directory. Raises SettingsError if it cannot be used."""
    home = find_dagster_home()
    if home is None:
        fix = "Name a directory, as `make dev` does."
        raise SettingsError("DAGSTER_HOME", "it is not set", fix)
    restrict(home, 0o700)


def serve(instance: dg.DagsterInstance, file: str, address: str, own: set[str]) -> None:
    """Serve until a signal comes."""
    event.listen(Pool, "checkout", check_connection)
    instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_S, POOL_OVERFLOW)
    target = WorkspaceFileTarget([file])
    with WorkspaceProcessContext(instance, target, version) as workspace:
        app = create_app_from_workspace_process_context(workspace)
        click.echo(f"Dagster: http://{address}", err=True)
        host, _, port = address.rpartition(":")
        uvicorn.run(Guard(app, own), host=host, port=int(port), log_level="warning")


def check_connection(connection: Any, *_: object) -> None:  # noqa: ANN401 - of any database
    """Let a connection be replaced whose server was away since it was made."""
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT 1")
    except connection.Error as error:
        raise DisconnectionError from error
    finally:
        cursor.close()


@contextmanager
def run_daemon(workspace: str) -> Iterator[None]:
    """Run Dagster's daemon beside the block; if it ends first, so does this process."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", workspace]
    daemon = subprocess.Popen(command)  # noqa: S603 - a module of Dagster's
    is_over = threading.Event()

    def follow() -> None:
        daemon.wait()
        if not is_over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()
        daemon.terminate()
        daemon.wait()


def drop_secrets(environ: MutableMapping[str, str]) -> None:
    """Forget tokens and webhooks: runs are launched, and sensors evaluated, by the daemon."""
    try:
        named = list_secret_variables(read_document(environ)[1])
    except (SettingsError, RecursionError):
        named = set()
    for variable in named.union(*(preset.token_variables for preset in PROVIDERS.values())):
        environ.pop(variable, None)


if __name__ == "__main__":
    main()
