"""One request: every answer of docs/api.md, 5, becomes a page or the right error."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pipelines import clock
from pipelines.errors import (
    ApiError,
    Forbidden,
    MalformedBody,
    Redirected,
    RequestRejected,
    SessionGone,
    Throttled,
    TokenRejected,
    Unavailable,
)
from pipelines.http.bodies import repair, unescape
from pipelines.http.opening import open_client
from pipelines.http.rate_limit import RateLimiter
from pipelines.http.stats import RequestStats
from pipelines.http.times import read_sent_at, read_wait
from pipelines.providers.qoder import THREADS
from pipelines.sandbox.server import serve
from tests.support import CANARY, ROOT, Script, make_source

if TYPE_CHECKING:
    from pipelines.http.client import Client
    from pipelines.http.response import RawResponse
    from pipelines.records import Listing

PAGE = {"data": [{"id": "t1"}], "has_more": False}
ERRORS = json.loads((ROOT / "tests/samples/errors.json").read_text(encoding="utf-8"))


async def get(client: Client, stats: RequestStats | None = None) -> tuple[RawResponse, Listing]:
    """Ask for a page of threads."""
    return await client.get("/threads", [], THREADS.read_page, stats or RequestStats())


def ask(
    script: Script, stats: RequestStats | None = None, **keys: Any
) -> tuple[RawResponse, Listing]:
    """Ask a scripted server for a page of threads."""

    async def run(base_url: str) -> tuple[RawResponse, Listing]:
        async with open_client(make_source(base_url, **keys), backoff_s=0.001) as client:
            return await get(client, stats)

    with serve(script.app) as base_url:
        return asyncio.run(run(base_url))


def answer(status: int, body: Any, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return a scripted answer."""
    text = body if isinstance(body, str) else json.dumps(body)
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, text


def test_page() -> None:
    """A page comes with its body, its arrival and what it says; the request is signed."""
    script, stats = Script(PAGE), RequestStats()
    page, listing = ask(script, stats)
    assert json.loads(page.body) == PAGE
    assert (listing.ids, listing.fault) == (["t1"], None)
    assert page.observed_at.tzinfo is not None
    assert script.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert (stats.requests, stats.retries, stats.bytes) == (1, 0, len(page.body))


def test_halved_letters() -> None:
    """Half of a letter, as where a server cut a text, takes no page away: U+FFFD stands for it."""
    sent = (
        r'{"data": [{"id": "a", "name": "cut \ud83d"}, {"id": "b", "name": "\ude00\uD83D\uDE00"},'
        r' {"id": "c", "name": "\\ud83d \n"}], "has_more": false}'
    )
    page, listing = ask(Script(answer(200, sent)))
    assert [thread["name"] for thread in json.loads(page.body)["data"]] == [
        *("cut \N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}\N{GRINNING FACE}"),
        "\\ud83d \n",
    ]
    assert (listing.ids, listing.fault) == (["a", "b", "c"], None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RequestRejected), (401, TokenRejected), (403, Forbidden), (404, SessionGone),
     (418, RequestRejected), (302, Redirected), (501, RequestRejected), (505, RequestRejected)],
)  # fmt: skip
def test_rejections_are_not_retried(status: int, kind: type[ApiError]) -> None:
    """What a retry cannot fix is asked for once and becomes its own error."""
    script = Script(answer(status, {"error": {"message": "no", "type": "some_error"}}))
    with pytest.raises(kind) as raised:
        ask(script)
    assert len(script.requests) == 1
    assert raised.value.status == status


@pytest.mark.parametrize(
    "status", [408, 425, 429, 500, 502, 503, 504, 507, 520, 522, 529, 530, 599]
)
def test_passing_failures_are_retried(status: int) -> None:
    """What may pass is asked for again, and the page that comes then is taken."""
    script, stats = Script(answer(status, ""), answer(status, "<html>"), PAGE), RequestStats()
    assert ask(script, stats)[1].ids == ["t1"]
    assert (stats.requests, stats.retries) == (3, 2)


