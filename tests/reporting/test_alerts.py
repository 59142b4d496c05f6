"""Alerts: each finding sent once, none lost, in words that no chat takes for anything else."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from pipelines.config.settings import Settings
from pipelines.errors import AlertError, SettingsError
from pipelines.reporting.alerts import ALERTED, compose_failure, compose_news, send_alerts
from pipelines.reporting.webhook import find_webhook, post
from pipelines.sandbox.server import serve
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import SESSION, at, see, thread
from tests.support import CANARY, Receiver, make_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = Settings(sources=(make_source(sessions=[SESSION]),))
WAITING: dict[str, Any] = {"stop_reason": {"type": "requires_action"}}


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, SecretStr]]:
    """Return a webhook that listens, and its URL."""
    receiver = Receiver()
    with serve(receiver.app) as base_url:
        yield receiver, SecretStr(base_url + receiver.path)


def collect(home: Path, minute: float, send: Any = None) -> list[str]:
    """Return what is sent at the minute."""
    sent: list[str] = []
    send_alerts(DuckdbFile(home), home / ALERTED, SETTINGS, at(minute), send or sent.append)
    return sent


def test_sent_once(home: Path) -> None:
    """A reason is sent when it comes, not while it stays, and again when it comes back."""
    see(home, 60, thread("a", "idle", **WAITING), thread("b", "idle"))
    first = (
        "session-threads: 1 new thing to look at\n"
        f"• thread `a` of session `{SESSION}` of `qoder` needs you: status `idle`, quiet for 1h 00m"
    )
    assert collect(home, 61) == [first]
    assert collect(home, 62) == []
    see(home, 70, thread("a", "running", updated=69), thread("b", "idle"))
    assert collect(home, 71) == []
    see(home, 80, thread("a", "idle", updated=74, **WAITING), thread("b", "idle"))
    assert collect(home, 81) == [first.replace("1h 00m", "6m 00s")]
    assert (home / ALERTED).stat().st_mode & 0o777 == 0o600


def test_nothing_is_lost_while_the_webhook_is_down(
    home: Path, receiver: tuple[Receiver, SecretStr]
) -> None:
    """A message that was not accepted is sent by the next tick, with what has come since."""
    webhook, url = receiver
    send = partial(post, url, pause_s=0)
    see(home, 60, thread("a", "idle", **WAITING))
    webhook.status = 503
    for _ in range(2):
        with pytest.raises(AlertError, match=r"^the webhook answered HTTP 503$"):
            collect(home, 61, send)
    assert webhook.requests == 6
    webhook.status = 200
    see(home, 70, thread("a", "idle", **WAITING), thread("b", "idle", **WAITING))
    collect(home, 71, send)
    collect(home, 72, send)
    (text,) = webhook.texts
    assert text.startswith("session-threads: 2 new things to look at\n• thread `a`")


def test_sessions_in_trouble(home: Path) -> None:
    """A configured session that fails or is stale is sent before any thread, once for each."""
    see(home, 0, thread("a", "idle", **WAITING), outcome="incomplete")
    sent = collect(home, 1)[0].splitlines()
    line = f"• session `{SESSION}` of `qoder` is %s: session-threads status"
    assert sent[1:2] == [line % "failing"]
    assert sent[2].startswith("• thread `a`")
    see(home, 15, thread("a", "idle", **WAITING))
    assert collect(home, 16) == []
    assert collect(home, 46) == [f"session-threads: 1 new thing to look at\n{line % 'stale'}"]
    assert collect(home, 100) == []


def test_hostile_texts(home: Path) -> None:
    """Nothing that a server or a user wrote mentions anyone, draws a link or breaks the line."""
    hostile = "<!channel> <https://evil.example|x> @here *b* `c`\n&amp;\u202e"
    see(
        home,
        60,
        thread(hostile, "idle", name="Call Jane", agent={"id": "a", "system": "Secret"}, **WAITING),
        thread("b", f"<@U1> {hostile * 9}", updated=-600, name=hostile),
    )
    (text,) = collect(home, 61)
    head, *lines = text.splitlines()
    assert head == "session-threads: 2 new things to look at"
    inert = r"`[\w.:?-]+…?`"
    for line, reason in zip(lines, ("is stuck", "needs you"), strict=True):
        form = rf"• thread {inert} of session {inert} of `qoder` {reason}: status {inert}, quiet.*"
        assert re.fullmatch(form, line), line
        assert len(line) < 300
    assert not re.search("[<>&@*]|Jane|Secret|evil.example[|]", text)


def test_many_findings(home: Path) -> None:
    """Of many findings the worst ten are named and the rest counted; all of them count as sent."""
    waiting = [thread(f"w{i:03}", "idle", **WAITING) for i in range(240)]
    stuck = [thread(f"s{i:03}", updated=-60 * i - 600) for i in range(10)]
    see(home, 60, *waiting, *stuck)
    (text,) = collect(home, 61)
    lines = text.splitlines()
    assert [re.findall("thread `(.*?)`", line)[0] for line in lines[1:-1]] == [
        f"s{i:03}" for i in reversed(range(10))
    ]
    assert lines[-1] == "and 240 more: session-threads show attention"
    assert collect(home, 62) == []


def test_damaged_memory(home: Path) -> None:
    """If what was sent cannot be read, one line names the file."""
    see(home, 60, thread("a", "idle", **WAITING))
    (home / ALERTED).write_bytes(b"PAR1 not at all")
    with pytest.raises(AlertError, match=rf"cannot be compared .*Remove {ALERTED}") as raised:
        collect(home, 61)
    assert "\n" not in str(raised.value)


def test_failure_in_words() -> None:
    """A failed run is reported in one line: where, how its polls ended, and what comes next."""
    assert compose_failure("r1", ["threads:LoadRejected"], [], is_retried=False) == (
        "session-threads: run `r1` failed in `threads:LoadRejected`. Dagster shows its log"
    )
    assert compose_failure("r1", [], ["2 `failed`: `x`"], is_retried=True) == (
        "session-threads: run `r1` failed without a word: its process ended (2 `failed`: `x`)."
        " It is tried again"
    )
    assert compose_news([], 1) == (
        "session-threads: 1 new thing to look at\nand 1 more: session-threads show attention"
    )


def test_post(receiver: tuple[Receiver, SecretStr], caplog: pytest.LogCaptureFixture) -> None:
    """A message is taken whole; no log of any library holds the URL."""
    webhook, url = receiver
    caplog.set_level(logging.DEBUG)
    post(url, "Grüße\nzwei")
    assert webhook.texts == ["Grüße\nzwei"]
    assert caplog.records
    assert CANARY not in caplog.text


@pytest.mark.parametrize("status", [301, 404, 500])
def test_rejected_post(receiver: tuple[Receiver, SecretStr], status: int) -> None:
    """What is not taken is tried three times, follows no redirect, and fails without the URL."""
    webhook, url = receiver
    webhook.status = status
    with pytest.raises(AlertError, match=rf"^the webhook answered HTTP {status}$"):
        post(url, "x", pause_s=0)
    assert webhook.requests == 3


def test_post_to_nobody() -> None:
    """Where nobody listens, the error says so without the URL."""
    url = SecretStr(f"http://127.0.0.1:1/{CANARY}")
    with pytest.raises(
        AlertError, match=r"^the webhook gave no answer \(ConnectError\)$"
    ) as raised:
        post(url, "x", pause_s=0)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    ["", " ", "hooks.example/x", "http://hooks.example/x", "https:///", "https://a b", "https://[",
     "https://h:x/", "file:///etc", "https://h/\n", "http://127.0.0.1.example/"],
)  # fmt: skip
def test_rejected_urls(url: str) -> None:
    """A variable that is empty, or holds what could be read on the way, is rejected unseen."""
    with pytest.raises(SettingsError, match=r"^webhook_url_env: the variable HOOK ") as raised:
        find_webhook("HOOK", {"HOOK": url and f"{url}{CANARY}"} if url.strip() else {"HOOK": url})
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://h.example/a?b=c", "http://localhost:1/x", "http://[::1]/"]
)
def test_taken_urls(url: str) -> None:
    """Only https is taken, and plain http to this machine; the URL is in no repr."""
    found = find_webhook("HOOK", {"HOOK": f" {url}\n"})
    assert found.get_secret_value() == url
    assert url not in f"{found} {found!r}"


def test_freshness_is_of_the_clock(home: Path) -> None:
    """Staleness follows the clock, not the publication: a schedule that stopped is reported."""
    see(home, 0, thread("a", "running"))
    late = at(0) + timedelta(minutes=31)
    sent: list[str] = []
    assert send_alerts(DuckdbFile(home), home / ALERTED, SETTINGS, late, sent.append) == (1, 0)
    assert "stale" in sent[0]
