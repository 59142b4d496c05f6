"""How requests travel: httpx's, on aiohttp's connections, through the environment's proxy.

1,000 pages of 67 kB are fetched and landed in 2.4 s of CPU so, in 4.0 s on httpx's own (`python -m
benchmarks.transports`), and in 2.1 s without httpx.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

from pipelines.config.values import is_loopback
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Ask = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]

# What gateways send, with policies and cookies, is less.
MAX_HEADER_BYTES = 64 * 2**10
MAX_HEADERS = 1_024
# A server that takes longer to connect drops what it is sent.
CONNECT_S = 20.0
NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)


def open_connections(
    base_url: str, connections: int, headers: Mapping[str, str]
) -> httpx.AsyncClient:
    """Return a client for one server with so many connections; it follows no redirect.

    It has no time-out but that to connect: the caller bounds the whole request. Raises
    SettingsError for certificates that cannot be read, and for a proxy that speaks another protocol
    than http.
    """
    keep_urls_unlogged()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=make_context(base_url)),
        proxy=find_proxy(base_url),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
        middlewares=[raise_failures],
    )
    return Connections(
        transport=Transport(session),
        trust_env=False,  # the transport has read it
        timeout=None,
        follow_redirects=False,
        headers=headers,
    )


class Cookies(httpx.Cookies):
    """The cookies of one server."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep those of a response that has some: to look costs more than to read its headers."""
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


class Connections(httpx.AsyncClient):
    """A client that looks for cookies where there are some."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - httpx's
        super().__init__(**options)
        self._jar = Cookies()

    @property
    def cookies(self) -> httpx.Cookies:
        """Those that are sent with each request."""
        return self._jar

    @cookies.setter
    def cookies(self, cookies: Any) -> None:  # noqa: ANN401 - httpx's
        self._jar = Cookies(cookies)


class Transport(httpx.AsyncBaseTransport):
    """Sends httpx's requests on the connections of a session, which it closes at the end."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to a request without a body. Raises httpx.TransportError."""
        response = await self._session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=request.headers.multi_items(),
            allow_redirects=False,
        )
        return httpx.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=Body(response),
            extensions={"reason_phrase": (response.reason or "").encode(errors="surrogateescape")},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(explain(error)) from error

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end; else close it."""
        self._response.release()


async def raise_failures(request: aiohttp.ClientRequest, ask: Ask) -> aiohttp.ClientResponse:
    """Raise as httpx's what aiohttp would ask for again, unpaced and uncounted."""
    try:
        return await ask(request)
    except NOT_CONNECTED as error:
        raise httpx.ConnectError(explain(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(explain(error)) from error


def keep_urls_unlogged() -> None:
    """Keep httpx from logging a line with the URL of each request: a part of it may be secret."""
    logging.getLogger("httpx").addFilter(_reject_record)


def _reject_record(_: logging.LogRecord) -> bool:
    return False


def make_context(base_url: str) -> ssl.SSLContext | bool:
    """Return which certificates a server may show; True if it is not asked for any."""
    if urlsplit(base_url).scheme != "https":
        return True
    try:
        return httpx.create_ssl_context(trust_env=True)
    except OSError as error:
        where = "SSL_CERT_FILE or SSL_CERT_DIR"
        problem = f"the certificates cannot be read ({error.strerror or error})"
        raise SettingsError(
            where, problem, "Name a file of PEM certificates, or unset it."
        ) from None


def find_proxy(base_url: str) -> URL | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for a server.

    Raises SettingsError for one that speaks another protocol than http.
    """
    parts = urlsplit(base_url)
    proxies = getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    # A proxy for plain http would read the token; loopback needs none.
    if not named or is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
        if proxy.scheme in {"http", "https"} and proxy.host:
            return proxy
        problem = f"{proxy.scheme} is no protocol of one"
    except ValueError as error:
        problem = str(error)
    where = f"{parts.scheme.upper()}_PROXY or ALL_PROXY"
    problem = f"this proxy cannot be used ({problem})"
    raise SettingsError(where, problem, "Name it like http://proxy:3128.")


def explain(error: BaseException) -> str:
    """Return what went wrong with a connection, in the operating system's words if it has some."""
    deepest = error
    while cause := deepest.__cause__ or deepest.__context__:
        deepest = cause
    if isinstance(deepest, ConnectionError) and deepest.errno:
        return os.strerror(deepest.errno)  # asyncio has other words for it
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {error.message}"
    said = getattr(error, "message", None) or str(error)
    return (str(said).splitlines() or [""])[0] or type(error).__name__
