"""Each provider of the family, as it is configured by its name, against a server like its own."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
import yaml

from pipelines.config.loader import load_settings
from pipelines.errors import SettingsError
from pipelines.extract.discover import list_configured
from pipelines.extract.plan import plan_polls
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.providers.registry import PROVIDERS
from pipelines.records import Poll, Progress, Selection
from pipelines.sandbox.dialect import Dialect
from pipelines.sandbox.faults import Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.builders import load_all
from tests.support import CANARY, Script, decode_json_columns, expect_row, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.sandbox.world import Revision

NOW = datetime(2026, 10, 1, tzinfo=UTC)
SECRET = f"{CANARY}/secret+value"
# What the servers of a provider are like, and what their sources say beside the provider's name.
SERVERS: dict[str, tuple[Revision, Dialect, dict[str, Any]]] = {
    "qoder": ("a", Dialect(), {}),
    "qoder-cn": ("b", Dialect(), {}),
    "qoder-forward": ("a", Dialect(), {}),
    "claude": (
        "b",
        Dialect(
            auth="x-api-key",
            headers={
                "anthropic-version": "2023-06-01",
                "anthropic-beta": "managed-agents-2026-04-01",
                "anthropic-workspace-id": "wrk_1",
            },
            page_limit=1000,
        ),
        {"headers": {"Anthropic-Workspace-Id": "wrk_1"}},
    ),
    "zhipu": (
        "b",
        Dialect(
            headers={"zai-version": "2026-05-26", "zai-beta": "managed-agents-2026-09-22"},
            clips=True,
        ),
        {"page_limit": 1000},
    ),
    "baidu": ("a", Dialect(page_limit=1000), {}),
    "custom": (
        "b",
        Dialect(
            auth="x-api-key", headers={"x-team": SECRET}, params={"beta": "true"}, newest_first=True
        ),
        {
            "auth": "x-api-key",
            "token_env": "MINE",
            "headers": {"X-Team": {"env": "TEAM_KEY"}},
            "params": {"beta": True},
        },
    ),
}
VARIABLES = dict.fromkeys(
    ("QODER_PAT", "ANTHROPIC_API_KEY", "ZHIPUAI_API_KEY", "DUMATE_API_KEY", "MINE"), CANARY
)


def write_source(path: Path, **source: Any) -> dict[str, str]:
    """Write a configuration of one source; return the environment."""
    path.write_text(yaml.safe_dump({"sources": [source]}), encoding="utf-8")
    return {**VARIABLES, "TEAM_KEY": SECRET, "SESSION_THREADS_CONFIG": str(path)}


def poll(environ: dict[str, str], home: Path, selection: Selection | None = None) -> list[Poll]:
    """Poll what is configured, and land it."""
    settings = load_settings(PROVIDERS, environ)
    selection = selection or Selection()
    planned = plan_polls(list_configured(settings), selection)
    polls = poll_sessions(planned, selection, Progress(), backoff_s=0.001)
    return asyncio.run(land_polls(polls, Directory(home / RAW), "run"))[1]


@pytest.mark.parametrize("provider", SERVERS)
def test_provider_by_name(provider: str, home: Path, tmp_path: Path) -> None:
    """Its servers are listed to their end, and every thread is in the table, in every column."""
    revision, dialect, keys = SERVERS[provider]
    world = World([130], seed=5, revision=revision, clock=lambda: NOW)
    app = Sandbox(world, token=CANARY, dialect=dialect).app
    with serve(app) as base_url:
        source = {"provider": provider, "base_url": base_url, "sessions": [*world.sessions], **keys}
        environ = write_source(tmp_path / "c.yaml", **source, min_page_interval_ms=0)
        (polled,) = poll(environ, home)
    load_all(home)
    listed = world.list_threads(*world.sessions)
    expected = [expect_row(thread, provider) for thread in listed]
    query = "FROM threads ORDER BY thread_id"
    rows = [decode_json_columns(row) for row in read_table(home / "warehouse.duckdb", query)]
    rows = [{name: row[name] for name in expected[0]} for row in rows]

    assert (polled.outcome, polled.pages) == ("complete", 1 if provider == "baidu" else 2)
    assert rows == sorted(expected, key=lambda row: str(row["thread_id"]))


@pytest.mark.parametrize(
    ("dialect", "keys", "message"),
    [
        (Dialect(auth="x-api-key"), {}, r"answered 401: .*was sent as Authorization: Bearer …"),
        (Dialect(), {"auth": "x-api-key"}, r"answered 401: .*was sent as x-api-key: …"),
        (Dialect(headers={"x-must": "1"}), {}, r"The header x-must must be 1\. \(param: x-must\)"),
        (Dialect(page_limit=50), {}, r"from 1 to 50\. \(param: limit\)"),
        (Dialect(has_cursors=False), {}, r"this server cannot page: it answered the same page"),
    ],
    ids=["bearer", "x-api-key", "header", "limit", "cursors"],
)
def test_wrong_dialect_is_explained(
    dialect: Dialect, keys: dict[str, Any], message: str, home: Path, tmp_path: Path
) -> None:
    """A server that wants something else than is configured ends the poll with what it wants."""
    world = World([130], seed=5)
    with serve(Sandbox(world, token=CANARY, dialect=dialect).app) as base_url:
        source = {"base_url": base_url, "sessions": [*world.sessions], "min_page_interval_ms": 0}
        (polled,) = poll(write_source(tmp_path / "c.yaml", **source, **keys), home)
    assert polled.outcome != "complete"
    assert re.search(message, polled.error_message or "")


def test_secret_values_come_back_hidden(home: Path, tmp_path: Path) -> None:
    """What a server repeats of secret headers and parameters is in no error and no landed page."""
    echoed = {"error": {"type": SECRET, "message": f"{quote_plus(SECRET)} or {SECRET}?"}}
    thread = {"id": "t", "name": f"by {SECRET}", "agent": {"name": CANARY}}
    page = {"data": [thread], "has_more": True, "next_page": "2"}
    server = Script(page, (400, {"request-id": SECRET}, json.dumps(echoed)))
    keys = {"token_env": "MINE", "params": {"key": {"env": "TEAM_KEY"}, "beta": 1}}
    with serve(server.app) as base_url:
        source = {"provider": "custom", "base_url": base_url, "sessions": ["s"], **keys}
        (polled,) = poll(write_source(tmp_path / "c.yaml", **source), home)
    load_all(home)
    assert server.requests[0].query_params["key"] == SECRET
    assert (polled.error_type, polled.request_id) == ("[token]", "[token]")
    assert str(polled.error_message).endswith("answered 400: [token] or [token]?")
    query = "SELECT name, agent_name FROM threads"
    expected = [{"name": "by [token]", "agent_name": "[token]"}]
    assert read_table(home / "warehouse.duckdb", query) == expected


def test_filters_that_a_provider_lacks(home: Path, tmp_path: Path) -> None:
    """A filter or an order that its servers reject is rejected before any request."""
    source = {"provider": "qoder-forward", "sessions": ["s"]}
    environ = write_source(tmp_path / "c.yaml", **source)
    with pytest.raises(SettingsError, match=r"--status idle: source qoder-forward: .*all statuses"):
        poll(environ, home, Selection(statuses=("idle",)))
    with pytest.raises(SettingsError, match=r"source qoder-forward: order: .*one order alone"):
        load_settings(PROVIDERS, write_source(tmp_path / "c.yaml", **source, order="asc"))


def test_sources_side_by_side(home: Path, tmp_path: Path) -> None:
    """A wrong token ends its source, a throttled source is slow; the others are complete."""
    sources: list[dict[str, Any]] = []
    with ExitStack() as stack:
        for provider, (revision, dialect, keys) in SERVERS.items():
            world = World([30], seed=5, revision=revision, clock=lambda: NOW)
            app = Sandbox(world, token=CANARY, dialect=dialect).app
            source = {"provider": provider, "sessions": [*world.sessions], **keys}
            sources.append(source | {"base_url": stack.enter_context(serve(app))})
        throttled = Faulty(Sandbox(world, token=CANARY).app, {1: "429-ms", 2: "429-ms"})
        last = {"base_url": stack.enter_context(serve(throttled)), "token_env": "MINE"}
        sources.append({"name": "throttled", "sessions": [*world.sessions], **last})
        sources[3] |= {"token_env": "WRONG"}
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
        environ = {
            **VARIABLES,
            "TEAM_KEY": SECRET,
            "WRONG": "w",
            "SESSION_THREADS_CONFIG": str(path),
        }
        polls = {polled.source: polled for polled in poll(environ, home)}
    assert {name: polled.outcome for name, polled in polls.items()} == {
        **dict.fromkeys((*SERVERS, "throttled"), "complete"),
        sources[3]["provider"]: "failed",
    }
    assert polls["throttled"].retries == 2
