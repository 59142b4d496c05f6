"""How a command ends if not all is well: one line on standard error, and its exit status."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from pipelines.reporting.wording import to_printable

if TYPE_CHECKING:
    from pipelines.cli.exit_status import ExitStatus


def fail(message: str, exit_code: int) -> NoReturn:
    """End the command with one line on standard error."""
    line = to_printable(" ".join(message.split()))
    with suppress(OSError):  # a log that is full: the exit status says it too
        click.echo(f"session-threads: {line}", err=True)
    sys.exit(exit_code)


def conclude(verdict: ExitStatus) -> None:
    """End the command in silence if all is well, else with the line that says why it is not."""
    if verdict.error:
        fail(verdict.error, verdict.exit_status)
