"""The command as a user meets it: a real process, its output and its exit status."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.sandbox.server import serve
from pipelines.sandbox.world import World
from tests.support import CANARY, Script, read_table, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

COMMAND = str(Path(sys.executable).parent / "session-threads")


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    result = subprocess.run(
        [COMMAND, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert CANARY not in result.stdout + result.stderr
    return result


@pytest.fixture
def fleet(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Serve a small fleet, configured."""
    world = World([0, 30, 120, 5])
    with serve_world(world, monkeypatch):
        yield world
    assert home.name == "home"


def test_run(fleet: World, home: Path) -> None:
    """A run ends with 0 and a summary table on standard output, progress on standard error."""
    result = run("run")
    assert (result.returncode, result.stdout.count("complete")) == (0, 4 + 1)
    assert f"4 of 4 sessions complete, {read_count(home)} threads" in result.stdout
    assert f"Data: {home}" in result.stdout
    for session_id in fleet.sessions:
        assert f"{session_id}: complete, " in result.stderr
    assert max(map(len, result.stdout.splitlines()[:6])) <= 80
    assert "\x1b" not in result.stdout + result.stderr
    assert CANARY not in result.stdout + result.stderr


def read_count(home: Path) -> int:
    """Return the number of published threads."""
    (row,) = read_table(home / "threads.duckdb", "SELECT count(*) AS n FROM threads")
    return int(row["n"])


def test_run_of_one_session(fleet: World, home: Path) -> None:
    """--session polls that session alone; one that nobody configured is refused."""
    session_id = list(fleet.sessions)[1]
    assert run("run", "--session", session_id).returncode == 0
    assert read_table(home / "threads.duckdb", "SELECT DISTINCT session_id FROM threads") == [
        {"session_id": session_id}
    ]
    refused = run("run", "--session", "sess_nobody")
    assert refused.returncode == 2
    assert "sess_nobody: not among the configured sessions" in refused.stderr


