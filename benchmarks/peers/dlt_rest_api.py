"""dlt's rest_api source into DuckDB, merged on the key, as its own documentation has it.

    python dlt_rest_api.py defaults|tuned

Both list threads as a resource that depends on that of the sessions, follow `next_page`, and merge
on (session_id, id). What `tuned` sets besides, and why, docs/performance.md says.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers.requests import Client
from dlt.sources.rest_api import rest_api_source

CONCURRENCY = 8
TUNED = {
    "EXTRACT__WORKERS": str(CONCURRENCY),
    "EXTRACT__MAX_PARALLEL_ITEMS": str(4 * CONCURRENCY),
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
}


def describe_api(*, tuned: bool) -> dict[str, Any]:
    """Return the configuration of the source."""
    client: dict[str, Any] = {
        "base_url": os.environ["BENCH_BASE_URL"],
        "auth": {"type": "bearer", "token": os.environ["BENCH_TOKEN"]},
        "paginator": {"type": "cursor", "cursor_path": "next_page", "cursor_param": "page"},
    }
    if tuned:
        client["session"] = Client(max_connections=CONCURRENCY, raise_for_status=False).session
    listed = json.loads(Path(os.environ["BENCH_SESSIONS"]).read_text(encoding="utf-8"))
    sessions = [{"id": session} for session in listed]
    merge = {
        "disposition": "merge",
        "strategy": os.environ.get("S", "upsert") if tuned else "delete-insert",
    }
    return {
        "client": client,
        "resource_defaults": {
            "primary_key": ["session_id", "id"],
            "write_disposition": merge,
            "max_table_nesting": 0,
            "endpoint": {"params": {"limit": 100}, "data_selector": "data"},
        },
        "resources": [
            dlt.resource(lambda: iter([sessions]), name="sessions", selected=False),
            {
                "name": "threads",
                "parallelized": tuned,
                "endpoint": {"path": "sessions/{resources.sessions.id}/threads"},
            },
        ],
    }


def main(setting: str) -> None:
    """Poll every session and merge it into the table."""
    tuned = setting == "tuned"
    os.environ |= TUNED if tuned else {}
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(Path("pipelines").absolute()),
        destination=dlt.destinations.duckdb(str(Path("threads.duckdb").absolute())),
        dataset_name="main",
    )
    source = rest_api_source(describe_api(tuned=tuned), name="bench")
    pipeline.run(source, **({"loader_file_format": "parquet"} if tuned else {}))


if __name__ == "__main__":
    main(sys.argv[1])
