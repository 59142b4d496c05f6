"""How requests travel: on httpx's own connections, through the proxy that the environment names.

On those of aiohttp (httpx-aiohttp) a request takes 1.0 to 1.3 ms of CPU less. At the default 50
requests a second that is a twentieth of a core and no time: 1,000 pages of 67 kB come in 20.2 s
instead of 20.1 s. At full speed, from a server with 20 ms of latency, they come in 4.1 s instead of
3.2 s, of the 13 s that their poll takes. In exchange there were two more dependencies, five locked
packages, and code of ours for cookies, silent retries, reason phrases, errors and proxies. Measured
by `python -m benchmarks.transports`, which shows no difference for 10,000 threads.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from pipelines.config.values import is_loopback
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def open_connections(
    base_url: str, connections: int, headers: Mapping[str, str]
) -> httpx.AsyncClient:
    """Return a client for one server with so many connections; it follows no redirect.

    It has no time-out: the caller bounds the whole request. Raises SettingsError for a proxy
    that speaks another protocol than http.
    """
    keep_urls_unlogged()
    try:
        return httpx.AsyncClient(
            verify=httpx.create_ssl_context(trust_env=True),
            # A proxy for plain http would read the token; loopback needs none.
            trust_env=not is_loopback(urlsplit(base_url).hostname or ""),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=None,  # noqa: S113
            follow_redirects=False,
            headers=headers,
        )
    except OSError as error:
        where = "SSL_CERT_FILE or SSL_CERT_DIR"
        problem = f"the certificates cannot be read ({error.strerror or error})"
        raise SettingsError(
            where, problem, "Name a file of PEM certificates, or unset it."
        ) from None
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        where = "HTTPS_PROXY or ALL_PROXY"
        problem = f"this proxy cannot be used ({error})"
        raise SettingsError(where, problem, "Name it like http://proxy:3128.") from None


def keep_urls_unlogged() -> None:
    """Keep httpx from logging a line with the URL of each request: a part of it may be secret."""
    logging.getLogger("httpx").addFilter(_reject_record)


def _reject_record(_: logging.LogRecord) -> bool:
    return False


def explain(error: BaseException) -> str:
    """Return what went wrong with a connection, in the operating system's words if it has some."""
    deepest = error
    while cause := deepest.__cause__ or deepest.__context__:
        deepest = cause
    if isinstance(deepest, ConnectionError) and deepest.errno:
        return os.strerror(deepest.errno)  # asyncio has other words for it
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror
    return str(error) or type(error).__name__
