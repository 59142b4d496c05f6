"""What a terminal shows: real ones of 80 columns, against a server that means harm."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.cli.console import SUMMARY_COLUMNS, print_health, print_summary
from pipelines.cli.exit_status import exit_of_run
from pipelines.cli.printing import Warnings
from pipelines.cli.progress import watch_poll
from pipelines.records import Poll
from pipelines.reporting.health import Health
from pipelines.reporting.loads import Result
from pipelines.sandbox.server import serve
from pipelines.warehouse.analyses import list_analyses
from tests.support import CANARY, ROOT, invoke

if TYPE_CHECKING:
    from starlette.requests import Request

COMMAND = str(Path(sys.executable).parent / "session-threads")
# Clears the screen, names the window, rings, draws rich's markup, turns the line around.
EVIL = "\x1b[2J\x1b]0;owned\x07[bold]x[/bold]\u202e\x9b31m"
HARMFUL = ("\x1b[2J", "\x1b]0;", "\x07", "\u202e", "\x9b")
LONG = "sess_" + "x" * 100
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run the command in a terminal; return its exit status and all that it sent there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, **variables, "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen(
        [COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        sent = b""
        while chunk := read_chunk(ours):
            sent += chunk
    os.close(ours)
    text = sent.decode()
    assert CANARY not in text
    return process.returncode, text


def read_chunk(terminal: int) -> bytes:
    """Return what comes next, and nothing after the end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # as Linux says that nobody writes there any more
        return b""


def read_lines(text: str) -> list[str]:
    """Return the lines of a terminal's output without what moves the cursor."""
    return [line.rpartition("\r")[2] for line in ESCAPES.sub("", text).split("\r\n")]