def test_partial_run(fleet: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One unknown session ends the command with 1 and a line; the others are loaded."""
    monkeypatch.setenv("QODER_SESSION_IDS", ",".join([*fleet.sessions, "sess_unknown"]))
    result = run("run")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        "session-threads: 1 of 5 sessions are not complete; session sess_unknown"
    )
    assert "404: Session 'sess_unknown' was not found" in last
    assert read_count(home) > 100


def test_refused_token(fleet: World, home: Path) -> None:
    """A refused token ends the command with 3 and a line; the ledger is published."""
    assert fleet.sessions
    result = run("run", QODER_PAT="pt-wrong")
    assert result.returncode == 3
    last = result.stderr.splitlines()[-1]
    assert "the token was refused" in last
    assert "401: Invalid API key or token." in last
    ledger = read_table(home / "threads.duckdb", "SELECT DISTINCT error_type FROM session_polls")
    assert ledger == [{"error_type": "authentication_error"}]
    assert "pt-wrong" not in result.stdout + result.stderr
    assert run("check", QODER_PAT="pt-wrong").returncode == 3


def test_nothing_loaded(home: Path, tmp_path: Path) -> None:
    """Where no session could be listed the command ends with 4 and one line."""
    (tmp_path / "sessions.yaml").write_text(
        "sources: [{base_url: 'http://127.0.0.1:1/x', max_attempts: 1, sessions: [a, b]}]"
    )
    result = run("run", QODER_PAT="pt-x")
    assert result.returncode == 4
    last = result.stderr.splitlines()[-1]
    assert last.startswith("session-threads: nothing could be loaded from 2 sessions; session a")
    assert "127.0.0.1:1 gave no answer" in last
    assert "Traceback" not in result.stderr
    assert (home / "threads.duckdb").exists()


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, "there are no sessions to poll"),
        ({"QODER_SESSION_IDS": "a"}, "QODER_PAT or QODER_ACCESS_TOKEN is not set"),
        ({"QODER_SESSION_IDS": "a/b", "QODER_PAT": "pt-x"}, "must not contain a slash"),
        ({"SESSION_THREADS_CONFIG": "nope.yaml"}, "nope.yaml: no such file"),
        (
            {"QODER_SESSION_IDS": "a,a", "QODER_PAT": "pt-x"},
            "QODER_SESSION_IDS: the session 'a' is",
        ),
    ],
)
def test_bad_configuration(command: str, variables: dict[str, str], line: str) -> None:
    """A bad configuration ends with 2 and one line on standard error, and makes nothing."""
    result = run(command, **variables)
    assert (result.returncode, result.stdout) == (2, "")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("data").exists()


def test_check(fleet: World, home: Path) -> None:
    """Check says what is right; an unreachable host is a line and 2."""
    result = run("check")
    assert result.returncode == 0
    assert "the token is accepted" in result.stdout
    assert f"warehouse: {home}, 0 threads" in result.stdout
    assert fleet.sessions
    unreachable = run("check", QODER_BASE_URL="http://127.0.0.1:1/x")
    assert unreachable.returncode == 2
    assert unreachable.stderr.count("\n") == 1
    assert "127.0.0.1:1 gave no answer" in unreachable.stderr


def test_show_and_sql(fleet: World, home: Path, tmp_path: Path) -> None:
    """Show and sql give the same rows in every format."""
    assert fleet.sessions
    assert run("run").returncode == 0
    catalogue = run("show").stdout
    assert "status_distribution" in catalogue
    assert "How long has each thread lived?" in catalogue
    arguments = ["show", "status_distribution", "--where", "dimension = 'all'", "--limit", "6"]
    query = "FROM analytics.status_distribution WHERE dimension = 'all' LIMIT 6"
    expected = [row["threads"] for row in read_table(home / "threads.duckdb", query)]

    table = run(*arguments).stdout
    assert [int(line.split()[3]) for line in table.splitlines()[2:]] == expected
    text = run(*arguments, "--format", "csv").stdout
    assert [int(row["threads"]) for row in csv.DictReader(text.splitlines())] == expected
    parsed = json.loads(run("sql", f"{query};", "--format", "json").stdout)
    assert [row["threads"] for row in parsed] == expected
    out = tmp_path / "it's.parquet"
    assert run(*arguments, "--out", str(out)).returncode == 0
    assert pl.read_parquet(out)["threads"].to_list() == expected
    assert run("sql", query, "--out", str(tmp_path / "table.txt")).stdout == ""
    assert "archived" in (tmp_path / "table.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sql", "SELECT nope"], "the query failed"),
        (["sql", "DELETE FROM threads"], "the query failed"),
        (["show", "status_distribution", "--where", "nope = 1"], "the query failed"),
    ],
)
def test_failing_queries(fleet: World, arguments: list[str], line: str) -> None:
    """A query that fails is one line and 1; the published copy cannot be written."""
    assert fleet.sessions
    assert run("run").returncode == 0
    result = run(*arguments)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert line in result.stderr


def test_nothing_published() -> None:
    """Before the first run show and sql say what to do."""
    for arguments in (["show", "status_distribution"], ["sql", "SELECT 1"]):
        result = run(*arguments)
        assert result.returncode == 4
        assert "Run `session-threads run` first" in result.stderr


def test_hostile_names_on_a_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters and markup in a name reach no terminal as such."""
    name = "\x1b[31m[bold]x[/bold]\r\nrow\u202e"
    script = Script({"data": [{"id": "t", "name": name}], "has_more": False})
    monkeypatch.setenv("QODER_PAT", CANARY)
    monkeypatch.setenv("QODER_SESSION_IDS", "s")
    with serve(script.app) as base_url:
        assert run("run", QODER_BASE_URL=base_url).returncode == 0
    assert read_table(home / "threads.duckdb", "SELECT name FROM threads") == [{"name": name}]
    shown = run("sql", "SELECT name FROM threads").stdout
    assert "�[31m[bold]x[/bold]��row�" in shown


def test_demo(tmp_path: Path) -> None:
    """The demo needs no credentials, shows both analyses, and says where the database lies."""
    result = run("demo")
    assert result.returncode == 0, result.stderr
    database = tmp_path / "data" / "demo" / "threads.duckdb"
    assert f"The database: {database}" in result.stdout
    assert "Poll 4 of 4" in result.stdout
    assert "elapsed_seconds" in result.stdout
    polls = read_table(database, "SELECT sum(threads_changed) AS n FROM session_polls")
    assert polls[0]["n"] > 0


def test_sandbox_command(home: Path) -> None:
    """The sandbox prints what to export, serves it, and ends on a signal."""
    with subprocess.Popen(
        [COMMAND, "sandbox", "--port", "0", "--sessions", "3", "--threads", "20"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        exported = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        assert run("run", **exported).returncode == 0
        process.terminate()
        assert process.wait(10) == 0
    assert read_count(home) > 10


def test_help_imports_little() -> None:
    """--help answers without dagster, polars or DuckDB."""
    script = (
        "import sys; from pipelines.cli import main; main(['--help'], standalone_mode=False);"
        "print({'dagster', 'polars', 'duckdb', 'httpx', 'pydantic'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "set()"


def test_errors_quote_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's message of many lines becomes one line."""

    async def refuse(_: Request) -> JSONResponse:
        return JSONResponse({"error": {"message": "first\n\nsecond\x1b[2J"}}, 400)

    monkeypatch.setenv("QODER_PAT", CANARY)
    monkeypatch.setenv("QODER_SESSION_IDS", "s")
    with serve(Starlette(routes=[Route("/{path:path}", refuse)])) as base_url:
        result = run("run", QODER_BASE_URL=base_url)
    assert result.returncode == 4
    assert "400: first second" in result.stderr.splitlines()[-1]
    (row,) = read_table(home / "threads.duckdb", "SELECT error_message FROM session_polls")
    assert row["error_message"].isprintable()


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("place", ["/dev/null", "/proc/nowhere", "taken/inside"])
def test_impossible_data_directory(fleet: World, command: str, place: str) -> None:
    """A data directory that cannot be is one line, before any request, and no traceback."""
    assert fleet.sessions
    Path("taken").touch()
    result = run(command, SESSION_THREADS_HOME=place)
    assert result.returncode == (4 if command == "run" else 2)
    assert "Traceback" not in result.stderr
    assert "Let SESSION_THREADS_HOME name a directory of yours" in result.stderr
    assert ": complete" not in result.stderr


@pytest.mark.parametrize("place", ["/nowhere/at/all", "relative"])
def test_impossible_dagster_home(fleet: World, place: str) -> None:
    """A DAGSTER_HOME that is no absolute path of a directory is one line and 2."""
    assert fleet.sessions
    result = run("run", DAGSTER_HOME=place)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "DAGSTER_HOME: " in result.stderr


def test_taken_port() -> None:
    """A port that is taken is one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "Address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_runs_at_once(fleet: World, home: Path) -> None:
    """Of runs at once each waits for the one before it, and none is lost."""
    assert fleet.sessions
    runs = [
        subprocess.Popen([COMMAND, "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [process.wait(120) for process in runs] == [0, 0, 0]
    (row,) = read_table(home / "warehouse.duckdb", "SELECT count(*) AS n FROM runs")
    assert row["n"] == 3


def test_narrow_terminal(fleet: World) -> None:
    """A row too wide for the terminal is shown upright, whole."""
    assert fleet.sessions
    assert run("run").returncode == 0
    shown = run("sql", "FROM threads LIMIT 1", COLUMNS="80", FORCE_COLOR="1", TERM="dumb").stdout
    assert len(shown.splitlines()) >= 28
    assert max(map(len, shown.splitlines())) <= 80 + len("\x1b[1m\x1b[0m")


def test_status(fleet: World, home: Path, tmp_path: Path) -> None:
    """Status shows a line per session, and ends with 1 where one is failing or stale."""
    fresh = run("status")
    assert (fresh.returncode, fresh.stdout.count("never polled")) == (1, 4)
    run("run")
    well = run("status", QODER_PAT="")
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.count(" ok ") == len(fleet.sessions) == len(well.stdout.splitlines()) - 2
    assert "session" in well.stdout.splitlines()[0]
    assert "last complete poll" in well.stdout.splitlines()[0]

    unknown = ",".join([*fleet.sessions, "sess_unheard_of"])
    never = run("status", QODER_SESSION_IDS=unknown)
    assert (never.returncode, "sess_unheard_of is never polled" in never.stderr) == (1, True)
    run("run", QODER_SESSION_IDS=unknown)
    failing = run("status", QODER_SESSION_IDS=unknown)
    assert (failing.returncode, "sess_unheard_of is failing" in failing.stderr) == (1, True)
    assert "was not found" in failing.stdout.splitlines()[2]

    config = tmp_path / "sessions.yaml"
    config.write_text("sources: [{sessions: [x]}]\npoll_interval_minutes: 1\n")
    path = home / "threads.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "UPDATE analytics.ingestion_health SET last_complete_poll = '2026-01-01T00:00:00Z'"
        )
    stale = run("status", SESSION_THREADS_CONFIG=str(config))
    assert (stale.returncode, stale.stderr.strip()) == (
        1,
        f"session-threads: 4 of 4 sessions: {next(iter(fleet.sessions))} is stale",
    )


def test_replay(fleet: World, home: Path) -> None:
    """Replay rebuilds and publishes the same tables; damaged files are left out only if told to."""
    run("run")
    fleet.advance(600)
    run("run")
    before = read_table(home / "threads.duckdb", "FROM thread_status_history ORDER BY ALL")
    (home / "threads.duckdb").unlink()
    (home / "raw" / "foreign.parquet").write_bytes(b"?")
    refused = run("replay")
    assert (refused.returncode, "foreign.parquet: not a landed run" in refused.stderr) == (4, True)
    replayed = run("replay", "--skip-damaged")
    assert (replayed.returncode, "foreign.parquet" in replayed.stderr) == (0, True)
    assert f"replayed 2 runs. Data: {home / 'threads.duckdb'}" in replayed.stdout
    assert read_table(home / "threads.duckdb", "FROM thread_status_history ORDER BY ALL") == before


def test_drift_in_the_summary(home: Path) -> None:
    """The run that first sees something new says so; the next does not."""
    script = Script({"data": [{"id": "t", "status": "dreaming\x1b"}], "has_more": False})
    with serve(script.app) as base_url:
        variables = {"QODER_BASE_URL": base_url, "QODER_PAT": CANARY, "QODER_SESSION_IDS": "s"}
        first, second = run("run", **variables), run("run", **variables)
    assert 'New in the data, see schema_drift: status = "dreaming' in first.stdout
    assert "New in the data" not in second.stdout
    assert "\x1b" not in first.stdout
    assert home.exists()


def test_own_analyses(fleet: World, home: Path, tmp_path: Path) -> None:
    """An analysis of one's own is listed and shown; run ends with 1 where its check finds a row."""
    assert fleet.sessions
    header = "-- answers: How long is it?\n-- grain: one row\n-- columns: {x: a time (seconds)}\n"
    header += "-- needs: []\n-- checks: {small: FROM analytics.mine WHERE x > 7500}\n"
    (tmp_path / "sessions.yaml").write_text("analyses_dir: .\n")
    (tmp_path / "mine.sql").write_text(f"{header}SELECT 7500.0 AS x")
    assert run("run").returncode == 0
    assert "How long is it?" in run("show").stdout
    assert "2h 05m" in run("show", "mine").stdout
    assert run("show", "mine", "--format", "csv").stdout.splitlines() == ["x", "7500.0"]

    (tmp_path / "mine.sql").write_text(f"{header}SELECT 7501.0 AS x")
    failing = run("run")
    assert failing.returncode == 1
    assert failing.stderr.splitlines()[-1] == (
        "session-threads: analysis mine: check small found x=7501.0. The table of before is kept"
    )
    assert read_table(home / "threads.duckdb", "FROM analytics.mine") == [{"x": 7500.0}]
