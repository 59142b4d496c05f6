"""The command `session-threads`: its group of commands, and how their errors end it."""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from pipelines import __version__
from pipelines.cli import polling, reading
from pipelines.cli.ending import end_at_once
from pipelines.cli.failure import fail
from pipelines.cli.printing import Warnings
from pipelines.errors import SessionThreadsError
from pipelines.sandbox.command import sandbox


class Cli(click.Group):
    """Turns every SessionThreadsError into one line on standard error and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as in click
        """Run a command; a traceback only with --debug."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except SessionThreadsError as error:
            if ctx.params["debug"]:
                raise
            fail(str(error), error.exit_code)
        except BrokenPipeError:
            raise  # click's: whoever reads has read enough
        except OSError as error:
            if ctx.params["debug"]:
                raise
            problem = error.strerror or error
            output = f"the output cannot be written ({problem})"
            fail(f"{error.filename}: {problem}" if error.filename else output, 1)
        except (KeyboardInterrupt, RuntimeError) as error:
            # DuckDB says with an error of its own that Ctrl-C has ended a query.
            if not isinstance(error.__cause__ or error, KeyboardInterrupt):
                raise
            fail("interrupted", 130)  # as a shell says of a command that Ctrl-C ended
        return result


def collect_rarely() -> None:
    """Look for garbage that holds itself only after many objects: modules are many, and none.

    A poll of 100,000 threads ends before. One after each 10,000 objects would take 0.03 to 0.06 s
    of CPU of a poll of 10,000 threads, and 0.1 s of one of 100,000.
    """
    gc.set_threshold(500_000, 20, 100)


def fill_streams() -> None:
    """Let a standard stream that came closed lead to nothing.

    Else the next file to be opened takes its number, and what a library prints goes into that.
    """
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            nothing = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, nothing)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name="session-threads")
def main(*, debug: bool) -> None:
    """Every thread of your agent sessions, polled into DuckDB."""
    del debug
    fill_streams()
    collect_rarely()
    logging.lastResort = Warnings(logging.WARNING)
    os.umask(0o077)  # what it writes holds names of threads
    atexit.register(end_at_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name with letters that the locale lacks


for command in (
    polling.run,
    polling.plan,
    polling.init,
    polling.check,
    polling.build,
    polling.replay,
    polling.maintain,
    polling.copy,
    polling.demo,
    reading.status,
    reading.sessions,
    reading.show,
    reading.sql,
    reading.report,
    sandbox,
):
    main.add_command(command)
