"""The command as a user meets it: its output and its exit status."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.cli.main import fill_streams
from pipelines.http.opening import import_beside
from pipelines.sandbox.server import serve
from pipelines.sandbox.world import World
from tests.support import CANARY, Script, invoke, read_table, serve_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

COMMAND = str(Path(sys.executable).parent / "session-threads")


def spawn(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, as a separate process."""
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


@contextmanager
def start(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command as a separate process; it ends with the test, whatever happens there."""
    command = [COMMAND, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def fleet(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Serve a small fleet, configured."""
    world = World([0, 30, 120, 5])
    with serve_world(world, monkeypatch):
        yield world
    assert home.name == "home"


@pytest.fixture(scope="module")
def polled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory into which a small fleet was polled, for tests that only read it."""
    directory = tmp_path_factory.mktemp("polled")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SESSION_THREADS_HOME", str(directory))
        with serve_world(World([0, 30, 120, 5]), monkeypatch):
            assert invoke("run").returncode == 0
    return directory


@pytest.fixture
def polled(polled_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return that directory, configured."""
    monkeypatch.setenv("SESSION_THREADS_HOME", str(polled_once))
    return polled_once


@pytest.fixture
def polled_home(polled_once: Path, home: Path) -> Path:
    """Return a copy of that directory, configured, for tests that change it."""
    copytree(polled_once, home)
    return home


def test_run(fleet: World, home: Path) -> None:
    """A run ends with 0 and a summary table on standard output, progress on standard error."""
    result = spawn("run", "--verbose")
    assert (result.returncode, result.stdout.count("complete")) == (0, 4 + 1)
    assert f"4 of 4 sessions complete, {read_count(home)} threads" in result.stdout
    assert f"Data: {home}" in result.stdout
    for session_id in fleet.sessions:
        assert f"{session_id}: complete, " in result.stderr
    assert max(map(len, result.stdout.splitlines()[:6])) <= 100
    assert "\x1b" not in result.stdout + result.stderr
    assert CANARY not in result.stdout + result.stderr


STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_run_into_a_log(fleet: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a log a run writes what failed and one line of totals, both with their time."""
    monkeypatch.setenv("QODER_SESSION_IDS", ",".join([*fleet.sessions, "sess_unknown"]))
    result = invoke("run")
    (summary,) = result.stdout.splitlines()
    assert re.fullmatch(rf"{STAMP} 4 of 5 sessions complete, .* Data: {home}", summary)
    failed, last = result.stderr.splitlines()
    assert re.match(rf"{STAMP} sess_unknown: gone, 0 threads on 0 pages: ", failed)
    assert last.startswith("session-threads: 1 of 5 sessions not complete")


@pytest.mark.slow
def test_full_log(fleet: World, home: Path) -> None:
    """A log that is full takes nothing from a run: all is polled, loaded and published."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [COMMAND, "run", "--verbose"]
        done = subprocess.run(command, stdout=full, stderr=full, check=False, timeout=120)
    assert done.returncode == 1
    listed = sum(len(fleet.list_threads(id_)) for id_ in fleet.sessions)
    assert read_count(home) == listed


def read_count(home: Path) -> int:
    """Return the number of published threads."""
    (row,) = read_table(home / "threads.duckdb", "SELECT count(*) AS n FROM threads")
    return int(row["n"])


def test_run_of_one_session(fleet: World, home: Path) -> None:
    """--session polls that session alone; one that nobody configured is rejected, no status too."""
    session_id = list(fleet.sessions)[1]
    assert invoke("run", "--session", session_id).returncode == 0
    assert read_table(home / "threads.duckdb", "SELECT DISTINCT session_id FROM threads") == [
        {"session_id": session_id}
    ]
    rejected = invoke("run", "--session", "sess_nobody")
    assert rejected.returncode == 2
    assert "sess_nobody: not among the sessions that are configured" in rejected.stderr
    rejected = invoke("run", "--status", "")
    assert (rejected.returncode, rejected.stderr) == (
        2,
        "session-threads: --status '': names no status. Name one, such as running.\n",
    )


@pytest.mark.slow
def test_partial_run(fleet: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One unknown session ends the command with 1 and a line, once; the others are loaded."""
    monkeypatch.setenv("QODER_SESSION_IDS", ",".join([*fleet.sessions, "sess_unknown"]))
    result = invoke("run", "--json")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("session-threads: 1 of 5 sessions not complete; session sess_unknown")
    assert "404: Session 'sess_unknown' was not found" in last
    assert read_count(home) > 100

    document = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert f"session-threads: {document['error']}" == last
    assert (document["exit_status"], document["data"]) == (1, str(home))
    assert (document["findings"], document["drift"]) == ([], [])
    query = (
        "SELECT *, FALSE AS is_known FROM session_polls ORDER BY threads_listed DESC, session_id"
    )
    assert [parse_instants(row) for row in document["sessions"]] == read_table(
        home / "threads.duckdb", query
    )
    assert {row["run_id"] for row in document["sessions"]} == {document["run_id"]}

    again, status = invoke("run", "--json"), invoke("status", "--json")
    assert (again.returncode, status.returncode) == (0, 0)
    asked = {row["session_id"] for row in json.loads(again.stdout)["sessions"]}
    assert asked == {row["session_id"] for row in document["sessions"]} - {"sess_unknown"}
    states = {line["session_id"]: line["state"] for line in json.loads(status.stdout)["sessions"]}
    assert states == dict.fromkeys(fleet.sessions, "ok") | {"sess_unknown": "gone"}


def parse_instants(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the ledger in JSON with its instants, which end in Z, as such."""
    instants = {name: row[name] for name in ("started_at", "finished_at")}
    assert all(text.endswith("Z") for text in instants.values())
    return row | {name: datetime.fromisoformat(text) for name, text in instants.items()}


def test_rejected_token(fleet: World, home: Path) -> None:
    """A rejected token ends the command with 3 and a line; the ledger is published."""
    assert fleet.sessions
    result = invoke("run", QODER_PAT="pt-wrong")
    assert result.returncode == 3
    last = result.stderr.splitlines()[-1]
    assert "the token was rejected" in last
    assert "401: Invalid API key or token." in last
    ledger = read_table(home / "threads.duckdb", "SELECT DISTINCT error_type FROM session_polls")
    assert ledger == [{"error_type": "authentication_error"}]
    assert "pt-wrong" not in result.stdout + result.stderr
    assert invoke("check", QODER_PAT="pt-wrong").returncode == 3


def test_nothing_loaded(home: Path, tmp_path: Path) -> None:
    """Where no session could be listed the command ends with 4 and one line."""
    (tmp_path / "sessions.yaml").write_text(
        "sources: [{base_url: 'http://127.0.0.1:1/x', max_attempts: 1, sessions: [a, b]}]"
    )
    result = invoke("run", QODER_PAT="pt-x")
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
    result = invoke(command, **variables)
    assert (result.returncode, result.stdout) == (2, "")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("data").exists()


def test_check(fleet: World, home: Path) -> None:
    """Check says what is right; an unreachable host is a line and 2."""
    result = invoke("check")
    assert result.returncode == 0
    assert "the token is accepted" in result.stdout
    assert f"warehouse: {home}, 0 threads" in result.stdout
    assert fleet.sessions
    unreachable = invoke("check", QODER_BASE_URL="http://127.0.0.1:1/x")
    assert unreachable.returncode == 2
    assert unreachable.stderr.count("\n") == 1
    assert "127.0.0.1:1 gave no answer (Connection refused). Check base_url" in unreachable.stderr
    rejected = invoke("check", QODER_PAT="pt-another")
    assert rejected.returncode == 3
    assert rejected.stderr.endswith(" Put a valid token into its variable\n")


def test_show_and_sql(polled: Path, tmp_path: Path) -> None:
    """Show and sql give the same rows in every format."""
    catalogue = invoke("show").stdout
    assert "status_distribution" in catalogue
    assert "How long has each thread lived?" in catalogue
    arguments = ["show", "status_distribution", "--where", "dimension = 'all'", "--limit", "6"]
    query = "FROM analytics.status_distribution WHERE dimension = 'all' LIMIT 6"
    expected = [row["threads"] for row in read_table(polled / "threads.duckdb", query)]

    table = invoke(*arguments).stdout
    *rows, same = table.splitlines()[2:]
    assert [int(line.split()[1]) for line in rows] == expected
    assert same.startswith("the same in every row: dimension all, value all, ")
    text = invoke(*arguments, "--format", "csv").stdout
    assert [int(row["threads"]) for row in csv.DictReader(text.splitlines())] == expected
    parsed = json.loads(invoke("sql", f"{query};", "--format", "json").stdout)
    assert [row["threads"] for row in parsed] == expected
    out = tmp_path / "it's.parquet"
    assert invoke(*arguments, "--out", str(out)).returncode == 0
    assert pl.read_parquet(out)["threads"].to_list() == expected
    assert invoke("sql", query, "--out", str(tmp_path / "table.txt")).stdout == ""
    assert "archived" in (tmp_path / "table.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sql", "SELECT nope"], "the query failed"),
        (["sql", "SELECT e'\\x1b[2J'::INTEGER"], "'�[2J'"),
        (["sql", "DELETE FROM threads"], "it must be one SELECT"),
        (["show", "status_distribution", "--where", "nope = 1"], "the query failed"),
    ],
)
def test_failing_queries(polled: Path, arguments: list[str], line: str) -> None:
    """A query that fails is one line and 1; the published copy cannot be written."""
    result = invoke(*arguments, SESSION_THREADS_HOME=str(polled))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert line in result.stderr


