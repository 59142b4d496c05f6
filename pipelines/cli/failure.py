"""How a command ends if not all is well: one line on standard error, and its exit status."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from pipelines.cli.printing import echo

if TYPE_CHECKING:
    from pipelines.cli.exit_status import ExitStatus


def fail(message: str, exit_code: int) -> NoReturn:
    """End the command with one line on standard error."""
    complain(message)
    end(exit_code)


def complain(message: str) -> None:
    """Say on standard error, in one line, what is wrong."""
    with suppress(OSError):  # a log that is full: the exit status says it too
        echo(f"session-threads: {' '.join(message.split())}", err=True)


def end(exit_code: int) -> NoReturn:
    """End the command, whether or not its output can be written."""
    discard_unwritten()
    sys.exit(exit_code)


def discard_unwritten() -> None:
    """Forget output that cannot be written: Python would try again, and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def conclude(ending: ExitStatus) -> None:
    """End the command in silence if all is well, else with the line that says why it is not."""
    if ending.error:
        fail(ending.error, ending.exit_status)