def test_attempts_are_capped() -> None:
    """After max_attempts tries the last failure is raised."""
    script = Script(answer(503, ""))
    with pytest.raises(Unavailable, match="503"):
        ask(script, max_attempts=3)
    assert len(script.requests) == 3


MALFORMED = [
    "",
    "{",
    "[]",
    "<html>",
    '{"data": 3}',
    '{"has_more": true}',
    '{"data": [], "has_more": "yes"}',
    '{"data": ' + "[" * 100_000,
    '{"data": [' + '{"k":' * 300 + "1" + "}" * 300 + "]}",
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_bodies_are_retried(body: str) -> None:
    """A body that is not the JSON it should be is asked for again, then reported with the spot."""
    script = Script(answer(200, body))
    with pytest.raises(MalformedBody, match="something else than was asked for"):
        ask(script, max_attempts=2)
    assert len(script.requests) == 2


def test_retry_after_is_honoured() -> None:
    """The seconds that the server asks for are waited, and counted."""
    script, stats = Script(answer(429, "", retry_after="1"), PAGE), RequestStats()
    ask(script, stats)
    assert 1 <= stats.wait_seconds < 10


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (429, {"retry_after": "100"}, Throttled),
        (429, {"retry_after_ms": "3600000"}, Throttled),
        (429, {"x_ratelimit_reset": "7200"}, Throttled),
        (503, {"retry_after": "3600"}, Unavailable),
        (520, {"retry_after": "Fri, 15 Jan 2100 08:00:07 GMT"}, Unavailable),
    ],
)
def test_wait_beyond_the_budget(status: int, headers: dict[str, str], kind: type[ApiError]) -> None:
    """A wait beyond what retry_budget_s leaves ends the request at once, and the line says so."""
    script, stats = Script(answer(status, "slow down", **headers)), RequestStats()
    with pytest.raises(kind, match=rf"{status}.*asks to wait \d+ s, retry_budget_s leaves 5 s"):
        ask(script, stats, retry_budget_s=5)
    assert (stats.requests, stats.wait_seconds < 1) == (1, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "0"},
        {"retry_after_ms": "0"},
        {"x_ratelimit_reset": "0"},
        {"x_ratelimit_reset": "1700000000"},
        {"retry_after": "Fri, 15 Jan 2010 08:00:07 GMT"},
    ],
)
def test_wait_is_no_shorter_than_the_back_off(headers: dict[str, str]) -> None:
    """A server that asks for no wait, or one that has passed, is asked after a back-off."""
    script = Script(*[answer(503, "", **headers)] * 5, PAGE)
    waits: list[float] = []
    stats = RequestStats(on_wait=waits.append)

    async def run(base_url: str) -> None:
        async with open_client(make_source(base_url), backoff_s=0.05) as client:
            await get(client, stats)

    with serve(script.app) as base_url:
        asyncio.run(run(base_url))
    assert stats.retries == 5
    # A random part of up to 0.05, 0.1 … 0.8 s each; waits for the rate are of a millisecond.
    assert sum(wait > 0.002 for wait in waits) >= 3


def test_cursor_that_no_request_can_hold() -> None:
    """A cursor of 70 kB is a failed request, with no traceback and no second one."""
    script, stats = Script(PAGE), RequestStats()

    async def run(base_url: str) -> None:
        async with open_client(make_source(base_url)) as client:
            await client.get("/threads", [("page", "x" * 70_000)], THREADS.read_page, stats)

    with serve(script.app) as base_url, pytest.raises(RequestRejected, match="a cursor that no"):
        asyncio.run(run(base_url))
    assert stats.requests == 0