def test_new_file_is_private(polled: Path) -> None:
    """What holds names of threads is its owner's alone, whatever the shell allows others."""
    mask = os.umask(0o022)
    try:
        done = invoke("show", "attention", "--out", "a.csv", SESSION_THREADS_HOME=str(polled))
    finally:
        os.umask(mask)
    assert (done.returncode, Path("a.csv").stat().st_mode & 0o777) == (0, 0o600)


def test_nothing_published() -> None:
    """Before the first run show and sql say what to do."""
    for arguments in (["show", "status_distribution"], ["sql", "SELECT 1"]):
        result = invoke(*arguments)
        assert result.returncode == 4
        assert "Run `session-threads run` first" in result.stderr


def test_hostile_names_on_a_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters and markup in a name reach no terminal as such."""
    name = "\x1b[31m[bold]x[/bold]\r\nrow\u202e"
    script = Script({"data": [{"id": "t", "name": name}], "has_more": False})
    monkeypatch.setenv("QODER_PAT", CANARY)
    monkeypatch.setenv("QODER_SESSION_IDS", "s")
    with serve(script.app) as base_url:
        assert invoke("run", QODER_BASE_URL=base_url).returncode == 0
    assert read_table(home / "threads.duckdb", "SELECT name FROM threads") == [{"name": name}]
    shown = invoke("sql", "SELECT name FROM threads").stdout
    assert "�[31m[bold]x[/bold]��row�" in shown


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    """The demo needs no credentials, shows analyses, and says what to export to look further."""
    result = spawn("demo")
    assert result.returncode == 0, result.stderr
    database = tmp_path / "data" / "demo" / "threads.duckdb"
    assert f"The database: {database}" in result.stdout
    assert "Poll 4 of 4" in result.stdout
    assert "elapsed" in result.stdout
    polls = read_table(database, "SELECT sum(threads_changed) AS n FROM session_polls")
    assert polls[0]["n"] > 0
    exports = [line for line in result.stdout.splitlines() if line.startswith("export ")]
    exported = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    assert "Fix flaky login test" in invoke("status", **exported).stdout


def test_sandbox_command(home: Path) -> None:
    """The sandbox prints what to export, serves it, and ends on a signal."""
    with start("sandbox", "--port", "0", "--sessions", "3", "--threads", "20") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().decode() for _ in range(3)]
        exported = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        assert invoke("run", **exported).returncode == 0
        process.terminate()
        assert process.wait(60) == 0
    assert read_count(home) > 10


def test_help_imports_little() -> None:
    """--help answers without dagster, polars or DuckDB."""
    script = (
        "import sys; from pipelines.cli.main import main; main(['--help'], standalone_mode=False);"
        "print({'dagster', 'polars', 'duckdb', 'aiohttp', 'httpx', 'pydantic'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "set()"


def test_what_sends_requests_is_imported_beside_the_history() -> None:
    """A run has imported no client of HTTP, and no polars, before the history is read."""
    script = (
        "import sys, threading; from pipelines import steps;"
        "from pipelines.http.opening import import_beside;"
        "late = lambda: {'aiohttp', 'httpx', 'tenacity', 'polars'} & set(sys.modules);"
        "print(late(), import_beside(threading.current_thread) is threading.main_thread(),"
        " sorted(late()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set() False ['aiohttp', 'httpx', 'tenacity']\n"


def test_what_fails_beside_the_imports_is_raised() -> None:
    """What is done beside the imports raises as if it were done alone."""
    with pytest.raises(ValueError, match="'no number'"):
        import_beside(partial(int, "no number"))


def test_a_run_collects_no_garbage(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules and rows are many objects, and no garbage: nobody looks for some among them."""
    script = (
        "import gc; from pipelines.cli.main import main, collect_rarely; collect_rarely();"
        "before = gc.get_stats(); main(['run'], standalone_mode=False);"
        "print(sum(b['collections'] - a['collections'] for a, b in zip(before, gc.get_stats())))"
    )
    with serve_world(World([300]), monkeypatch):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
    assert done.stdout.splitlines()[-1] == "0"
    assert read_count(home) > 100


