"""Threads that came as they are known: nothing of them needs to be read.

A thread is known by the digest of its bytes or, if numbers grow by themselves in it, of what it
holds beside these.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections import defaultdict
from datetime import timedelta
from itertools import compress
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.frames.evidence import name_readings
from pipelines.frames.growing import encode_state
from pipelines.frames.listed import PageItems, read_items, read_one
from pipelines.frames.values import TIMESTAMP
from pipelines.providers.registry import find_endpoint
from pipelines.records import THREADS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipelines.providers.base import Endpoint

Session = tuple[str, str]
# A page of a session's threads: source, session and number; and with its body.
Place = tuple[str, str, int]
PageRow = tuple[str, str, int, bytes]

KNOWN = pl.Schema({"digest": pl.Int64(), "growing_since": TIMESTAMP})
SEEN = pl.Schema({"source": pl.String(), "session_id": pl.String(), **KNOWN})
DIGESTS = pl.List(pl.Int64)
# Numbers that grow by themselves are stored anew when those that are stored are so old.
REFRESH = timedelta(hours=1)


class ThreadDigests:
    """The digests of the threads on a run's pages, each of which is looked at once.

    They are also of the source, the session and how its pages are read: equal ones mean the same
    row. `providers` is source -> provider. `read_known` returns, when a page is looked at first,
    those of threads that need not be read if they come so again, with the schema KNOWN.
    """

    def __init__(
        self,
        providers: Mapping[str, str],
        read_known: Callable[[], pl.DataFrame],
        *,
        keep_agent_definition: bool,
    ) -> None:
        self._providers = providers
        self._keep = keep_agent_definition
        self._readings = name_readings(
            {*providers.values()}, keep_agent_definition=keep_agent_definition
        )
        self._read_known = read_known
        self._known: pl.DataFrame | None = None
        # Of the pages that were looked at last, those that hold nothing undocumented.
        self._items: dict[Place, PageItems] = {}
        self._salts: dict[Session, bytes] = {}
        self._digests: defaultdict[Session, dict[int, array[int]]] = defaultdict(dict)

    def add(self, pages: pl.DataFrame, sessions: Collection[Session] | None = None) -> None:
        """Look at landed pages, of these sessions alone, if any are named."""
        wanted = None if sessions is None else set(sessions)
        columns = pages.filter(endpoint=THREADS_ENDPOINT).select(
            "source", "session_id", "page", "body"
        )
        new = [
            row
            for row in columns.iter_rows()
            if (wanted is None or row[:2] in wanted) and row[2] not in self._digests[row[:2]]
        ]
        if not new:
            return  # what was read of them is still to be taken
        self._items.clear()
        split = [self._split(source, body) for source, _, _, body in new]
        digests, unmoved = self._find_unmoved(new, split)
        for row, raws, found in zip(new, split, digests, strict=True):
            moved = [number for number, digest in enumerate(found) if digest not in unmoved]
            contents = self._find_states(row, raws, moved) if moved else []
            salt = self._salt(*row[:2])
            for number, digest in zip(moved, digest_all(contents, salt), strict=True):
                found[number] = digest
            self._digests[row[:2]][row[2]] = found

    def pages(self, session: Session) -> int:
        """Return how many pages of a session were looked at."""
        return len(self._digests[session])

    def state(self, session: Session) -> str:
        """Return the digest of a session's threads without numbers that grow by themselves."""
        whole = hashlib.blake2b(digest_size=16)
        for _, page in sorted(self._digests[session].items()):
            whole.update(page.tobytes())
        return whole.hexdigest()

    def leave_known(
        self, pages: pl.DataFrame, but: Collection[Session] = ()
    ) -> tuple[list[PageItems], pl.DataFrame]:
        """Return the threads on each landed page that are not known, and those that are: SEEN.

        Threads of the sessions `but` are all left. Raises LandingError if a body is no page.
        """
        self.add(pages)
        keys = pages.select("source", "session_id", "endpoint", "page", "body").rows()
        digests = [
            self._digests[source, session_id][page] if name == THREADS_ENDPOINT else array("q")
            for source, session_id, name, page, _ in keys
        ]
        seen = self._find_seen(pages, digests, but)
        known = set(seen["digest"])
        return [
            self._leave(row, found, known) for row, found in zip(keys, digests, strict=True)
        ], seen

    def _leave(
        self, row: tuple[str, str, str, int, bytes], digests: array[int], known: Collection[int]
    ) -> PageItems:
        source, session_id, name, page, body = row
        is_left = [digest not in known for digest in digests]
        items = (
            self._items.pop((source, session_id, page), None) if name == THREADS_ENDPOINT else None
        )
        if items is None:
            endpoint = find_endpoint(name, self._providers[source])
            if not all(is_left):
                body = endpoint.join_items(compress(endpoint.split_items(body), is_left))
                digests, is_left = array("q", compress(digests, is_left)), []
            items = read_one(endpoint, session_id, body, self._keep)
        if len(digests) == len(items.threads):
            items = msgspec.structs.replace(items, digests=digests)
        return items.choose(is_left)

    @property
    def known(self) -> pl.DataFrame:
        """Those that are known, with the schema KNOWN."""
        if self._known is None:
            self._known = self._read_known().cast(KNOWN)
        return self._known

    def _find_seen(
        self, pages: pl.DataFrame, digests: Sequence[array[int]], but: Collection[Session]
    ) -> pl.DataFrame:
        """Return the known threads whose growing numbers, if there are any, are recent."""
        if self.known.is_empty():
            return pl.DataFrame(schema=SEEN)
        since, came = pl.col("growing_since"), pl.col("observed_at")
        is_recent = (came >= since - REFRESH) & (came < since + REFRESH)
        others = pl.DataFrame(list(but), schema=list(SEEN)[:2], orient="row").cast(pl.String)
        return (
            pages.select(
                *("source", "session_id", "observed_at"), digest=pl.Series(digests, dtype=DIGESTS)
            )
            .explode("digest")
            .join(self.known, on="digest", maintain_order="left")
            .filter(since.is_null() | is_recent)
            .join(others, on=others.columns, how="anti", maintain_order="left")
            .select(*SEEN)
        )

    def _find_unmoved(
        self, pages: Sequence[PageRow], split: Sequence[Sequence[bytes]]
    ) -> tuple[list[array[int]], set[int]]:
        """Return the digests of the bytes of pages' items, and those that are known and fixed.

        If no fixed one is known they are not computed, but all 0.
        """
        fixed = self.known.filter(pl.col("growing_since").is_null())["digest"]
        if fixed.is_empty():
            return [array("q", bytes(8 * len(raws))) for raws in split], set()
        digests = [
            digest_all(raws, self._salt(source, session_id))
            for (source, session_id, _, _), raws in zip(pages, split, strict=True)
        ]
        came = pl.Series(digests, dtype=DIGESTS).explode()
        return digests, set(came.filter(came.is_in(fixed.implode())))

    def _find_states(
        self, page: PageRow, raws: Sequence[bytes], places: Sequence[int]
    ) -> list[bytes]:
        """Return the items at these places, without the growing numbers if they have some."""
        source, session_id, number, body = page
        chosen = [raws[place] for place in places]
        is_whole = len(chosen) == len(raws)
        endpoint = self._endpoint(source)
        try:
            whole = body if is_whole else endpoint.join_items(chosen)
            items = read_items(endpoint, whole, keep_prompts=True)
        except (ValueError, RecursionError):
            return chosen  # who reads the page says what is wrong with it
        if len(items.threads) != len(chosen):
            return chosen
        if is_whole and not any(items.extras):
            self._items[source, session_id, number] = items
        return [
            (encode_state(thread, extra, paths) or raw) if paths else raw
            for thread, extra, paths, raw in zip(
                items.threads, items.extras, items.growing, chosen, strict=True
            )
        ]

    def _salt(self, source: str, session_id: str) -> bytes:
        salt = self._salts.get((source, session_id))
        if salt is None:
            reading = self._readings[self._providers[source]]
            text = repr((reading, source, session_id)).encode()
            salt = hashlib.blake2b(text, digest_size=hashlib.blake2b.SALT_SIZE).digest()
            self._salts[source, session_id] = salt
        return salt

    def _endpoint(self, source: str) -> Endpoint[Any]:
        return find_endpoint(THREADS_ENDPOINT, self._providers[source])

    def _split(self, source: str, body: bytes) -> Sequence[bytes]:
        try:
            return self._endpoint(source).split_items(body)
        except (ValueError, RecursionError):
            return [body]  # it counts as it came


def digest_all(contents: Iterable[bytes], salt: bytes) -> array[int]:
    """Return digests that fit integers: of 2^64 changes one would go unnoticed."""
    blake2b = hashlib.blake2b
    found = [blake2b(content, digest_size=8, salt=salt).digest() for content in contents]
    digests = array("q", b"".join(found))
    if sys.byteorder == "big":
        digests.byteswap()
    return digests
