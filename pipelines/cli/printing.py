"""The way to the screen: nothing that a terminal would obey goes along it."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import click

from pipelines import clock
from pipelines.reporting.wording import to_printable

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 10_000
# Variables by which rich may take a stream for a terminal that is none.
FORCING = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"})


def echo(line: str, *, err: bool = False) -> None:
    """Print one line. Raises OSError if it cannot be written."""
    click.echo(to_printable(line), err=err)


def stamp(line: str) -> str:
    """Return a line as a log holds it, after its time."""
    return f"{clock.now():%Y-%m-%dT%H:%M:%SZ} {line}"


def is_log(stream: IO[str]) -> bool:
    """Whether a stream is no terminal for rich either, which takes long to import."""
    return not stream.isatty() and FORCING.isdisjoint(os.environ)


def make_console(file: IO[str] | None = None, *, err: bool = False) -> Console:
    """Return the console of a file or a standard stream; as wide as its rows if no terminal."""
    from rich.console import Console  # noqa: PLC0415 - commands that only fail need none

    console = Console(highlight=False, file=file, stderr=err)
    if not console.is_terminal:
        console.width = WIDE
    return console


def print_text(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is, folded between words; none of it is markup."""
    from rich.text import Text  # noqa: PLC0415 - as above

    console.print(Text(to_printable(text), style=style))


class Warnings(logging.Handler):
    """Prints warnings on standard error: a line each, with its time unless it is a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it; a stream that takes nothing more ends nothing."""
        line = " ".join(record.getMessage().split())
        with suppress(OSError):
            echo(line if sys.stderr.isatty() else stamp(line), err=True)