def test_errors_quote_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's message of many lines becomes one line."""

    async def reject(_: Request) -> JSONResponse:
        return JSONResponse({"error": {"message": "first\n\nsecond\x1b[2J"}}, 400)

    monkeypatch.setenv("QODER_PAT", CANARY)
    monkeypatch.setenv("QODER_SESSION_IDS", "s")
    with serve(Starlette(routes=[Route("/{path:path}", reject)])) as base_url:
        result = invoke("run", QODER_BASE_URL=base_url)
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
    result = invoke(command, SESSION_THREADS_HOME=place)
    assert result.returncode == 4
    assert "Traceback" not in result.stderr
    assert "Let SESSION_THREADS_HOME name a directory of yours" in result.stderr
    assert ": complete" not in result.stderr


def test_taken_port() -> None:
    """A port that is taken is one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = invoke("sandbox", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "Address already in use" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_runs_at_once(fleet: World, home: Path) -> None:
    """Two runs at once end as one after the other: each waits, and none is lost."""
    assert fleet.sessions
    runs = [
        subprocess.Popen([COMMAND, "run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(120) for process in runs] == [0, 0]
    ledger = read_table(home / "threads.duckdb", "SELECT run_id, threads_new FROM session_polls")
    assert (len({row["run_id"] for row in ledger}), len(ledger)) == (2, 8)
    assert sum(row["threads_new"] for row in ledger) == read_count(home) > 100


def test_narrow_terminal(polled: Path) -> None:
    """A row too wide for the terminal is shown upright, whole."""
    assert (polled / "threads.duckdb").exists()
    shown = invoke("sql", "FROM threads LIMIT 1", COLUMNS="80", FORCE_COLOR="1", TERM="dumb").stdout
    assert len(shown.splitlines()) >= 28
    assert max(map(len, shown.splitlines())) <= 80 + len("\x1b[1m\x1b[0m")


@pytest.mark.slow
def test_status(fleet: World, home: Path, tmp_path: Path) -> None:
    """Status shows a line per session, and ends with 1 where one is failing or stale."""
    fresh = invoke("status")
    assert (fresh.returncode, fresh.stdout.count("never polled")) == (1, 4 + 1)
    invoke("run")
    well = invoke("status", QODER_PAT="")
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.count(" ok ") == len(fleet.sessions) == len(well.stdout.splitlines()) - 3
    assert "session" in well.stdout.splitlines()[0]
    assert "last complete" in well.stdout.splitlines()[0]

    unknown = ",".join([*fleet.sessions, "sess_unheard_of"])
    never = invoke("status", QODER_SESSION_IDS=unknown)
    assert (never.returncode, "sess_unheard_of is never polled" in never.stderr) == (1, True)
    invoke("run", QODER_SESSION_IDS=unknown)
    gone = invoke("status", QODER_SESSION_IDS=unknown)
    assert (gone.returncode, gone.stderr) == (0, "")
    assert re.match(r"sess_unheard_of +gone .* was not found", gone.stdout.splitlines()[2])
    assert gone.stdout.splitlines()[-1] == "5 sessions: 4 ok, 1 gone"

    machine = invoke("status", "--json", QODER_SESSION_IDS=unknown)
    assert (machine.returncode, machine.stderr) == (0, "")
    document = json.loads(machine.stdout)
    assert document["error"] is None
    as_of = datetime.fromisoformat(document["as_of"])
    assert timedelta(0) <= datetime.now(UTC) - as_of < timedelta(minutes=1)
    states = [(session["session_id"], session["state"]) for session in document["sessions"]]
    assert states[0] == ("sess_unheard_of", "gone")
    assert states[1:] == [(session_id, "ok") for session_id in fleet.sessions]
    query = "SELECT max(started_at) AS at FROM session_polls WHERE outcome = 'complete'"
    (newest,) = read_table(home / "threads.duckdb", query)
    polled = [session["last_complete_poll"] for session in document["sessions"][1:]]
    assert max(map(datetime.fromisoformat, polled)) == newest["at"]

    config = tmp_path / "sessions.yaml"
    config.write_text("sources: [{sessions: [x]}]\npoll_interval_minutes: 1\n")
    path = home / "threads.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "UPDATE analytics.ingestion_health SET last_complete_poll = '2026-01-01T00:00:00Z'"
        )
    stale = invoke("status", SESSION_THREADS_CONFIG=str(config))
    assert (stale.returncode, stale.stderr.strip()) == (
        1,
        f"session-threads: 4 of 4 sessions: {next(iter(fleet.sessions))} is stale",
    )


def test_replay(polled_home: Path) -> None:
    """Replay rebuilds and publishes the same tables; damaged files are skipped only if asked to."""
    home = polled_home
    before = read_table(home / "threads.duckdb", "FROM thread_status_history ORDER BY ALL")
    (home / "threads.duckdb").unlink()
    (home / "raw" / "foreign.parquet").write_bytes(b"?")
    rejected = invoke("replay")
    assert (rejected.returncode, "foreign.parquet: not a landed run" in rejected.stderr) == (
        4,
        True,
    )
    replayed = invoke("replay", "--skip-damaged")
    assert (replayed.returncode, "foreign.parquet" in replayed.stderr) == (0, True)
    assert f"replayed 1 run. Data: {home / 'threads.duckdb'}" in replayed.stdout
    assert read_table(home / "threads.duckdb", "FROM thread_status_history ORDER BY ALL") == before


def test_drift_in_the_summary(home: Path) -> None:
    """The run that first sees something new says so."""
    script = Script({"data": [{"id": "t", "status": "dreaming\x1b"}], "has_more": False})
    with serve(script.app) as base_url:
        variables = {"QODER_BASE_URL": base_url, "QODER_PAT": CANARY, "QODER_SESSION_IDS": "s"}
        first = invoke("run", **variables)
    assert 'New in the data, see schema_drift: status = "dreaming' in first.stdout
    assert "\x1b" not in first.stdout
    assert home.exists()


@pytest.mark.slow
def test_own_analyses(fleet: World, home: Path, tmp_path: Path) -> None:
    """An analysis of one's own is listed and shown; run ends with 1 where its check finds a row."""
    assert fleet.sessions
    header = "-- answers: How long is it?\n-- grain: one row\n-- columns: {x: a time (seconds)}\n"
    header += "-- checks: {small: FROM analytics.mine WHERE x > 7500}\n"
    (tmp_path / "sessions.yaml").write_text("analyses_dir: .\n")
    (tmp_path / "mine.sql").write_text(f"{header}SELECT 7500.0 AS x")
    assert invoke("run").returncode == 0
    assert "How long is it?" in invoke("show").stdout
    assert "2h 05m" in invoke("show", "mine").stdout
    assert invoke("show", "mine", "--format", "csv").stdout.splitlines() == ["x", "7500.0"]

    (tmp_path / "mine.sql").write_text(f"{header}SELECT 7501.0 AS x")
    failing = invoke("run")
    assert failing.returncode == 1
    assert failing.stderr.splitlines()[-1] == (
        "session-threads: analysis mine: check small found x=7501.0. The previous table is kept"
    )
    assert read_table(home / "threads.duckdb", "FROM analytics.mine") == [{"x": 7500.0}]


