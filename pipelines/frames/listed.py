"""The threads on landed pages, as objects, before they become columns."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import msgspec

from pipelines.errors import LandingError
from pipelines.frames.growing import GrowingFields, Path
from pipelines.providers.items import Fields
from pipelines.providers.registry import find_endpoint
from pipelines.providers.thread import Thread
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl


class Listed(msgspec.Struct, frozen=True):
    """Of each thread on pages: which page, the thread, what no column can hold, what grows.

    And its digest, if there is one.
    """

    pages: list[int] = []
    threads: list[Thread] = []
    extras: list[Fields] = []
    growing: list[tuple[Path, ...]] = []
    digests: list[int | None] = []


def list_threads(
    pages: pl.DataFrame,
    filters: Mapping[tuple[str, str], list[str]],
    providers: Mapping[str, str],
    keep_agent_definition: bool,  # noqa: FBT001
) -> Listed:
    """Return each thread on the pages that the filter of its poll lets through."""
    listed = Listed([], [], [], [], [])
    digests = pages["digests"].to_list() if "digests" in pages else [[]] * len(pages)
    columns = pages.select("source", "endpoint", "session_id", "body")
    for number, (source, name, session_id, body) in enumerate(columns.iter_rows()):
        wanted = filters.get((source, session_id))
        endpoint = find_endpoint(name, providers.get(source, DEFAULT_PROVIDER))
        growing = GrowingFields(endpoint.documented.growing)
        try:
            items = endpoint.read_items(body, keep_prompts=keep_agent_definition)
            of_items = digests[number] if len(digests[number]) == len(items) else repeat(None)
            for (thread, extra), digest in zip(items, of_items, strict=False):
                if wanted is None or thread.status in wanted:
                    listed.pages.append(number)
                    listed.threads.append(thread)
                    listed.extras.append(extra)
                    listed.growing.append(growing.list_paths(thread, extra))
                    listed.digests.append(digest)
        except (ValueError, RecursionError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise LandingError(f"a page of session {session_id} is none ({problem})") from None
    return listed
