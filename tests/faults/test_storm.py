"""A run through a storm: one request in eight fails, and nothing is missing afterwards."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from pipelines import steps
from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.faults import PASSING, Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.support import CANARY, decode_json_columns, expect_row, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.sandbox.world import Revision

pytestmark = pytest.mark.slow

SEEDS = range(int(os.environ.get("STORM_SEEDS", "0")))
STORMS = [(revision, seed) for revision in "ab" for seed in SEEDS] or [("b", 0)]


@pytest.mark.parametrize(("revision", "seed"), STORMS)
def test_storm(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: Revision, seed: int
) -> None:
    """60 sessions, 25,000 threads, ten kinds of failure: all complete, and every row equal."""
    now = datetime(2026, 10, 1, tzinfo=UTC)
    sizes = [100 + 12 * i for i in range(60)]
    world = World(sizes, seed=seed, revision=revision, clock=lambda: now)
    world.advance(10_000)
    faulty = Faulty(Sandbox(world, token=CANARY).app, rate=1 / 8, kinds=PASSING, seed=seed)
    with serve(faulty) as base_url:
        source = {
            "base_url": base_url,
            "sessions": list(world.sessions),
            "max_requests_per_second": 1000,
            "min_page_interval_ms": 0,
            "max_concurrency": 32,
        }
        (tmp_path / "sessions.yaml").write_text(yaml.safe_dump({"sources": [source]}))
        monkeypatch.setenv("QODER_PAT", CANARY)
        ledger = steps.run(load_settings(PROVIDERS)).ledger

    assert {(row["outcome"], row["error_message"]) for row in ledger} == {("complete", None)}
    assert len(faulty.met) >= len(PASSING) - 2
    met = faulty.met.total()
    assert sum(row["retries"] for row in ledger) == met
    assert len(PASSING) == 10
    assert met / faulty.requests == pytest.approx(1 / 8, rel=0.4)
    expected = [expect_row(thread) for id_ in world.sessions for thread in world.list_threads(id_)]
    assert len(expected) == sum(sizes) > 25_000
    rows = read_table(
        home / "threads.duckdb",
        "FROM threads ORDER BY source, session_id, thread_id",
    )
    expected.sort(key=lambda row: (row["session_id"], row["thread_id"]))
    rows = [{name: row[name] for name in expected[0]} for row in rows]
    assert [decode_json_columns(row) for row in rows] == expected