@pytest.mark.slow
def test_build(polled_home: Path, tmp_path: Path) -> None:
    """Build makes an analysis and what it reads, or all, and publishes; it asks no server."""
    header = "-- answers: What?\n-- grain: one row\n-- columns: {n: number of threads}\n"
    checks = "-- checks: {few: FROM analytics.mine WHERE n > 1}\n"
    query = "SELECT count(*) AS n FROM analytics.thread_durations"
    (tmp_path / "sessions.yaml").write_text("analyses_dir: .\n")
    home = polled_home
    asked = len(read_table(home / "threads.duckdb", "FROM session_polls"))
    (tmp_path / "mine.sql").write_text(f"{header}{query}")
    built = invoke("build", "mine")
    data = f"Data: {home / 'threads.duckdb'}\n"
    assert (built.returncode, built.stdout) == (0, f"built 2 analyses. {data}")
    listed = read_count(home)
    assert read_table(home / "threads.duckdb", "FROM analytics.mine") == [{"n": listed}]
    assert len(read_table(home / "threads.duckdb", "FROM session_polls")) == asked

    (tmp_path / "mine.sql").write_text(f"{header}{checks}{query}")
    failing = invoke("build")
    assert failing.returncode == 1
    assert failing.stderr == (
        f"session-threads: analysis mine: check few found n={listed}. The previous table is kept\n"
    )
    fixes = {"mime": "Did you mean mine?", "%": "The analyses are: agent_versions, attention, "}
    for command, (name, fix) in product(("build", "show"), fixes.items()):
        unknown = invoke(command, name)
        assert (unknown.returncode, unknown.stdout) == (2, "")
        assert unknown.stderr.startswith(
            f"session-threads: {name}: there is no such analysis. {fix}"
        )


