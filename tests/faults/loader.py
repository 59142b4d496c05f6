"""What a run does after its pages have landed, without Dagster: python loader.py HOME."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import load_all, publish_all

SOME = ("ingestion_health", "status_distribution", "thread_durations")


def load_and_publish(home: Path) -> None:
    """Load what has landed, build some analyses and publish."""
    analyses = {name: analysis for name, analysis in list_analyses().items() if name in SOME}
    load_all(home)
    with DuckdbFile(home).write() as connection:
        for analysis in analyses.values():
            build_analysis(connection, analysis)
    publish_all(home, analyses)


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - to who will kill it
    load_and_publish(Path(sys.argv[1]))
