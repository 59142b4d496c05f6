"""The progress of a poll, which is never more important than the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.records import Poll, Progress

if TYPE_CHECKING:
    from collections.abc import Callable


class Unfailing(Progress):
    """Passes the progress of a poll on until that fails once: the data matter more."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, sessions: int) -> None:
        """Pass it on."""
        self._pass_on(lambda: self._progress.begin(sessions))

    def page(self, threads: int) -> None:
        """Pass it on."""
        self._pass_on(lambda: self._progress.page(threads))

    def wait(self, seconds: float) -> None:
        """Pass it on."""
        self._pass_on(lambda: self._progress.wait(seconds))

    def end(self, poll: Poll) -> None:
        """Pass it on."""
        self._pass_on(lambda: self._progress.end(poll))

    def _pass_on(self, report: Callable[[], None]) -> None:
        try:
            report()
        except Exception:  # noqa: BLE001 - a full disk, a closed pipe, a fault of ours
            self._progress = Progress()