@pytest.mark.slow
def test_build_heeds_the_settings(polled_home: Path, tmp_path: Path) -> None:
    """What the configuration says of the analyses holds for a build without a poll, too."""
    (tmp_path / "sessions.yaml").write_text("attention_after_minutes: 7\n")
    assert invoke("build").returncode == 0
    query = "SELECT value FROM analysis_settings WHERE name = 'attention_after_minutes'"
    assert read_table(polled_home / "threads.duckdb", query) == [{"value": 7.0}]


@pytest.fixture
def published(home: Path, tmp_path: Path) -> Path:
    """Return a published copy with one analysis of one's own, `own`."""
    header = "-- answers: What?\n-- grain: one row\n-- columns:\n"
    columns = "".join(f"--   {name}: a time (seconds)\n" for name in OWN)
    row = ", ".join(f"{value} AS {name}" for name, value in OWN.items())
    (tmp_path / "sessions.yaml").write_text("analyses_dir: .\n")
    (tmp_path / "own.sql").write_text(f"{header}{columns}SELECT {row}")
    home.mkdir()
    with duckdb.connect(str(home / "threads.duckdb")) as connection:
        connection.execute("CREATE SCHEMA analytics")
        connection.execute(f"CREATE TABLE analytics.own AS SELECT {row} FROM range(3)")
    return home / "threads.duckdb"


