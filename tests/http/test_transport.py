"""What travels between client and server, byte by byte: torn answers, time-outs and proxies."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import ApiError, BodyTooLarge, MalformedBody, SettingsError, Unavailable
from pipelines.http.opening import open_client
from pipelines.http.stats import RequestStats
from pipelines.providers.qoder import THREADS
from tests.support import CANARY, make_source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BODY = b'{"data":[],"has_more":false}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 28\r\n"


class Wire:
    """A server that answers every request with these bytes, then closes, resets or stalls."""

    def __init__(self, answer: bytes, end: str = "close") -> None:
        self.answer = answer
        self.end = end
        self.requests: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        if self.end == "stall":
            await reader.read()
        if self.end == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()


def serve_wire(wire: Wire, act: Callable[[str], Awaitable[None]]) -> None:
    """Run `act` with the address of the server."""

    async def run() -> None:
        async with await asyncio.start_server(wire.handle, "127.0.0.1") as server:
            host, port = server.sockets[0].getsockname()
            await act(f"{host}:{port}")
            await asyncio.sleep(0)

    asyncio.run(run())


def ask(wire: Wire) -> ApiError | None:
    """Ask the server for a page, twice at most; return the error it ends with, None for a page."""
    errors: list[ApiError] = []
    stats = RequestStats()

    async def act(address: str) -> None:
        source = make_source(f"http://{address}/x", max_attempts=2, request_timeout_s=1)
        async with open_client(source, backoff_s=0.001) as client:
            try:
                await client.get("/threads", [], THREADS.read_page, stats)
            except ApiError as error:
                errors.append(error)

    serve_wire(wire, act)
    assert len(wire.requests) == stats.requests
    return errors[0] if errors else None


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HELLO\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\x00bad\r\n\r\n",
        HEAD + b"x: " + b"y" * 200_000 + b"\r\n\r\n" + BODY,
        HEAD + b"\r\n" + BODY[:9],
        HEAD + b"content-length: 1\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
    ],
    ids=range(8),
)
def test_torn_answers(answer: bytes, end: str) -> None:
    """An answer that is torn or no HTTP is asked for again, each time counted, then named."""
    wire = Wire(answer, end)
    error = ask(wire)
    assert isinstance(error, Unavailable)
    assert error.error_type == "connection_error"
    assert len(wire.requests) == 2


@pytest.mark.parametrize("answer", [b"", HEAD + b"\r\n" + BODY[:9]])
def test_silence(answer: bytes) -> None:
    """No whole answer in time is called a time-out, whenever the silence begins."""
    error = ask(Wire(answer, "stall"))
    assert isinstance(error, Unavailable)
    assert error.error_type == "timeout"
    assert "no whole answer within 1 s" in str(error)


def test_body_that_cannot_be_decoded() -> None:
    """A body that is not compressed as its header says is malformed."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nabcde"
    assert isinstance(ask(Wire(answer)), MalformedBody)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"\r\n" + BODY,
        HEAD + b"set-cookie: a=b; \x01\r\n\r\n" + BODY,
        b"HTTP/1.0 200 \xe9\xff\r\n\r\n" + BODY,
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HEAD + b"\r\n" + BODY,
    ],
    ids=range(4),
)
def test_odd_answers(answer: bytes) -> None:
    """An answer that is odd, but whole, is a page."""
    assert ask(Wire(answer)) is None


