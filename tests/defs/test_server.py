"""The guard before Dagster's web server, on loopback, and what the server says of its directory."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from pipelines.defs.guard import Guard
from pipelines.defs.server import drop_secrets, main
from pipelines.sandbox.server import serve
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.websockets import WebSocket

JSON = {"content-type": "application/json"}
BODY = '{"query": "mutation {…}"}'


async def obey(request: Request) -> PlainTextResponse:
    """Do whatever is asked, as Dagster does."""
    await request.body()
    return PlainTextResponse("done")


async def accept(websocket: WebSocket) -> None:
    """Take any connection, as Dagster does."""
    await websocket.accept()
    await websocket.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """Serve what does everything for everybody, behind the guard; give its host and port."""
    app = Starlette(
        routes=[
            WebSocketRoute("/graphql", accept),
            Route("/{path:path}", obey, methods=["GET", "POST", "PUT"]),
        ]
    )
    hosts: list[str] = []
    guard = Guard(app, [])
    with serve(guard) as base_url:
        hosts.append(urlsplit(base_url).netloc)
        guard.hosts = frozenset([*hosts, "threads.example.org"])
        yield hosts[0]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        # What its own pages ask, and programs that are no browser.
        ("GET", "/", {}, 200),
        ("GET", "/locations?filter=query", {}, 200),
        ("POST", "/graphql", JSON, 200),
        ("POST", "/graphql?op=Runs", JSON | {"origin": "http://HOST"}, 200),
        ("POST", "/graphql", {"content-type": "Application/JSON; charset=utf-8"}, 200),
        ("POST", "/graphql", JSON | {"host": "Threads.example.org"}, 200),
        ("POST", "/graphql", JSON | {"origin": "https://threads.example.org"}, 200),
        # A picture or a link on any page.
        ("GET", "/graphql?query=mutation{x}", {}, 405),
        ("GET", "/graphql?a=1&%71uery=mutation{x}", {}, 405),
        ("GET", "/graphql?query=mutation{x}", {"host": "a.example", "origin": "http://b"}, 421),
        # A form or a script of any page, which must ask nobody before.
        ("POST", "/graphql?query=mutation{x}", {"content-type": "text/plain"}, 405),
        ("POST", "/graphql", {"content-type": "text/plain"}, 415),
        ("POST", "/graphql", {"content-type": "text/plain; x=application/json"}, 415),
        ("POST", "/graphql", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/report_asset_materialization/threads", {}, 415),
        ("PUT", "/graphql", {}, 415),
        ("POST", "/graphql", JSON | {"origin": "http://attacker.example"}, 403),
        ("POST", "/graphql", JSON | {"origin": "http://HOST.attacker.example"}, 403),
        ("POST", "/graphql", JSON | {"origin": "http://HOST@attacker.example"}, 403),
        ("POST", "/graphql", JSON | {"origin": "http://localhost:9"}, 403),
        ("POST", "/graphql", JSON | {"origin": "null"}, 403),
        # A name that someone has pointed at this machine.
        ("GET", "/", {"host": "attacker.example"}, 421),
        ("POST", "/graphql", JSON | {"host": "HOST.attacker.example"}, 421),
        ("POST", "/graphql", JSON | {"host": "127.0.0.1"}, 421),
    ],
)
def test_guard(guarded: str, method: str, path: str, headers: dict[str, str], status: int) -> None:
    """The server does what its own pages ask, and for no other; none may show it in a frame."""
    sent = {name: value.replace("HOST", guarded) for name, value in headers.items()}
    with httpx.Client(trust_env=False) as client:
        answer = client.request(method, f"http://{guarded}{path}", headers=sent, content=BODY)
    assert answer.status_code == status
    assert (answer.text == "done") == (status == 200)
    if status == 200:
        assert answer.headers["x-frame-options"] == "DENY"
    else:
        assert answer.text.startswith("rejected: ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Origin: http://HOST", 101),
        ("", 101),
        ("Origin: http://attacker.example", 403),
        ("Origin: null", 403),
    ],
)
def test_websocket(guarded: str, headers: str, status: int) -> None:
    """A page of someone else opens no websocket, for which a browser asks nobody before."""
    name, port = guarded.split(":")
    request = (
        f"GET /graphql HTTP/1.1\r\nHost: {guarded}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"{headers.replace('HOST', guarded)}\r\n\r\n"
    ).replace("\r\n\r\n\r\n", "\r\n\r\n")
    with socket.create_connection((name, int(port)), timeout=20) as connection:
        connection.sendall(request.encode())
        answer = connection.recv(1000)
    assert answer.split()[1] == str(status).encode()


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("", "it is not set. Name a directory, as `make dev` does."),
        ("dagster_home", "'dagster_home' is not a whole path. Begin it with /."),
        ("/nowhere/dagster_home", "/nowhere/dagster_home is no directory. Name one, or make it."),
    ],
)
def test_unusable_dagster_home(named: str, problem: str) -> None:
    """What `make dev` starts says in one line what is wrong with DAGSTER_HOME, and ends with 2."""
    result = CliRunner().invoke(main, [], env={"DAGSTER_HOME": named})
    assert (result.exit_code, result.stderr) == (2, f"session-threads: DAGSTER_HOME: {problem}\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("storage: [", "/dagster.yaml cannot be read (while parsing a flow node"),
        ("\x07", "/dagster.yaml cannot be read (unacceptable character"),
        ("no_such_key: 1", " cannot be used (Errors whilst loading dagster instance config"),
    ],
)
def test_unusable_instance(tmp_path: Path, text: str, problem: str) -> None:
    """A dagster.yaml that is none is one line that names its directory."""
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, [], env={"DAGSTER_HOME": str(tmp_path)})
    assert result.exit_code == 2
    assert result.stderr.startswith(f"session-threads: DAGSTER_HOME: {tmp_path}{problem}")
    assert result.stderr.count("\n") == 1


def test_secrets_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server forgets the providers' tokens and every variable that the file names for one."""
    keys = "webhook_url_env: HOOK\nsources: [{name: x, token_env: TOKEN, sessions: [s]}]\n"
    (tmp_path / "sessions.yaml").write_text(keys, encoding="utf-8")
    environ = dict.fromkeys(("QODER_PAT", "QODER_ACCESS_TOKEN", "HOOK", "TOKEN"), CANARY)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    drop_secrets(os.environ)
    assert not environ.keys() & os.environ.keys()
    (tmp_path / "sessions.yaml").write_text("webhook_url_env: [", encoding="utf-8")
    monkeypatch.setenv("QODER_PAT", CANARY)
    drop_secrets(os.environ)
    assert "QODER_PAT" not in os.environ
