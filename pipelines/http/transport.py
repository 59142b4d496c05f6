"""How requests travel: httpx on the connections of aiohttp, which cost a sixth of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


def open_transport(base_url: str, connections: int, *, trust_env: bool) -> httpx.AsyncBaseTransport:
    """Return the transport to one server, through the proxy of the environment if that is trusted.

    It keeps no cookies, and asks exactly as often as it is told to.
    """
    context = httpx.create_ssl_context(trust_env=trust_env)

    def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[raise_failures],
        )

    proxy = find_proxy(base_url) if trust_env else None
    return AiohttpTransport(verify=context, proxy=proxy, client=open_session)


async def raise_failures(request: aiohttp.ClientRequest, ask: Ask) -> aiohttp.ClientResponse:
    """Raise as an error of httpx what aiohttp would ask for again, unpaced and uncounted."""
    try:
        response = await ask(request)
    except TimeoutError:
        raise
    except aiohttp.ClientError as error:
        raise httpx.NetworkError(explain(error)) from error
    # httpx wants ASCII, and a server may send anything.
    response.reason = (response.reason or "").encode("ascii", "ignore").decode()
    return response


def explain(error: aiohttp.ClientError) -> str:
    """Return what went wrong: of a refused connection in the operating system's words."""
    # Those of names and certificates, which derive from it, have words of their own.
    if type(error) is aiohttp.ClientConnectorError and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return getattr(error, "message", None) or str(error) or type(error).__name__


def find_proxy(url: str) -> httpx.Proxy | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for the URL.

    Raises SettingsError for one that speaks another protocol than http.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    kind, separator, _ = proxy.partition("://")
    if separator and kind not in {"http", "https"}:
        where = f"{parts.scheme.upper()}_PROXY or ALL_PROXY"
        raise SettingsError(where, f"a {kind} proxy cannot be used", "Name an http proxy.")
    return httpx.Proxy(proxy if separator else f"http://{proxy}")
