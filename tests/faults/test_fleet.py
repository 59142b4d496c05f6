"""A fleet whose sessions come, are archived and are deleted: what is known after each poll."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from starlette.datastructures import QueryParams

from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.faults import Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.sessions import list_sessions, render_session
from pipelines.sandbox.world import World
from tests.builders import poll_once, replay_all
from tests.support import CANARY, read_instant, read_table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NOW = datetime(2026, 10, 1, tzinfo=UTC)
# 5,000 in `make soak`; of them 40 appear, 25 are archived and 5 are deleted between two polls.
SESSIONS = int(os.environ.get("FLEET", "45"))
APPEAR, ARCHIVED, DELETED = (max(1, SESSIONS // share) for share in (125, 200, 1000))
POLLS = 10 if SESSIONS >= 5000 else 6
# In these polls the list of sessions breaks off in the middle.
BROKEN = (2, 4)
LISTED = ("complete", "incomplete")
PAGE = 100 if SESSIONS >= 1000 else 10
KEPT = "session_id, state, title, status, created_at, updated_at, archived_at, missing_since"
REGISTRY = f"SELECT {KEPT} FROM sessions ORDER BY session_id"


class Truth:
    """What the registry must say: moved by what a poll can have seen, and by nothing else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: dict[str, dict[str, Any]] = {}

    def see(self, *session_ids: str, state: str = "polled") -> None:
        """These sessions came, with all that the server says of them."""
        for id_ in session_ids:
            shown = render_session(self.world, self.world.sessions[id_])
            self.rows[id_] = {
                "session_id": id_,
                "state": state,
                "title": shown["title"],
                "status": shown["status"],
                **{
                    name: read_instant(shown[name])
                    for name in ("created_at", "updated_at", "archived_at")
                },
                "missing_since": state != "polled",
            }

    def poll(self, listed: list[str], *, is_whole: bool) -> None:
        """A list of sessions has come, to its end or not, and the threads of all in scope."""
        watched = [id_ for id_, row in self.rows.items() if row["state"] == "polled"]
        self.see(*listed)
        for id_ in set(watched) - {*listed}:
            if id_ not in self.world.sessions:
                self.rows[id_] |= {"state": "gone", "missing_since": is_whole}
            elif is_whole:
                self.see(id_, state="out_of_scope")
        if is_whole:
            for id_, row in self.rows.items():
                row["missing_since"] = id_ not in listed


def age(world: World, draw: random.Random) -> None:
    """Let sessions appear, archive some and delete others."""
    world.advance(30)
    live = [id_ for id_, plan in world.sessions.items() if plan.archived is None]
    chosen = draw.sample(live, ARCHIVED + DELETED)
    for id_ in chosen[:ARCHIVED]:
        world.sessions[id_].archived = world.elapsed()
    for id_ in chosen[ARCHIVED:]:
        del world.sessions[id_]
    for _ in range(APPEAR):
        world.add_session(1)


def read_registry(home: Path) -> list[dict[str, Any]]:
    """Return what the registry says, of `missing_since` whether it is set."""
    rows = read_table(home / "threads.duckdb", REGISTRY)
    return [row | {"missing_since": row["missing_since"] is not None} for row in rows]


def test_registry_of_a_fleet(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each poll the registry equals the truth, also where a listing broke off.

    Each session in scope is polled once in each of them; a replay gives the same registry.
    """
    world, draw = World([1] * SESSIONS, seed=11, clock=lambda: NOW), random.Random(11)  # noqa: S311 - made-up data
    plan: dict[int, str] = {}
    faulty = Faulty(Sandbox(world, token=CANARY).app, plan, objects="sessions")
    truth = Truth(world)
    monkeypatch.setenv("QODER_PAT", CANARY)
    with serve(faulty) as base_url:
        source = {
            "base_url": base_url,
            "discover": True,
            "page_limit": PAGE,
            "max_requests_per_second": 1000,
            "min_page_interval_ms": 0,
        }
        (tmp_path / "sessions.yaml").write_text(yaml.safe_dump({"sources": [source]}))
        for number in range(POLLS):
            if number:
                age(world, draw)
            listed = [plan.id for plan in list_sessions(world, QueryParams())]
            if number in BROKEN:
                pages = len(listed) // PAGE // 2
                plan[faulty.requests + pages + 1] = "400"
                listed = listed[: pages * PAGE]
            asked = {id_ for id_, row in truth.rows.items() if row["state"] == "polled"}
            polls = poll_once(home, load_settings(PROVIDERS), f"run-{number}")
            truth.poll(listed, is_whole=number not in BROKEN)
            assert read_registry(home) == [row for _, row in sorted(truth.rows.items())]
            gone = asked - {*world.sessions} if number in BROKEN else set()
            polled = (asked & {*world.sessions}) | {*listed}
            expected = dict.fromkeys(polled, "complete") | dict.fromkeys(gone, "gone")
            outcomes = {poll.session_id: poll.outcome for poll in polls}
            assert outcomes == {"": LISTED[number in BROKEN], **expected}
    before = read_table(home / "threads.duckdb", "FROM sessions ORDER BY session_id")
    replay_all(home)
    assert read_table(home / "warehouse.duckdb", "FROM sessions ORDER BY session_id") == before
