"""Threads beside a run's polls: one reads its pages as they come, the other prepares the load."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from pipelines.landing.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.config.settings import Settings
    from pipelines.landing.store import LandedFile
    from pipelines.records import Poll
    from pipelines.warehouse.base import Warehouse
    from pipelines.warehouse.staged import Staged
    from pipelines.warehouse.stager import Stager

# What follows the last page.
LATER = ("pipelines.warehouse.load", "pipelines.warehouse.together")
logger = logging.getLogger(__name__)


class Staging(Arrivals):
    """Stages a run beside its polls, in a thread with what `make` gives; another does `prepare`.

    What fails in either is left to the load.
    """

    def __init__(
        self, make: Callable[[], Stager | None], prepare: Callable[[], None] = lambda: None
    ) -> None:
        self._arrivals: SimpleQueue[LandedFile | Poll | None] = SimpleQueue()
        self._is_over = False
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="staging")
        self._staged = self._pool.submit(self._stage, make)
        self._prepared = self._pool.submit(prepare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._arrivals.put(None)
        self._pool.shutdown()

    def pages(self, file: LandedFile) -> None:
        """Take note of a file."""
        self._arrivals.put(file)

    def poll(self, poll: Poll) -> None:
        """Take note of a poll."""
        self._arrivals.put(poll)

    def conclude(self) -> Staged | None:
        """Wait until all is staged that has come, and return it; None if it cannot be used."""
        self._arrivals.put(None)
        failures = self._prepared.exception(), self._staged.exception()
        for error in filter(None, failures):
            logger.debug("not staged or prepared: %s", type(error).__name__, exc_info=error)
            error.with_traceback(None)  # it would keep the connection of what was staged
        return None if failures[1] else self._staged.result()

    def _stage(self, make: Callable[[], Stager | None]) -> Staged | None:
        stager = make()
        while (arrival := self._arrivals.get()) is not None:
            if self._is_over:
                return None
            if stager:
                stager.take(arrival)
        return stager.conclude() if stager else None


def begin_staging(settings: Settings, warehouse: Warehouse | None) -> Stager | None:
    """Return what reads a run's pages as they land; None if nobody will load them here."""
    if warehouse is None:
        return None
    from pipelines.warehouse.stager import make_stager  # noqa: PLC0415 - beside the requests

    return make_stager(settings, warehouse)


def prepare_load(settings: Settings, warehouse: Warehouse | None) -> None:
    """Make what a first load must make, and import and parse what follows the last page."""
    if warehouse is None:
        return
    warehouse.prepare()
    for name in LATER:
        import_module(name)
    from pipelines.warehouse.analyses import list_analyses  # noqa: PLC0415 - as above

    list_analyses(settings.analyses_dir)  # for the next who asks, who finds them parsed
