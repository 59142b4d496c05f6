"""Who hears what lands, as it lands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.landing.store import LandedFile
    from pipelines.records import Poll


class Arrivals:
    """Receives what a run lands; does nothing with it.

    It is called by the event loop, and keeps nobody waiting.
    """

    def pages(self, file: LandedFile) -> None:
        """These pages have landed, after those of the files before."""

    def poll(self, poll: Poll) -> None:
        """A poll has ended; the last of its pages may not have landed yet."""
