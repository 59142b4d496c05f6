"""The first step alone: every page fetched, checked and landed, without Dagster and what follows.

    python -m benchmarks.fetch

Writes how many pages and bytes came, as peers/floor.py does.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from pipelines.config.loader import load_settings
from pipelines.extract.discover import list_configured
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.providers.registry import PROVIDERS
from pipelines.records import Progress, Selection


def main() -> None:
    """Fetch what is configured; write what came."""
    settings = load_settings(PROVIDERS)
    polls = poll_sessions(list_configured(settings), Selection(), Progress())
    _, ended = asyncio.run(land_polls(polls, Directory(settings.home / RAW), "fetch"))
    came = {"pages": sum(poll.pages for poll in ended), "bytes": sum(poll.bytes for poll in ended)}
    Path("downloaded.json").write_text(json.dumps(came), encoding="utf-8")


if __name__ == "__main__":
    main()
