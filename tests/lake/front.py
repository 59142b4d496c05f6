"""What stands before an S3 server that can be broken."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

# What an S3 server answers that is broken, or has no such bucket.
BROKEN = b"HTTP/1.1 500 Internal\r\nContent-Length: 0\r\n\r\n"
NO_BUCKET = (
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 40\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>"
)


class Front:
    """What stands before the S3 server: it hands bytes on, or gives one answer to everything."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.answer: bytes | None = None
        self.port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._is_open = threading.Event()
        self._close: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._is_open.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """End, with every connection."""
        self._close()
        self._thread.join()

    async def _run(self) -> None:
        is_over, loop = asyncio.Event(), asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._close = lambda: loop.call_soon_threadsafe(is_over.set)
        self._is_open.set()
        await is_over.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if self.answer:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer)
                await writer.drain()
            else:
                behind = await asyncio.open_connection("127.0.0.1", self._behind)
                await asyncio.gather(
                    self._pass_on(reader, behind[1]), self._pass_on(behind[0], writer)
                )
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (data := await reader.read(2**16)) and not self.answer:
            writer.write(data)
            await writer.drain()
        writer.close()
