"""What one writes in an afternoon: httpx, one page after the other, polars, and a DuckDB table.

    python script.py

No retry, no history, no ledger, no raw pages: the table holds what the newest poll listed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import httpx
import polars as pl

TIMES = ("created_at", "updated_at", "archived_at")


def list_threads(client: httpx.Client, session: str) -> list[dict[str, object]]:
    """Return every thread of a session."""
    threads: list[dict[str, object]] = []
    params = {"limit": "100"}
    while True:
        page = client.get(f"sessions/{session}/threads", params=params).raise_for_status().json()
        threads += page["data"]
        if not page["has_more"]:
            return threads
        params["page"] = page["next_page"]


def flatten(threads: list[dict[str, object]]) -> pl.DataFrame:
    """Return one row per thread, the agent's fields and the statistics as columns."""
    frame = pl.DataFrame(threads, infer_schema_length=None)
    objects = [name for name, kind in frame.schema.items() if kind == pl.Struct]
    for name in objects:
        frame = frame.with_columns(pl.col(name).name.prefix_fields(f"{name}_")).unnest(name)
    return frame.with_columns(pl.col(name).str.to_datetime(time_zone="UTC") for name in TIMES)


def main() -> None:
    """Poll every session and replace the table."""
    sessions = json.loads(Path(os.environ["BENCH_SESSIONS"]).read_text(encoding="utf-8"))
    headers = {"authorization": f"Bearer {os.environ['BENCH_TOKEN']}"}
    with httpx.Client(base_url=os.environ["BENCH_BASE_URL"], headers=headers) as client:
        threads = [thread for session in sessions for thread in list_threads(client, session)]
    frame = flatten(threads)  # noqa: F841 - DuckDB finds it by its name
    with duckdb.connect("threads.duckdb") as connection:
        connection.execute("CREATE OR REPLACE TABLE threads AS FROM frame")


if __name__ == "__main__":
    main()