class Hostile:
    """A server that means harm: `evil` is rejected, `busy` asks to wait once, all is named EVIL."""

    def __init__(self) -> None:
        self.app = Starlette(routes=[Route("/{base:path}/sessions/{id}/threads", self.answer)])
        self.has_waited = False

    async def answer(self, request: Request) -> JSONResponse:
        """Answer a page, or fail."""
        if request.path_params["id"] == "evil":
            return JSONResponse({"error": {"message": EVIL, "type": EVIL}}, 400)
        if request.path_params["id"] == "busy" and not self.has_waited:
            self.has_waited = True
            return JSONResponse({}, 429, {"retry-after": "1"})
        if request.path_params["id"] == "loop":
            return JSONResponse({"data": [{"id": EVIL}], "has_more": True, "next_page": EVIL})
        thread = {"id": "t", "name": EVIL, "status": EVIL, "agent": {"id": "a", "name": "=1+1"}}
        return JSONResponse({"data": [thread], "has_more": False})


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of every command here."""
    sessions = f"good,evil,busy,{LONG}"
    home = str(tmp_path_factory.mktemp("home"))
    return {"SESSION_THREADS_HOME": home, "QODER_PAT": CANARY, "QODER_SESSION_IDS": sessions}


@pytest.fixture(scope="module")
def polled(variables: dict[str, str]) -> str:
    """Return what a run against the hostile server sent to a terminal."""
    with serve(Hostile().app) as base_url:
        status, text = run("run", **variables, QODER_BASE_URL=base_url)
    assert status == 1
    return text


def test_run(polled: str) -> None:
    """A bar with its counts, a line for what failed, and a summary that fits; all harmless."""
    assert not [harm for harm in HARMFUL if harm in polled]
    assert re.search(r"polling .* \d/4 sessions", ESCAPES.sub("", polled))
    assert re.search(r"3 pages, 3 threads, \d+ threads/s, sessions waited \d+ s", polled)
    # Where `busy` was told to wait first, the others waited with it; a long line is folded.
    text = " ".join(ESCAPES.sub("", polled).split())
    assert "evil: failed, 0 threads on 0 pages" in text
    lines = read_lines(polled)
    header = next(number for number, line in enumerate(lines) if line.startswith("session "))
    assert lines[header + 2].split() == ["evil", "failed", *"00000"]
    assert max(map(len, lines[header:-2])) <= 80
    assert lines[-2].startswith("session-threads: 1 of 4 sessions not complete; session evil")


def test_status(polled: str, variables: dict[str, str]) -> None:
    """Status fits the terminal: a line per session, then what went wrong."""
    assert polled
    status, text = run("status", **variables)
    assert status == 1
    lines = read_lines(text)
    assert lines[0].split() == ["session", "state", "last", "complete", "threads", "open"]
    assert lines[2].split() == ["evil", "failing", "never", "0", "0"]
    assert re.fullmatch(r"good +ok +\d[\w. ]* ago +1 +1 *", lines[3])
    assert any(line.startswith("evil: source qoder: 127.0.0.1") for line in lines)
    assert max(map(len, lines[:-2])) <= 80
    assert not [harm for harm in HARMFUL if harm in text]


@pytest.mark.slow
def test_pipes_obey_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the server calls things, no command prints a character that commands a terminal.

    JSON is exact all the same, and so is what is asked for as it is.
    """
    monkeypatch.setenv("QODER_PAT", CANARY)
    monkeypatch.setenv("QODER_SESSION_IDS", "good,evil,loop")
    with serve(Hostile().app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        ran = [invoke("run"), invoke("run", "--verbose"), invoke("run", "--json")]
    shown = [invoke("show", name) for name in list_analyses()]
    assert home.exists()
    query = "SELECT name, status FROM threads WHERE thread_id = 't'"
    csv_, json_, jsonl = (invoke("sql", query, "--format", f) for f in ("csv", "json", "jsonl"))
    rest = [invoke("status"), invoke("status", "--json"), invoke("show", EVIL), invoke("sql", EVIL)]
    for done in (*ran, *shown, csv_, json_, jsonl, *rest):
        text = done.stdout + done.stderr
        assert all(part.isprintable() for part in re.split(r"[\n\t]", text)), done.args
    assert sum("owned" in done.stdout for done in shown) >= 3
    assert csv_.stdout.count("�]0;owned�[bold]x[/bold]��31m") == 2
    assert (
        json.loads(json_.stdout) == [{"name": EVIL, "status": EVIL}] == [json.loads(jsonl.stdout)]
    )
    assert EVIL in invoke("sql", query, "--format", "csv", "--raw").stdout


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_rows(polled: str, variables: dict[str, str], form: str) -> None:
    """No format lets a name command the terminal."""
    assert polled
    status, text = run("sql", "SELECT name, agent_name FROM threads", "--format", form, **variables)
    assert (status, text.count("owned")) == (0, 3)
    assert not [harm for harm in HARMFUL if harm in text]
    assert text.count("'=1+1") == (3 if form == "csv" else 0)


def test_raw_rows(polled: str, variables: dict[str, str]) -> None:
    """Whoever asks for raw text gets it."""
    assert polled
    query = "SELECT name FROM threads LIMIT 1"
    assert EVIL in run("sql", query, "--format", "csv", "--raw", **variables)[1]


def test_parquet(polled: str, variables: dict[str, str]) -> None:
    """Parquet is not sent to a terminal."""
    assert polled
    status, text = run("sql", "SELECT 1", "--format", "parquet", **variables)
    line = "session-threads: --format parquet: it is not for a terminal. Name a file: --out.\r\n"
    assert (status, text) == (2, line)


def test_machines_read_ascii(polled: str, variables: dict[str, str]) -> None:
    """A JSON document is exact and harmless, also where a terminal shows it."""
    assert polled
    _, text = run("status", "--json", **variables)
    document, *rest = text.split("\r\n")
    assert document.isascii()
    assert document.isprintable()
    assert json.loads(document)["sessions"][0]["session_id"] == "evil"
    assert rest == [f"session-threads: {json.loads(document)['error']}", ""]


def test_terminal_that_cannot_move(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A terminal that cannot move its cursor gets lines like a log, not a bar."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    now = datetime.now(UTC)
    poll = Poll(
        source="qoder",
        session_id="s",
        label=None,
        started_at=now,
        finished_at=now,
        outcome="failed",
        end_reason="error",
        status_filter=None,
        pages=2,
        requests=3,
        retries=1,
        wait_seconds=12.3,
        bytes=0,
        threads_listed=4,
        duplicates=0,
        error_message=EVIL,
    )
    with watch_poll() as progress:
        progress.begin(1)
        progress.page(4)
        progress.end(poll)
    line = "s: failed, 4 threads on 2 pages, waited 12 s: �[2J�]0;owned�[bold]x[/bold]��31m\n"
    assert capfd.readouterr().err.partition(" ")[2] == line


def test_many_sessions(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of many sessions the summary shows the first failing and the first complete ones."""
    counts = dict.fromkeys((*SUMMARY_COLUMNS, "requests", "retries", "wait_seconds"), 0)
    ledger: list[dict[str, Any]] = [
        {"source": "a", "session_id": f"s{number}", "label": None}
        | counts
        | {"outcome": "gone" if number % 2 else "complete"}
        for number in range(50)
    ]
    result = Result(
        run_id="r",
        ledger=ledger,
        listings=[],
        choices=[],
        drift=[],
        warnings=[],
        findings=[],
        seconds=1,
        data=tmp_path,
    )
    print_summary(result, verbose=True)
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:42]] == [
        *(f"s{number}" for number in range(1, 41, 2)),
        *(f"s{number}" for number in range(0, 40, 2)),
    ]
    assert lines[42:44] == ["and 5 more failing sessions", "and 5 more complete sessions"]
    assert lines[44].startswith("25 of 50 sessions complete, 0 threads, 0 requests, 0 retries, 1.0")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("sources", [1, 2])
def test_fleet(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, sources: int
) -> None:
    """Sixty sessions with long ids and labels fit, those in trouble first, and are counted.

    The source is beside each if there are several.
    """
    for name, value in {"COLUMNS": str(width), "FORCE_COLOR": "1", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TERM", "xterm")
    now = datetime.now(UTC)
    sessions = [
        (
            f"source {number % sources}",
            f"sess_019f{number:030x}",
            f"nightly review of team {number}",
        )
        for number in range(60)
    ]
    lines = [
        Health(
            source=source,
            session_id=id_,
            label=label if number % 2 else None,
            state="failing" if number < 40 else "ok",
            last_complete_poll=now if number else None,
            threads=1_000_000,
            open_threads=100_000,
            last_error=f"{id_} gave no answer" if number < 40 else None,
        )
        for number, (source, id_, label) in enumerate(sessions)
    ]
    print_health(lines, now)
    shown = ESCAPES.sub("", capfd.readouterr().out).splitlines()
    assert max(map(len, shown)) <= width
    assert shown[0].split()[:sources] == ["source", "session"][-sources:]
    rows = shown[2:62]
    assert [" failing " in row for row in rows] == [True] * 40 + [False] * 20
    assert len({row.split("  ")[sources - 1] for row in rows}) == 60
    assert shown[62] == "60 sessions: 40 failing, 20 ok"
    assert shown[-1] == "and 30 more errors"

    counts = dict.fromkeys((*SUMMARY_COLUMNS, "requests", "retries", "wait_seconds"), 1_000_000)
    ledger = [
        {"source": line.source, "session_id": line.session_id, "label": line.label}
        | counts
        | {"outcome": "incomplete" if line.state == "failing" else "complete"}
        for line in lines
    ]
    data = Path("/srv/threads/data")
    nothing: dict[str, Any] = {"listings": [], "drift": [], "warnings": [], "findings": []}
    print_summary(Result(run_id="r", ledger=ledger, seconds=1, data=data, **nothing))
    shown = ESCAPES.sub("", capfd.readouterr().out).splitlines()
    assert max(map(len, shown)) <= width
    assert ("source" in shown[0].split()) is (sources > 1)
    assert {"session", "outcome", "pages", "threads"} <= set(shown[0].split())
    assert len({row.split("  ")[sources - 1] for row in shown[2:42]}) == 40
    assert "20 of 60 sessions complete, 60000000 threads" in " ".join(shown[43:])


def test_one_way_to_the_screen() -> None:
    """No command prints but by what filters it."""
    for path in (ROOT / "pipelines" / "cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert ("click.echo(" in text) is (path.name == "printing.py"), path.name
        assert not re.search(r"(?<![.\w])print\(", text), path.name


def test_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    """A warning is a line with its time, and commands no terminal."""
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s\nis odd", (EVIL,), None)
    Warnings().handle(record)
    line = capfd.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ �\[2J�.* is odd\n", line)


def test_findings_beside_failures() -> None:
    """Where a session failed and an analysis kept its previous table, the one line tells both."""
    failed = {"session_id": "s", "outcome": "failed", "error_type": "timeout", "pages": 0}
    failed |= {"is_known": False}
    fine = {"session_id": "t", "outcome": "complete", "error_type": None, "pages": 1}
    ledger: list[dict[str, Any]] = [failed | {"error_message": "no answer"}, fine]
    assert exit_of_run(ledger, ["analysis a: check c found x=1"]).error == (
        "1 of 2 sessions not complete; session s: failed: no answer."
        " analysis a: check c found x=1. The previous table is kept"
    )
