"""Runs of the job in this process."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.definitions import defs

# What a run needs to end, without the analyses.
CORE = ("sessions", "thread_pages", "threads", "published_database")


def execute(
    instance: dg.DagsterInstance, *assets: str, config: dict[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    """Run the job, or these assets of it alone; a failure is in its result."""
    job = defs().resolve_job_def("poll_threads")
    return job.execute_in_process(
        run_config={"ops": {"thread_pages": {"config": config}}} if config else None,
        instance=instance,
        asset_selection=[dg.AssetKey(name) for name in assets] or None,
        raise_on_error=False,
    )
