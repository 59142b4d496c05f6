"""The command `session-threads`: its group of commands, and how their errors end it."""

from __future__ import annotations

import atexit
import gc
import io
import sys
from typing import Any

import click

from pipelines import __version__
from pipelines.cli import polling, reading
from pipelines.cli.failure import fail
from pipelines.errors import SessionThreadsError
from pipelines.sandbox.command import sandbox

SELDOM = (50_000, 20, 100)


class Cli(click.Group):
    """Turns every failure of ours into one line on standard error and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as in click
        """Run a command; a traceback only with --debug."""
        try:
            return super().invoke(ctx)
        except SessionThreadsError as error:
            if ctx.params["debug"]:
                raise
            fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            fail("interrupted", 130)  # as a shell says of a command that Ctrl-C ended


def end_at_once() -> None:
    """Leave the last look through all objects out, unless DuckDB 2 would call them leaked."""
    duckdb = sys.modules.get("duckdb")
    if duckdb is None or duckdb.__version__.startswith("1."):
        gc.freeze()


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and Dagster's log.")
@click.version_option(__version__, prog_name="session-threads")
def main(*, debug: bool) -> None:
    """Every thread of your agent sessions, polled into DuckDB."""
    del debug
    # Imports make millions of objects that stay: looking through them at every turn, and once more
    # at the end, takes a third of a short command's time.
    gc.set_threshold(*SELDOM)
    atexit.register(end_at_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the locale has no letters for


for command in (
    polling.run,
    polling.check,
    polling.build,
    polling.replay,
    polling.demo,
    reading.status,
    reading.show,
    reading.sql,
    reading.report,
    sandbox,
):
    main.add_command(command)
