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
from pipelines.frames.growing import GrowingFields
from pipelines.frames.values import TIMESTAMP
from pipelines.providers.registry import find_endpoint
from pipelines.records import THREADS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipelines.providers.base import Endpoint

Session = tuple[str, str]

KNOWN = pl.Schema({"digest": pl.Int64(), "growing_since": TIMESTAMP})
SEEN = pl.Schema({"source": pl.String(), "session_id": pl.String(), **KNOWN})
DIGESTS = pl.List(pl.Int64)
# Numbers that grow by themselves are stored anew when those that are stored are so old.
REFRESH = timedelta(hours=1)
_encode = msgspec.json.Encoder(order="deterministic").encode


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
        self._readings = name_readings(
            {*providers.values()}, keep_agent_definition=keep_agent_definition
        )
        self._read_known = read_known
        self._known: pl.DataFrame | None = None
        self._salts: dict[Session, bytes] = {}
        self._digests: defaultdict[Session, dict[int, array[int]]] = defaultdict(dict)

    def add(self, pages: pl.DataFrame, sessions: Collection[Session] | None = None) -> None:
        """Look at landed pages, of these sessions alone, if any are named."""
        wanted = None if sessions is None else set(sessions)
        new = [
            row
            for row in pages.filter(endpoint=THREADS_ENDPOINT)
            .select("source", "session_id", "page", "body")
            .iter_rows()
            if (wanted is None or row[:2] in wanted) and row[2] not in self._digests[row[:2]]
        ]
        items = [self._split(source, body) for source, _, _, body in new]
        digests = [
            digest_all(raws, self._salt(source, session_id))
            for (source, session_id, _, _), raws in zip(new, items, strict=True)
        ]
        unmoved = self._find_unmoved(digests)
        for (source, session_id, page, _), raws, found in zip(new, items, digests, strict=True):
            self._set_states(source, session_id, raws, found, unmoved)
            self._digests[source, session_id][page] = found

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
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return landed pages without the threads that are known, and those, with the schema SEEN.

        Threads of the sessions `but` are all left. The pages get a column `digests`: of each thread
        that is left on them, in their order; none of a page that is not listed, or cannot be read.
        """
        self.add(pages)
        keys = list(pages.select("source", "session_id", "endpoint", "page", "body").iter_rows())
        digests = [
            self._digests[source, session_id][page] if name == THREADS_ENDPOINT else array("q")
            for source, session_id, name, page, _ in keys
        ]
        listed = pages.select(
            *("source", "session_id", "observed_at"), digest=pl.Series(digests, dtype=DIGESTS)
        )
        seen = self._find_seen(listed.explode("digest"), but)
        known = set(seen["digest"])
        is_left = [[digest not in known for digest in page] for page in digests]
        bodies = [
            body if all(left) else self._keep(source, body, left)
            for (source, *_, body), left in zip(keys, is_left, strict=True)
        ]
        rest = [list(compress(*page)) for page in zip(digests, is_left, strict=True)]
        return pages.with_columns(
            body=pl.Series(bodies, dtype=pl.Binary), digests=pl.Series(rest, dtype=DIGESTS)
        ), seen

    @property
    def known(self) -> pl.DataFrame:
        """Those that are known, with the schema KNOWN."""
        if self._known is None:
            self._known = self._read_known().cast(KNOWN)
        return self._known

    def _find_seen(self, listed: pl.DataFrame, but: Collection[Session]) -> pl.DataFrame:
        """Return the known threads whose growing numbers, if there are any, are recent."""
        since, came = pl.col("growing_since"), pl.col("observed_at")
        is_recent = (came >= since - REFRESH) & (came < since + REFRESH)
        others = pl.DataFrame(list(but), schema=list(SEEN)[:2], orient="row").cast(pl.String)
        return (
            listed.join(self.known, on="digest", maintain_order="left")
            .filter(since.is_null() | is_recent)
            .join(others, on=others.columns, how="anti", maintain_order="left")
            .select(*SEEN)
        )

    def _find_unmoved(self, digests: Sequence[array[int]]) -> set[int]:
        """Return the digests of bytes that are known, in which nothing grows."""
        fixed = self.known.filter(pl.col("growing_since").is_null())["digest"]
        came = pl.Series(digests, dtype=DIGESTS).explode()
        return set(came.filter(came.is_in(fixed.implode())))

    def _set_states(
        self,
        source: str,
        session_id: str,
        raws: Sequence[bytes],
        digests: array[int],
        unmoved: Collection[int],
    ) -> None:
        """Put digests without the growing numbers into the places of threads that have some."""
        places = [place for place, found in enumerate(digests) if found not in unmoved]
        if not places:
            return
        endpoint = self._endpoint(source)
        growing = GrowingFields(endpoint.documented.growing)
        try:
            body = endpoint.join_items(raws[place] for place in places)
            items = endpoint.read_items(body, keep_prompts=True)
        except (ValueError, RecursionError):
            return  # who reads the page says what is wrong with it
        if len(items) != len(places):
            return
        states = [(thread, growing.blank(thread, extra)) for thread, extra in items]
        moved = [state for state in states if state[1] is not None]
        found = iter(digest_all(map(_encode, moved), self._salt(source, session_id)))
        for place, (_, left) in zip(places, states, strict=True):
            if left is not None:
                digests[place] = next(found)

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

    def _keep(self, source: str, body: bytes, is_left: Iterable[bool]) -> bytes:
        endpoint = self._endpoint(source)
        return endpoint.join_items(compress(endpoint.split_items(body), is_left))


def digest_all(contents: Iterable[bytes], salt: bytes) -> array[int]:
    """Return digests that fit integers: of 2^64 changes one would go unnoticed."""
    blake2b = hashlib.blake2b
    found = [blake2b(content, digest_size=8, salt=salt).digest() for content in contents]
    digests = array("q", b"".join(found))
    if sys.byteorder == "big":
        digests.byteswap()
    return digests
