"""How a poll goes on, on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.text import Text

from pipelines.cli.printing import print_text
from pipelines.records import Poll, Progress
from pipelines.reporting.failures import Failures
from pipelines.reporting.wording import count, describe_wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

SHOWN_FAILURES = 20


@contextmanager
def show_bar(console: Console) -> Iterator[Progress]:
    """Show a bar until the block ends, and then none; the lines of failures stay."""
    bar = _Bar(console)
    with Live(bar, console=console, transient=True):
        yield bar


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
