"""The floor: only download every page, eight sessions at a time, and keep nothing.

    python floor.py httpx|httpx-aiohttp|aiohttp [PER_SECOND]

Writes how many pages and bytes came. Nothing is decoded: the cursor is cut out of the page's end.
With a number at most so many requests start in a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Get = Callable[[str, dict[str, str]], Awaitable[bytes]]

CONCURRENCY = 8
UNLIMITED = 1e9
KEY = b'"next_page":'


@asynccontextmanager
async def open_httpx(*, over_aiohttp: bool) -> AsyncIterator[Get]:
    """Give a function that gets a URL by httpx, over its own transport or aiohttp's."""
    import httpx

    if over_aiohttp:
        from httpx_aiohttp import HttpxAiohttpClient as Client
    else:
        Client = httpx.AsyncClient  # noqa: N806 - a class
    async with Client(headers=read_headers()) as client:

        async def get(url: str, params: dict[str, str]) -> bytes:
            return (await client.get(url, params=params)).raise_for_status().content

        yield get


@asynccontextmanager
async def open_aiohttp() -> AsyncIterator[Get]:
    """Give a function that gets a URL by aiohttp alone."""
    import aiohttp

    async with aiohttp.ClientSession(headers=read_headers()) as session:

        async def get(url: str, params: dict[str, str]) -> bytes:
            async with session.get(url, params=params) as response:
                response.raise_for_status()
                return await response.read()

        yield get


def read_headers() -> dict[str, str]:
    """Return the headers of every request."""
    return {"authorization": f"Bearer {os.environ['BENCH_TOKEN']}"}


def cut_cursor(page: bytes) -> str | None:
    """Return the cursor of the page after this one."""
    return json.loads(page[page.rfind(KEY) + len(KEY) : -1])


def slow_down(get: Get, per_second: float) -> Get:
    """Return a function that gets a URL when its turn has come."""
    next_turn = 0.0

    async def get_in_turn(url: str, params: dict[str, str]) -> bytes:
        nonlocal next_turn
        now = time.monotonic()
        turn = next_turn = max(now, next_turn + 1 / per_second)
        await asyncio.sleep(turn - now)
        return await get(url, params)

    return get_in_turn


async def download(get: Get, session: str, places: asyncio.Semaphore) -> tuple[int, int]:
    """Download every page of a session; return how many, and their bytes."""
    url = f"{os.environ['BENCH_BASE_URL']}/sessions/{session}/threads"
    pages, size, params = 0, 0, {"limit": "100"}
    async with places:
        while True:
            page = await get(url, params)
            pages, size = pages + 1, size + len(page)
            if not (cursor := cut_cursor(page)):
                return pages, size
            params = {"limit": "100", "page": cursor}


async def download_all(way: str, sessions: list[str], per_second: float) -> dict[str, int]:
    """Download every session; return what came."""
    opened = open_aiohttp() if way == "aiohttp" else open_httpx(over_aiohttp=way != "httpx")
    places = asyncio.Semaphore(CONCURRENCY)
    async with opened as get_at_once:
        get = slow_down(get_at_once, per_second)
        came = await asyncio.gather(*(download(get, session, places) for session in sessions))
    return {"pages": sum(pages for pages, _ in came), "bytes": sum(size for _, size in came)}


def main(way: str, per_second: float = UNLIMITED) -> None:
    """Download every session; write what came."""
    sessions = json.loads(Path(os.environ["BENCH_SESSIONS"]).read_text(encoding="utf-8"))
    came = asyncio.run(download_all(way, sessions, per_second))
    Path("downloaded.json").write_text(json.dumps(came), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