def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server elsewhere is reached through the environment's proxy, which sees no token."""
    proxy = Wire(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")

    async def act(address: str) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        source = make_source("https://api.example/x", max_attempts=1)
        async with open_client(source) as client:
            with pytest.raises(
                Unavailable, match=r"api\.example gave no answer \(502 Bad Gateway\)"
            ):
                await client.get("/threads", [], THREADS.read_page, RequestStats())

    serve_wire(proxy, act)
    assert proxy.requests[0].startswith(b"CONNECT api.example:443 ")
    assert CANARY.encode() not in proxy.requests[0]


def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine serves is asked for without a proxy, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert ask(Wire(HEAD + b"\r\n" + BODY)) is None


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_other_proxies_are_rejected(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that speaks something else than http is rejected before the first request."""
    monkeypatch.setenv("ALL_PROXY", proxy)

    async def run() -> None:
        async with open_client(make_source("https://api.example/x")):
            pass

    with pytest.raises(SettingsError, match="this proxy cannot be used"):
        asyncio.run(run())


@pytest.mark.parametrize("size", [9_000, 60_000])
def test_large_headers_are_read(size: int) -> None:
    """Headers as large as gateways send them, with policies and cookies, take no page away."""
    head = HEAD + b"content-security-policy: " + b"x" * size + b"\r\n\r\n"
    assert ask(Wire(head + BODY)) is None


def test_many_headers_are_read() -> None:
    """A thousand headers take no page away."""
    lines = b"".join(b"x-%d: y\r\n" % number for number in range(1000))
    assert ask(Wire(HEAD + lines + b"\r\n" + BODY)) is None


def encoded(encoding: str, body: bytes) -> bytes:
    """Return a response with a body of this content encoding."""
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
        ("Deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY)[2:-4]),
        ("gzip", gzip.compress(BODY) + b"\0" * 9),
        ("gzip, identity", gzip.compress(BODY)),
        ("identity", BODY),
    ],
    ids=[
        "gzip",
        "two members",
        "zlib",
        "deflate",
        "padded",
        "and identity",
        "none",
    ],  # compressed bodies hold a time
)
def test_encodings(encoding: str, body: bytes) -> None:
    """A body in an encoding that was asked for is read."""
    assert ask(Wire(encoded(encoding, body))) is None


BOMB = gzip.compress(b"0" * 200 * 2**20)


@pytest.mark.parametrize(
    ("encoding", "body", "kind"),
    [
        ("gzip", BOMB, BodyTooLarge),
        ("deflate", zlib.compress(b"0" * 200 * 2**20), BodyTooLarge),
        ("gzip, gzip, gzip", gzip.compress(gzip.compress(BOMB)), MalformedBody),
        ("br", b"\x0b\x02\x80", MalformedBody),
        ("gzip", BODY, MalformedBody),
        ("gzip", gzip.compress(BODY)[:-12], MalformedBody),
    ],
    ids=["gzip", "deflate", "thrice", "not asked for", "not gzip", "torn"],
)
def test_harmful_encodings(encoding: str, body: bytes, kind: type[ApiError]) -> None:
    """A bomb, a torn body or another encoding is a failed request of bounded size."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert isinstance(ask(Wire(encoded(encoding, body))), kind)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("SSL_CERT_FILE", "/no/such.pem", "SSL_CERT_FILE"),
        ("SSL_CERT_FILE", "/dev/null", "SSL_CERT_FILE"),
        ("HTTPS_PROXY", "http://proxy:port", "HTTPS_PROXY"),
        ("ALL_PROXY", "ftp://proxy", "ALL_PROXY"),
    ],
)
def test_what_the_environment_names(
    variable: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates or a proxy that cannot be used are one line that names the variable."""
    monkeypatch.setenv(variable, value)

    async def run() -> None:
        async with open_client(make_source("https://127.0.0.2.example/x")):
            pass

    with pytest.raises(SettingsError, match=named):
        asyncio.run(run())


def test_cookies_are_kept() -> None:
    """What a server sets goes with the next request, and with none to another server."""
    wire = Wire(b"HTTP/1.1 200 OK\r\ncontent-length: 28\r\nset-cookie: node=7\r\n\r\n" + BODY)

    async def act(address: str) -> None:
        source = make_source(base_url=f"http://{address}")
        async with open_client(source) as client, open_client(source) as other:
            for asking in (client, client, other):
                await asking.get("/", [], THREADS.read_page, RequestStats())

    serve_wire(wire, act)
    assert [b"node=7" in request for request in wire.requests] == [False, True, False]
