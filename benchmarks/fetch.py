"""The first step alone: every page fetched, checked and landed, without Dagster and what follows.

    python -m benchmarks.fetch

Writes how many pages and bytes came, as peers/floor.py does.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from pipelines.api.poll import Observer, Scope, poll_sessions
from pipelines.landing import RAW
from pipelines.settings import data_home, load_settings
from pipelines.shards import land_polls


def main() -> None:
    """Fetch what is configured; write what came."""
    polls = poll_sessions(load_settings().sources, Scope(), Observer())
    _, ended = asyncio.run(land_polls(polls, data_home() / RAW, "fetch"))
    came = {"pages": sum(poll.pages for poll in ended), "bytes": sum(poll.bytes for poll in ended)}
    Path("downloaded.json").write_text(json.dumps(came), encoding="utf-8")


if __name__ == "__main__":
    main()
