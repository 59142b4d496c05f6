"""What several tests need: servers over real HTTP, and an independent reading of a thread."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import duckdb
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from pipelines.cli.main import main
from pipelines.config.loader import complete_source
from pipelines.config.settings import Settings, Source
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.server import Sandbox, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from pipelines.sandbox.world import World

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
# The token of every test: it must be found in nothing that the suite makes (see conftest.py).
CANARY = "pt-canary-7d1f0b6e9c"
Answer = tuple[int, dict[str, str], str | bytes]


def read_blocks(page: Path, language: str) -> list[str]:
    """Return a page's code blocks in a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run_printed(*command: str) -> str:
    """Run a command of a page, which must succeed, in the working directory; return its output."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert result.returncode == 0, f"{command}: {result.stderr}"
    return result.stdout


def invoke(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in this process, which answers like a separate one, but sooner."""
    with (
        TemporaryFile("w+", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8") as err,
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(arguments, prog_name="session-threads")
        texts = [read_back(file) for file in (out, err)]
    assert CANARY not in "".join(texts)
    status = ended.value.code
    assert isinstance(status, int)
    return subprocess.CompletedProcess(arguments, status, *texts)


def read_back(file: IO[str]) -> str:
    """Return what was written into a file."""
    file.seek(0)
    return file.read()


@contextmanager
def serve_world(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a world and configure every session of it; give the base URL."""
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        monkeypatch.setenv("QODER_PAT", CANARY)
        monkeypatch.setenv("QODER_SESSION_IDS", ",".join(world.sessions))
        yield base_url


class Script:
    """A server that gives the answers in turn, the last one again and again, and notes requests."""

    def __init__(self, *answers: Answer | dict[str, Any]) -> None:
        self.answers = [
            answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer))
            for answer in answers
        ]
        self.requests: list[Request] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request: Request) -> Response:
        """Note the request and give the next answer."""
        self.requests.append(request)
        status, headers, body = self.answers[min(len(self.requests), len(self.answers)) - 1]
        return Response(body, status, headers)

    @property
    def queries(self) -> list[str]:
        """The query strings in the order in which they came."""
        return [request.url.query for request in self.requests]


class Receiver:
    """A webhook: it answers `status`, and keeps the text of each message that it took."""

    path = f"/services/{CANARY}"  # the URL of a webhook is as secret as a token

    def __init__(self) -> None:
        self.status = 200
        self.requests = 0
        self.texts: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        """Take a message of exactly the documented form, or reject it."""
        self.requests += 1
        message = json.loads(await request.body())
        assert message.keys() == {"text"}
        assert request.url.path.endswith(self.path)
        if self.status == 200:
            self.texts.append(message["text"])
        return Response("no", self.status, {"location": "/elsewhere"})


def make_source(base_url: str = "http://127.0.0.1:1/x", **keys: Any) -> Source:
    """Return a source with one session, quick retries and a token."""
    defaults = {"sessions": ["sess_1"], "min_page_interval_ms": 0, "max_requests_per_second": 1000}
    keys = {"name": "qoder", "base_url": base_url, **defaults, **keys}
    complete_source(keys, PROVIDERS[keys.get("provider", "qoder")])
    source = Settings.model_validate({"sources": [keys]}).sources[0]
    source._token = SecretStr(CANARY)  # noqa: SLF001 - as load_settings does
    return source


def read_table(path: Path, query: str) -> list[dict[str, Any]]:
    """Return a query's rows from a DuckDB file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(query)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def expect_row(thread: dict[str, Any], source: str = "qoder") -> dict[str, Any]:
    """Return the row of `threads` that a sandbox's thread must become, read off the data model."""
    agent, stats = thread.get("agent") or {}, thread.get("stats") or {}
    named = {name: thread.get(f"agent_{name}") or agent.get(name) for name in ("id", "name")}
    model = agent.get("model")
    is_closed = thread["archived_at"] or thread["status"] in {"archived", "terminated", "cancelled"}
    derived_role = "child" if thread["parent_thread_id"] else "coordinator"
    return {
        "source": source,
        "session_id": thread["session_id"],
        "thread_id": thread["id"],
        "parent_thread_id": thread["parent_thread_id"],
        "role": thread.get("role", derived_role),
        "name": thread.get("name") or None,
        "created_by_tool_use_id": thread.get("created_by_tool_use_id"),
        "agent_id": named["id"] or thread.get("template_id"),
        "agent_type": agent.get("type"),
        "agent_name": named["name"],
        "agent_model": model["id"] if isinstance(model, dict) else model,
        "agent_version": thread.get("agent_version", agent.get("version")),
        "status": thread["status"],
        "stop_reason_type": (thread.get("stop_reason") or {}).get("type"),
        "stop_reason": thread.get("stop_reason") or None,
        "is_open": not is_closed,
        "created_at": read_instant(thread["created_at"]),
        "updated_at": read_instant(thread["updated_at"]),
        "archived_at": read_instant(thread["archived_at"]),
        "active_seconds": stats.get("active_seconds"),
        "duration_seconds": stats.get("duration_seconds"),
        "startup_seconds": stats.get("startup_seconds"),
        "usage": thread.get("usage"),
        "workflow_run_id": None,
        "extra": None,
        "missing_since": None,
    }


def read_instant(text: str | None) -> datetime | None:
    """Read an RFC 3339 instant, cut to microseconds."""
    if text is None:
        return None
    head, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.strptime(f"{head}+0000", "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
    return moment.replace(microsecond=int(fraction[:6].ljust(6, "0") or 0))


def decode_json_columns(row: dict[str, Any]) -> dict[str, Any]:
    """Decode the JSON columns of a row, whose order of keys means nothing."""
    names = row.keys() & {"stop_reason", "usage", "metadata", "extra"}
    return row | {name: row[name] and json.loads(row[name]) for name in names}