NEARLY: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a letter cut in its middle": (b'{"id": "a", "name": "caf\xc3"}', {"name": "caf\ufffd"}),
    "Latin-1": (b'{"id": "a", "name": "caf\xe9 x"}', {"name": "caf\ufffd x"}),
    "NaN": (b'{"id": "a", "stats": {"active_seconds": NaN}}', {"stats": {"active_seconds": None}}),
    "Infinity": (b'{"id": "a", "n": [-Infinity, Infinity]}', {"n": [None, None]}),
    "no double": (b'{"id": "a", "n": 1e400}', {"n": "1e400"}),
    "no integer": (b'{"id": "a", "n": %s}' % (b"9" * 10_000), {"n": "9" * 10_000}),
    "no negative double": (b'{"id": "a", "n": -1E999}', {"n": "-1E999"}),
    "control characters": (b'{"id": "a", "name": "one\ntwo\x01"}', {"name": "one\ntwo\x01"}),
}


@pytest.mark.parametrize("name", NEARLY)
def test_bodies_that_are_nearly_json(name: str) -> None:
    """What one letter or number makes no JSON is kept, with a sign in its place."""
    sent, kept = NEARLY[name]
    page, listing = ask(Script((200, {}, b'{"data": [%s], "has_more": false}' % sent)))
    assert (listing.ids, listing.fault) == (["a"], None)
    assert json.loads(page.body)["data"] == [{"id": "a"} | kept]


def test_bodies_of_nothing_but_brackets() -> None:
    """Three million empty objects, in 9 MB, are no page: read they would take a gigabyte."""
    body = b'{"data": [{"id": "a", "x": [' + b"{}," * 3_000_000 + b"{}]}]}"
    with pytest.raises(MalformedBody, match="more than 1000000 objects and lists"):
        ask(Script((200, {}, body)), max_attempts=1)


def test_broken_letters_take_little_memory() -> None:
    """Of two million bytes that are no letters a sign each is kept, in a few times their size."""
    tracemalloc.start()
    try:
        repaired = repair(b'{"a": "\\ud800' + b"\xff" * 2_000_000 + b'"}')
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    assert json.loads(repaired) == {"a": "\ufffd" * 2_000_001}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_bodies_in_any_unicode(encoding: str) -> None:
    """A byte order mark, or another encoding of Unicode, takes no page away."""
    text = json.dumps({"data": [{"id": "a", "name": "caf\u00e9"}]}, ensure_ascii=False)
    page, listing = ask(Script((200, {}, text.encode(encoding))))
    assert listing.ids == ["a"]
    assert json.loads(page.body)["data"][0]["name"] == "caf\u00e9"


@pytest.mark.parametrize("body", [{"data": None, "has_more": False}, {"data": None}])
def test_no_list_is_no_threads(body: dict[str, Any]) -> None:
    """A list that is null, as Go sends an empty one, is a page without threads."""
    assert ask(Script(body))[1].ids == []


NOW = 1_800_000_000.0
WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "3"}, 3),
    ({"retry-after": "0"}, 0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "-1"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "Fri, 15 Jan 2027 08:00:07 GMT"}, 7),
    ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0),
    ({"retry-after": "Fri, 99 Jan 2027 07:00:00 GMT"}, None),
    ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
    ({"retry-after-ms": "x", "retry-after": "3"}, 3),
    ({"x-ratelimit-reset": "4"}, 4),
    ({"x-ratelimit-reset": "4", "retry-after": "2"}, 2),
    ({"x-ratelimit-reset": "1800000009"}, 9),
    ({"x-ratelimit-reset": "1800000009500"}, 9.5),
    ({"x-ratelimit-reset": "1700000000"}, 0),
    ({"x-ratelimit-reset": "4", "x-ratelimit-remaining": "0"}, 4),
    ({"x-ratelimit-reset": "4", "x-ratelimit-remaining": "7"}, None),
    ({"x-ratelimit-reset": "?"}, None),
    # Our clock is wrong: without the server's, a date far away says nothing.
    ({"retry-after": "Mon, 18 Jan 2027 08:00:07 GMT"}, None),
    ({"x-ratelimit-reset": "1890000000"}, None),
    ({"retry-after": "Fri, 15 Jan 2021 08:00:07 GMT", "date": "Fri, 15 Jan 2021 08:00:00 GMT"}, 7),
    ({"retry-after": "Fri, 15 Jan 2027 08:00:07", "date": "Fri, 15 Jan 2027 08:00:00"}, 7),
    ({"x-ratelimit-reset": "1900000009", "date": "Sun, 17 Mar 2030 17:46:40 GMT"}, 9),
    ({"retry-after": "Thu, 01 Jan 1970 00:00:07 GMT"}, None),
]


