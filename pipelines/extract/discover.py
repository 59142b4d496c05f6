"""Which sessions there are: for now, those that the configuration lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.config.settings import Session, Source

if TYPE_CHECKING:
    from pipelines.config.settings import Settings


class SourceSessions(msgspec.Struct, frozen=True):
    """A source and sessions of it, to be polled in this order, for so long (None: to the end)."""

    source: Source
    sessions: tuple[Session, ...]
    deadline_s: float | None = None


def list_configured(settings: Settings) -> list[SourceSessions]:
    """Return the configured sessions of each source."""
    return [SourceSessions(source, source.sessions) for source in settings.sources]
