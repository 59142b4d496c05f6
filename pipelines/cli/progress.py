"""How a poll goes on: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.cli.printing import echo, is_log, make_console, stamp
from pipelines.records import Poll, Progress
from pipelines.reporting.failures import Failures, describe_poll

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Lines(Progress):
    """Plain lines with their time, for a log: one as a session fails, or as each one ends."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._failures = Failures()

    def end(self, poll: Poll) -> None:
        line = describe_poll(poll) if self._verbose else self._failures.describe(poll)
        if line:
            echo(stamp(line), err=True)


@contextmanager
def watch_poll(*, verbose: bool = False) -> Iterator[Progress]:
    """Show how a poll goes on, on standard error: a bar on a terminal, else lines for a log."""
    if is_log(sys.stderr) or not (console := make_console(err=True)).is_interactive:
        yield _Lines(verbose=verbose)
        return
    from pipelines.cli.bar import show_bar  # noqa: PLC0415 - logs need none of it

    with show_bar(console) as bar:
        yield bar