OWN = {
    "number": "7500::DECIMAL(9, 1)",
    "words": "'two'",
    "span": "INTERVAL 90 MINUTE",
    "endless": "'inf'::DOUBLE",
    "unknown": "'nan'::DOUBLE",
    "nothing": "NULL::INTEGER",
    "flag": "true",
    "clock": "TIME '10:11:12.5'",
}
# Takes hours.
ENDLESS = """
SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 42
"""


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_appended_output(published: Path, tmp_path: Path, form: str) -> None:
    """What is appended to a file leaves what it held, in every format."""
    assert published.exists()
    appended = tmp_path / "appended"
    appended.write_text("precious\n")
    command = ("show", "own", "--format", form)
    with appended.open("ab") as file:
        subprocess.run([COMMAND, *command], stdout=file, check=True)
    plain = subprocess.run([COMMAND, *command], stdout=subprocess.PIPE, check=True).stdout
    assert len(plain) > 0
    assert appended.read_bytes() == b"precious\n" + plain


@pytest.mark.parametrize("form", ["table", "csv"])
def test_full_disk(published: Path, form: str) -> None:
    """Standard output that takes nothing more is one line."""
    assert published.exists()
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [COMMAND, "show", "own", "--format", form],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in result.stderr


@pytest.mark.parametrize("form", ["table", "csv"])
def test_closed_pipe(published: Path, form: str) -> None:
    """A reader that has read enough ends the command in silence."""
    assert published.exists()
    query = "SELECT repeat('x', 10000) AS x FROM range(150)"
    with start("sql", query, "--format", form) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(5)
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "csv"])
def test_interrupted_query(published: Path, form: str) -> None:
    """Ctrl-C ends a long query at once, as a signal does: to a shell that is 130."""
    assert published.exists()
    with start("sql", ENDLESS, "--format", form) as process:
        while not is_busy(process.pid):
            assert process.poll() is None  # it would never be
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")