SENT: list[tuple[dict[str, str], str | None]] = [
    ({}, None),
    ({"date": "Fri, 15 Jan 2027 08:00:07 GMT"}, "2027-01-15T08:00:07+00:00"),
    ({"date": "Fri, 15 Jan 2027 10:00:07 +0200"}, "2027-01-15T08:00:07+00:00"),
    ({"date": "Fri, 15 Jan 2027 08:00:07 GMT", "age": "0"}, "2027-01-15T08:00:07+00:00"),
    ({"date": "Fri Jan 15 08:00:07 2027"}, "2027-01-15T08:00:07+00:00"),
    ({"date": "Fri, 15 Jan 2027 08:00:07 GMT", "age": "3600"}, None),
    ({"date": "Fri, 15 Jan 2027 08:00:07 GMT", "age": "?"}, None),
    ({"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
    ({"date": "Mon, 01 Jan 0001 00:00:00 GMT"}, None),
    ({"date": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
    ({"date": "Fri, 15 Jan 99999 08:00:07 GMT"}, None),
    ({"date": "Fri, 99 Jan 2027 08:00:07 GMT"}, None),
    ({"date": "today"}, None),
    ({"date": "1800000000"}, None),
    ({"date": "\xff"}, None),
]


@pytest.mark.parametrize(("headers", "sent_at"), SENT, ids=range(len(SENT)))
def test_when_it_was_sent(headers: dict[str, str], sent_at: str | None) -> None:
    """A Date is believed if it can be one, and if no cache has kept it."""
    assert read_sent_at(headers) == (sent_at and datetime.fromisoformat(sent_at))


@pytest.mark.parametrize(("headers", "seconds"), WAITS, ids=range(len(WAITS)))
def test_what_the_server_asks_to_wait(
    headers: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every documented form of asking for a wait is read; what is none of them is passed over."""
    monkeypatch.setattr(clock, "now", lambda: datetime.fromtimestamp(NOW, UTC))
    assert read_wait(headers) == pytest.approx(seconds)


def test_exhausted_limit_pauses_the_source() -> None:
    """Where no request remains, the next one waits for the reset, though none was rejected."""
    script = Script(answer(200, PAGE, x_ratelimit_remaining="0", x_ratelimit_reset="0.5"), PAGE)

    async def run(base_url: str) -> RequestStats:
        async with open_client(make_source(base_url)) as client:
            await get(client)
            await get(client, stats := RequestStats())
            return stats

    with serve(script.app) as base_url:
        assert 0.4 < asyncio.run(run(base_url)).wait_seconds < 10


def test_rejection_slows_the_whole_source() -> None:
    """A 429 to one request holds back those of the other sessions."""
    script = Script(answer(429, "", retry_after="1"), PAGE)

    async def run(base_url: str) -> float:
        async with open_client(make_source(base_url), backoff_s=0.001) as client:
            rejected = asyncio.create_task(get(client))
            while not script.requests:  # noqa: ASYNC110 - the server knows no event
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            await get(client, stats := RequestStats())
            await rejected
            return stats.wait_seconds

    with serve(script.app) as base_url:
        assert 0.1 < asyncio.run(run(base_url)) < 10


def test_unreachable_host() -> None:
    """A host that does not answer is named, with what to do."""

    async def run() -> None:
        async with open_client(make_source(max_attempts=2), backoff_s=0.001) as client:
            await get(client)

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 gave no answer.*Check base_url"):
        asyncio.run(run())


@pytest.mark.parametrize("sample", ERRORS, ids=[str(error["status"]) for error in ERRORS])
def test_documented_errors(sample: dict[str, Any]) -> None:
    """Every documented error body gives its message, type, request id and parameter."""
    script = Script(answer(sample["status"], sample["body"], **sample.get("headers", {})))
    with pytest.raises(ApiError) as raised:
        ask(script, max_attempts=1)
    inner = sample["body"]["error"] if isinstance(sample["body"], dict) else {}
    inner = {"message": inner} if isinstance(inner, str) else inner
    assert inner.get("message", "") in str(raised.value)
    assert inner.get("param", "") in str(raised.value)
    unnamed = "not_found_error" if sample["status"] == 404 else f"http_{sample['status']}"
    assert raised.value.error_type == inner.get("type", unnamed)
    assert "\n" not in str(raised.value)
    if isinstance(sample["body"], dict) and "request_id" in sample["body"]:
        assert raised.value.request_id == sample["body"]["request_id"]


def test_redirect_names_its_target() -> None:
    """A redirect is not followed, and its target is named."""
    script = Script(answer(307, "", location="https://elsewhere.example/x"))
    with pytest.raises(Redirected, match=r"https://elsewhere\.example/x"):
        ask(script)
    assert len(script.requests) == 1


def test_echoed_token_is_hidden() -> None:
    """A token that the server echoes appears in no error and in no body."""
    script = Script(answer(400, {"error": {"message": f"bad {CANARY}", "type": CANARY}}))
    with pytest.raises(RequestRejected) as raised:
        ask(script)
    assert CANARY not in f"{raised.value}{raised.value.error_type}"
    page, _ = ask(Script({"data": [{"id": "t", "name": CANARY}]}))
    assert CANARY.encode() not in page.body
    assert b"[token]" in page.body


ECHOES = {
    "UTF-16": json.dumps({"data": [{"id": "t", "name": CANARY}]}).encode("utf-16"),
    "escaped": b'{"data":[{"id":"t","name":"%s"}]}'
    % "".join(f"\\u{ord(letter):04X}" for letter in CANARY).encode(),
    "escaped and no JSON": b'{"data":[{"id":"t","x":NaN,"name":"\\\\\\u%04x%s"}]}'
    % (ord(CANARY[0]), CANARY[1:].encode()),
}


@pytest.mark.parametrize("name", ECHOES)
def test_echoed_token_is_hidden_however_it_is_written(name: str) -> None:
    """In another encoding, or as escapes, it is the token all the same."""
    page, _ = ask(Script((200, {}, ECHOES[name])))
    name = json.loads(page.body)["data"][0]["name"]
    assert name.removeprefix("\\") == "[token]"


def test_escapes_stay_as_they_came() -> None:
    """A body without the token is kept as it was sent, whatever letters it escapes."""
    body = b'{"data":[{"id":"t","name":"\\u003ca\\u0022\\u0026\\\\u0041\\u005c"}]}'
    assert ask(Script((200, {}, body)))[0].body == body
    assert json.loads(unescape(body)) == json.loads(body)


def test_pace() -> None:
    """Turns come no faster than asked for in any second, and not much slower."""

    async def take(turns: int, per_second: float) -> list[float]:
        pace, taken = RateLimiter(per_second), []
        for _ in range(turns):
            await pace.turn()
            taken.append(time.monotonic())
        return taken

    taken = asyncio.run(take(90, 40))
    assert max(sum(begin <= at < begin + 1 for at in taken) for begin in taken) <= 40
    assert 89 / (taken[-1] - taken[0]) >= 25  # of 40: the machine may be busy
