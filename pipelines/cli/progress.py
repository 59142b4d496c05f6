"""How a poll goes on: a bar on a terminal, lines in a log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.text import Text

from pipelines.cli.printing import echo, make_console, print_text, stamp
from pipelines.records import Poll, Progress
from pipelines.reporting.failures import Failures, describe_poll
from pipelines.reporting.wording import count, describe_wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

SHOWN_FAILURES = 20


class _Lines(Progress):
    """Plain lines with their time, for a log: one as a session fails, or as each one ends."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._failures = Failures()

    def end(self, poll: Poll) -> None:
        line = describe_poll(poll) if self._verbose else self._failures.describe(poll)
        if line:
            echo(stamp(line), err=True)


class _Bar(Progress):
    """A progress bar and its counts, for a terminal; the first failing sessions leave a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("sessions"),
            TimeElapsedColumn(),
            expand=True,
        )
        self._bar.add_task("starting", start=False, total=None)
        (self._task,) = self._bar.tasks
        self._failures = Failures()
        self._shown = 0
        self._pages = 0
        self._threads = 0
        self._waited_s = 0.0

    def begin(self, sessions: int) -> None:
        self._bar.start_task(self._task.id)
        self._bar.update(self._task.id, description="polling", total=sessions)

    def page(self, threads: int) -> None:
        self._pages += 1
        self._threads += threads

    def wait(self, seconds: float) -> None:
        self._waited_s += seconds

    def end(self, poll: Poll) -> None:
        if line := self._failures.describe(poll):
            self._shown += 1
            if self._shown <= SHOWN_FAILURES:
                print_text(self._console, line)
        self._bar.advance(self._task.id)
        if self._task.finished:
            self._bar.update(self._task.id, description="loading")

    def __rich__(self) -> Group:
        """Return the two lines as they are now."""
        rate = self._threads / max(self._task.finished_time or self._task.elapsed or 0, 1)
        counts = f"{count(self._pages, 'page')}, {count(self._threads, 'thread')}"
        wait = describe_wait("sessions waited", self._waited_s)
        return Group(self._bar, Text(f"{counts}, {rate:.0f} threads/s{wait}"))


@contextmanager
def watch_poll(*, verbose: bool = False) -> Iterator[Progress]:
    """Show how a poll goes on, on standard error: a bar on a terminal, else lines for a log."""
    console = make_console(err=True)
    if not console.is_interactive:
        yield _Lines(verbose=verbose)
        return
    bar = _Bar(console)
    with Live(bar, console=console, transient=True):
        yield bar
