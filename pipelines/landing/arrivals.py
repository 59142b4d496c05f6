"""Who hears what lands, as it lands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.records import Poll


class Arrivals:
    """Receives what a run lands; does nothing with it.

    It is called by the event loop, and keeps nobody waiting.
    """

    def pages(self, path: Path) -> None:
        """These pages are on disk, after those of the files before."""

    def poll(self, poll: Poll) -> None:
        """A poll has ended; the last of its pages may not be on disk yet."""
