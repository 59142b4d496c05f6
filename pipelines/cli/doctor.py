"""What a run needs: a configuration, a token that the server accepts, a warehouse that opens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipelines.config.loader import load_settings
from pipelines.extract.poll import ask_once
from pipelines.providers.registry import PROVIDERS
from pipelines.reporting.clocks import describe_skew
from pipelines.reporting.wording import count
from pipelines.warehouse.place import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator


def diagnose() -> Iterator[str]:
    """Yield what is right, a line each; raise SessionThreadsError for what is wrong."""
    settings = load_settings(PROVIDERS)
    for source in settings.sources:
        yield f"source {source.name}: {source.base_url}, {count(len(source.sessions), 'session')}"
        stats = asyncio.run(ask_once(source))
        yield f"source {source.name}: the token is accepted"
        yield describe_skew(source.name, stats.clock_skew_seconds)
    with open_warehouse(settings.home).write() as connection:
        counted = connection.execute("SELECT count(*) FROM threads").fetchone()
    yield f"warehouse: {settings.home}, {count(counted[0] if counted else 0, 'thread')}"
