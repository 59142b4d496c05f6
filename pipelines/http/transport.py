"""How requests travel: on aiohttp's connections, through the proxy that the environment names.

A page of 67 kB takes 0.3 ms of CPU so, on httpx's connections 1.2 to 1.8 ms (`python -m
benchmarks.transports`): of what happens while pages come, that was half.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
from yarl import URL

from pipelines.config.values import is_loopback
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

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


class TransportError(Exception):
    """A request that no answer came to, and what went wrong with its connection."""


class NoConnection(TransportError):
    """There was none: the request never left this machine."""


def open_connections(
    base_url: str, connections: int, headers: Mapping[str, str]
) -> aiohttp.ClientSession:
    """Return a client for one server with so many connections, to be closed.

    It keeps no cookies, decodes no body, has no time-out but that to connect, others being its
    caller's, and asks exactly as often as it is told to. It raises TransportError. Raises
    SettingsError for certificates that cannot be read, and for a proxy that speaks another protocol
    than http.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=make_context(base_url)),
        proxy=find_proxy(base_url),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
        middlewares=[raise_failures],
    )


async def raise_failures(request: aiohttp.ClientRequest, ask: Ask) -> aiohttp.ClientResponse:
    """Raise as TransportError what aiohttp would ask for again, unpaced and uncounted."""
    try:
        return await ask(request)
    except NOT_CONNECTED as error:
        raise NoConnection(explain(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise TransportError(explain(error)) from error


def make_context(base_url: str) -> ssl.SSLContext | bool:
    """Return which certificates a server may show; True if it is not asked for any."""
    if urlsplit(base_url).scheme != "https":
        return True
    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if file or directory:
            return ssl.create_default_context(cafile=file or None, capath=directory or None)
        return ssl.create_default_context(cafile=certifi.where())
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
