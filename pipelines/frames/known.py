"""Threads that came as they are known, byte for byte: nothing of them needs to be read."""

from __future__ import annotations

import hashlib
from itertools import compress
from typing import TYPE_CHECKING

import polars as pl

from pipelines.frames.evidence import name_readings
from pipelines.providers.registry import find_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.records import Poll

SEEN = pl.Schema({"source": pl.String(), "session_id": pl.String(), "digest": pl.UInt64()})
DIGESTS = pl.List(pl.UInt64)


class ThreadDigests:
    """Digests of threads as they came, and of their source, their session and how they are read.

    So equal ones mean the same row. Those in `known` need not be read.
    """

    def __init__(
        self, polls: Iterable[Poll], known: pl.Series, *, keep_agent_definition: bool
    ) -> None:
        self._providers = {poll.source: poll.provider for poll in polls}
        self._readings = name_readings(
            {*self._providers.values()}, keep_agent_definition=keep_agent_definition
        )
        self._known = known
        self._salts: dict[tuple[str, str], int] = {}

    def leave_known(self, pages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return landed pages without the threads that are known, and those, with the schema SEEN.

        The pages get a column `digests`: of each thread that is left on them, in their order; none
        of a page that is not listed, or cannot be read.
        """
        keys = list(pages.select("source", "session_id", "endpoint", "body").iter_rows())
        digests = [self._digest(*key) for key in keys]
        pages = pages.with_columns(digests=pl.Series(digests, dtype=DIGESTS))
        seen = (
            pages.select("source", "session_id", digest="digests")
            .explode("digest")
            .filter(pl.col("digest").is_in(self._known.implode()))
        )
        if seen.is_empty():
            return pages, seen
        known = set(seen["digest"])
        is_left = [[digest not in known for digest in page] for page in digests]
        bodies = [
            body if all(left) else self._keep(source, endpoint, body, left)
            for (source, _, endpoint, body), left in zip(keys, is_left, strict=True)
        ]
        rest = [list(compress(*page)) for page in zip(digests, is_left, strict=True)]
        return pages.with_columns(
            body=pl.Series(bodies, dtype=pl.Binary), digests=pl.Series(rest, dtype=DIGESTS)
        ), seen

    def _digest(self, source: str, session_id: str, endpoint: str, body: bytes) -> list[int]:
        provider = self._providers[source]
        try:
            items = find_endpoint(endpoint, provider).split_items(body)
        except (ValueError, RecursionError):
            return []  # who reads the page says what is wrong with it
        salt = self._salts.get((source, session_id))
        if salt is None:
            salt = digest(repr((self._readings[provider], source, session_id)).encode())
            self._salts[source, session_id] = salt
        return [digest(item) ^ salt for item in items]

    def _keep(self, source: str, endpoint: str, body: bytes, is_left: Iterable[bool]) -> bytes:
        reader = find_endpoint(endpoint, self._providers[source])
        return reader.join_items(compress(reader.split_items(body), is_left))


def digest(content: bytes) -> int:
    """Return a digest that fits an integer: of 2^64 changes one would go unnoticed."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
