"""The connections to a source; what they are made of is imported late, beside other work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from pipelines import __version__
from pipelines.http.encoding import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipelines.config.settings import Source
    from pipelines.http.client import Client

T = TypeVar("T")


def import_beside(work: Callable[[], T]) -> T:
    """Return what the work gives; meanwhile what sends requests is imported, which takes 0.1 s."""
    with ThreadPoolExecutor(1, thread_name_prefix="beside imports") as pool:
        given = pool.submit(work)
        import_module("pipelines.http.client")
    return given.result()


@asynccontextmanager
async def open_client(source: Source, *, backoff_s: float = 1) -> AsyncIterator[Client]:
    """Open the connections to one source and close them at the end."""
    from pipelines.http.client import Client  # noqa: PLC0415 - see above
    from pipelines.http.transport import open_connections  # noqa: PLC0415 - see above

    headers = {"User-Agent": f"session-threads/{__version__}", "Accept": "application/json"}
    headers["Accept-Encoding"] = ACCEPTED
    headers |= source.reveal(source.headers)
    async with open_connections(source.base_url, source.max_concurrency, headers) as http:
        yield Client(source, http, backoff_s=backoff_s)