def is_busy(pid: int) -> bool:
    """Whether a process holds the published copy open and has computed for two seconds."""
    open_files = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            open_files.append(str(link.readlink()))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds > 2 and any(name.endswith("threads.duckdb") for name in open_files)


def test_durations_of_any_type(published: Path) -> None:
    """Of columns documented in seconds, finite numbers read as durations, all else as it is."""
    assert published.exists()
    result = invoke("sql", "SELECT TIME '10:11:12' AS at, DATE '2026-01-02' AS day")
    assert result.stdout.splitlines()[-1].split() == ["10:11:12", "2026-01-02"]
    shown = invoke("show", "own", "--limit", "1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-1].split() == [
        *("2h", "05m", "two", "1:30:00", "inf", "nan", "True", "10:11:12")
    ]


def test_letters_that_the_locale_has_not(published: Path) -> None:
    """A name that standard output cannot encode is shown as far as it can be."""
    assert published.exists()
    shown = spawn("sql", "SELECT 'naïve' AS name", PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-1] == "na?ve"


def test_condition_with_a_comment(published: Path) -> None:
    """A comment in --where takes nothing else with it."""
    assert published.exists()
    shown = invoke("show", "own", "--where", "flag -- hi", "--limit", "1", "--format", "csv")
    assert len(shown.stdout.splitlines()) == 1 + 1
    either = invoke("show", "own", "--where", "false OR flag", "--format", "csv")
    assert len(either.stdout.splitlines()) == 1 + 3


