"""The threads on landed pages, as objects, before they become columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.errors import LandingError
from pipelines.frames.growing import Path, find_growing
from pipelines.providers.items import Fields
from pipelines.providers.registry import find_endpoint
from pipelines.providers.thread import Thread
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

    from pipelines.providers.base import Endpoint


class PageItems(msgspec.Struct, frozen=True):
    """Of each thread on a page: the thread, what no column can hold, what grows, its digest."""

    threads: Sequence[Thread] = ()
    extras: Sequence[Fields] = ()
    growing: Sequence[tuple[Path, ...]] = ()
    digests: Sequence[int | None] = ()

    def choose(self, is_chosen: Sequence[bool]) -> PageItems:
        """Return those that are chosen."""
        if all(is_chosen):
            return self
        return PageItems(
            list(compress(self.threads, is_chosen)),
            list(compress(self.extras, is_chosen)),
            list(compress(self.growing, is_chosen)),
            list(compress(self.digests, is_chosen)),
        )


class Listed(msgspec.Struct, frozen=True):
    """The threads on several pages, and which page each is on."""

    pages: list[int]
    threads: list[Thread]
    extras: list[Fields]
    growing: list[tuple[Path, ...]]
    digests: list[int | None]


def read_items(endpoint: Endpoint[Any], body: bytes, *, keep_prompts: bool) -> PageItems:
    """Return the threads on a page, without digests. Raises ValueError if the body is none."""
    items: list[tuple[Thread, Fields]] = endpoint.read_items(body, keep_prompts=keep_prompts)
    if not items:
        return PageItems()
    threads, extras = zip(*items, strict=True)
    growing = find_growing(endpoint).list_paths(threads, extras)
    return PageItems(threads, extras, growing, [None] * len(items))


def read_landed(
    pages: pl.DataFrame, providers: Mapping[str, str], *, keep: bool
) -> list[PageItems]:
    """Return the threads on each of the landed pages. Raises LandingError if a body is none."""
    columns = pages.select("source", "endpoint", "session_id", "body")
    return [
        read_one(
            find_endpoint(name, providers.get(source, DEFAULT_PROVIDER)), session_id, body, keep
        )
        for source, name, session_id, body in columns.iter_rows()
    ]


def read_one(endpoint: Endpoint[Any], session_id: str, body: bytes, keep: bool) -> PageItems:  # noqa: FBT001
    """Return the threads on a landed page of a session. Raises LandingError if it is none."""
    try:
        return read_items(endpoint, body, keep_prompts=keep)
    except (ValueError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise LandingError(f"a page of session {session_id} is none ({problem})") from None


def list_threads(items: Iterable[PageItems], filters: Sequence[Sequence[str] | None]) -> Listed:
    """Return the threads on the pages that the filter of the page's poll lets through."""
    listed = Listed([], [], [], [], [])
    for number, (page, wanted) in enumerate(zip(items, filters, strict=True)):
        if wanted is None:
            chosen = page
        else:
            chosen = page.choose([thread.status in wanted for thread in page.threads])
        listed.pages.extend(repeat(number, len(chosen.threads)))
        listed.threads.extend(chosen.threads)
        listed.extras.extend(chosen.extras)
        listed.growing.extend(chosen.growing)
        listed.digests.extend(chosen.digests)
    return listed
