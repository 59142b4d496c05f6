"""What a load reads of a run's pages, read while further pages come.

Files are read in the order in which they landed, as a load does, and with the same functions: what
was staged either is all that the load would read itself, or is not used. It lies in a database of
the run's own, which ends with the process; the landed pages remain the truth.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from pipelines.frames.drift import Drift
from pipelines.frames.evidence import name_readings
from pipelines.frames.flatten import flatten_pages
from pipelines.frames.known import ThreadDigests
from pipelines.landing.format import read_pages
from pipelines.providers.registry import find_endpoint
from pipelines.records import THREAD_ENDPOINT, THREADS_ENDPOINT, Poll
from pipelines.warehouse.repeats import finish_digest, is_whole, repeats
from pipelines.warehouse.sql import limit_memory
from pipelines.warehouse.staged import (
    MEMORY_MB,
    Staged,
    add_threads,
    make_tables,
    read_before,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb

    from pipelines.config.settings import Settings
    from pipelines.landing.store import LandedFile
    from pipelines.warehouse.base import Warehouse
    from pipelines.warehouse.repeats import Known
    from pipelines.warehouse.staged import Before, Session

OF_THREADS = (THREADS_ENDPOINT, THREAD_ENDPOINT)


class Stager:
    """Reads the files of one run; `providers` is source -> provider."""

    def __init__(
        self,
        providers: Mapping[str, str],
        before: Before,
        tables: duckdb.DuckDBPyConnection,
        *,
        keep: bool,
    ) -> None:
        self._providers = providers
        self._before = before
        self._keep = keep
        self._readings = name_readings(providers.values(), keep_agent_definition=False)
        self._files: list[tuple[LandedFile, list[Session]]] = []
        self._newest: tuple[LandedFile, pl.DataFrame] | None = None
        self._hashed = self._flattened = 0
        self._ended: dict[Session, Poll] = {}
        self._pages: Counter[Session] = Counter()
        self._digests = ThreadDigests(providers, lambda: before.threads, keep_agent_definition=keep)
        self._sessions: set[Session] = set()
        documented = {
            source: find_endpoint(THREADS_ENDPOINT, name).documented
            for source, name in providers.items()
        }
        self._drift = Drift(documented, before.drift)
        self._tables = tables
        limit_memory(tables, MEMORY_MB)
        make_tables(tables)

    def take(self, arrival: LandedFile | Poll) -> None:
        """Take a file or a poll. Raises LandingError for a damaged file."""
        if isinstance(arrival, Poll):
            if arrival.endpoint == THREADS_ENDPOINT:
                self._ended[arrival.source, arrival.session_id] = arrival
        else:
            self._newest = arrival, read_pages(arrival)[1]
            of_threads = self._newest[1].filter(pl.col("endpoint").is_in(OF_THREADS))
            sessions = of_threads.select("source", "session_id").unique(maintain_order=True)
            self._files.append((arrival, sessions.rows()))
        while self._has_next(self._hashed, self._is_comparable):
            self._hash(self._read(self._hashed))
            self._hashed += 1
        while self._flattened < self._hashed and self._has_next(self._flattened, self._is_decided):
            self._flatten(self._flattened)
            self._flattened += 1

    def conclude(self) -> Staged | None:
        """Return what was staged, if it is all there is.

        It is not, if our clock was wrong, or threads in certain statuses alone were asked for.
        """
        is_odd = any(poll.clock_error or poll.status_filter for poll in self._ended.values())
        if is_odd or self._flattened < len(self._files):
            return None
        limit_memory(self._tables, None)
        return Staged(self._before, self._sessions, self._digests, self._drift, self._tables)

    def _has_next(self, number: int, is_ready: Callable[[Session], bool]) -> bool:
        return number < len(self._files) and all(map(is_ready, self._files[number][1]))

    def _read(self, number: int) -> pl.DataFrame:
        file = self._files[number][0]
        if self._newest and self._newest[0] == file:
            return self._newest[1]
        return read_pages(file)[1]

    def _known(self, session: Session) -> Known | None:
        return self._before.polls.get((session[0], THREADS_ENDPOINT, session[1]))

    def _is_comparable(self, session: Session) -> bool:
        """Whether it is known if a state digest of the session is needed."""
        return self._known(session) is None or session in self._ended

    def _is_decided(self, session: Session) -> bool:
        """Whether it is known if the session brings news."""
        poll = self._ended.get(session)
        return self._known(session) is None or (
            poll is not None and self._pages[session] == poll.pages
        )

    def _needs_state(self, session: Session) -> bool:
        known = self._known(session)
        if known is None:
            return True
        return known.state is not None and known.digest != self._digest(self._ended[session])

    def _digest(self, poll: Poll) -> str:
        return finish_digest(poll.digest or "", self._readings[poll.provider], keep=self._keep)

    def _hash(self, pages: pl.DataFrame) -> None:
        listed = pages.filter(endpoint=THREADS_ENDPOINT).select("source", "session_id").rows()
        self._pages.update(listed)
        self._digests.add(pages, [session for session in set(listed) if self._needs_state(session)])

    def _brings_news(self, session: Session) -> bool:
        known, poll = self._known(session), self._ended.get(session)
        if known is None or poll is None or not is_whole(poll):
            return True
        state = None
        if self._digests.pages(session):
            reading = self._readings[poll.provider]
            state = finish_digest(self._digests.state(session), reading, keep=self._keep)
        return not repeats(poll, known, self._digest(poll), state)

    def _flatten(self, number: int) -> None:
        news = [session for session in self._files[number][1] if self._brings_news(session)]
        self._sessions.update(news)
        if news:
            batch = flatten_pages(
                self._read(number),
                news,
                [self._ended[session] for session in news if session in self._ended],
                providers=self._providers,
                keep=self._keep,
                digests=self._digests,
                drift=self._drift,
            )
            add_threads(self._tables, batch)


def make_stager(settings: Settings, warehouse: Warehouse) -> Stager:
    """Return what reads a run's pages as they land, and compares them with what is published."""
    providers = {source.name: source.provider for source in settings.sources}
    tables, keep = warehouse.stage(), settings.keep_agent_definition
    return Stager(providers, read_before(warehouse), tables, keep=keep)