@pytest.mark.parametrize("form", ["table", "csv"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "own", "--where", "1=1); COPY (SELECT 42) TO 'x'; FROM (SELECT 1 AS a"],
        ["show", "own", "--where", "1=1\n) /*", "--limit", "1"],
        ["sql", "SELECT 1); COPY (SELECT 42) TO 'x'; FROM (SELECT 1 AS a"],
        ["sql", "SELECT 1; COPY (SELECT 42) TO 'x'"],
        ["sql", "COPY (SELECT 42) TO 'x'"],
        ["sql", "ATTACH 'x'"],
        ["sql", "SELECT 1; SELECT 2"],
        ["sql", "/* nothing */"],
    ],
)
def test_one_query_alone(published: Path, form: str, arguments: list[str]) -> None:
    """What is no single query is rejected in one line, and writes nothing."""
    assert published.exists()
    result = invoke(*arguments, "--format", form)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("session-threads: the query ")
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "query",
    [
        "DESCRIBE analytics.own",
        "SUMMARIZE SELECT 1 AS a",
        "SHOW ALL TABLES",
        "WITH x AS (SELECT 1) FROM x -- hi",
        "PIVOT analytics.own ON flag USING count(*) GROUP BY words;",
    ],
)
def test_queries_of_every_kind(published: Path, query: str) -> None:
    """Whatever gives rows is one query, in a table and in a file's format."""
    assert published.exists()
    for form in ("table", "csv"):
        result = invoke("sql", query, "--format", form)
        assert (result.returncode, result.stderr) == (0, "")
        assert len(result.stdout.splitlines()) > 1


def test_list_in_every_format(tmp_path: Path) -> None:
    """The list of analyses heeds --format and --out before anything is published."""
    listed = json.loads(invoke("show", "--format", "json").stdout)
    assert {"name": "stop_reasons", "answers": "Why do turns end?"} in listed
    assert [row["name"] for row in listed] == sorted(row["name"] for row in listed)
    assert invoke("show", "--out", "list.csv").stdout == ""
    with (tmp_path / "list.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == listed
    for option in (["--where", "true"], ["--limit", "1"], ["--wide"], ["--columns", "name"]):
        rejected = invoke("show", *option)
        assert (rejected.returncode, rejected.stdout) == (2, "")
        assert rejected.stderr == (
            "session-threads: options that choose rows or columns need the NAME of an analysis\n"
        )


def test_analysis_of_the_next_run(published: Path) -> None:
    """An analysis whose table is not published yet is one line that says when it will be."""
    assert published.exists()
    Path("own.sql").rename("mine.sql")
    for form in ("table", "csv"):
        result = invoke("show", "mine", "--format", form)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == (
            "session-threads: analytics.mine: not in the published copy yet."
            " `session-threads run` builds it, or says why it cannot\n"
        )


def test_closed_streams_lead_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a command whose standard output is closed what it prints is lost, and nothing else."""
    monkeypatch.setattr(sys, "stdout", None)
    assert sys.stderr is not None
    errors = sys.stderr
    fill_streams()
    sys.stdout.write("x")
    assert (sys.stdout.name, sys.stderr) == (os.devnull, errors)
    sys.stdout.close()


def test_errors_of_files_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system says of a path that nobody thought of is not said of the output."""
    monkeypatch.setenv("SESSION_THREADS_HOME", "x" * 300)
    monkeypatch.setenv("QODER_SESSION_IDS", "sess_1")
    result = invoke("status")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"session-threads: \S*x{300}\S*: File name too long\n", result.stderr)
