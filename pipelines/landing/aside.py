"""Landed runs that cannot be loaded: after two failures they are set aside, and stop no other.

What was tried is marked beside the run's file before its load begins, so that a load which ends the
process is counted too; as processes also end for other reasons, that may happen some times more.
What is set aside keeps its place, and has a mark that says so: without it, it is loaded again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipelines.errors import LandingError, StoreUnavailable
from pipelines.landing.directory import ASIDE, find_aside

if TYPE_CHECKING:
    from pipelines.landing.store import LandedFile, Store

# What the names of marks end in, with a number.
BEGUN, FAILED = ".begun-", ".failed-"
# How often it may fail, and how often it may be begun at all.
FAILURES = 2
BEGINNINGS = 5


class Tries:
    """How often the load of a landed file was begun, and has failed."""

    def __init__(self, file: LandedFile) -> None:
        self._file = file
        self._marks = [name for name in file.store.list() if is_mark(name, file.name)]

    def _find(self, kind: str) -> list[str]:
        return [name for name in self._marks if name.startswith(f"{self._file.name}{kind}")]

    @property
    def are_spent(self) -> bool:
        """Whether it was tried often enough."""
        return len(self._find(FAILED)) >= FAILURES or len(self._find(BEGUN)) >= BEGINNINGS

    def _mark(self, kind: str) -> None:
        name = f"{self._file.name}{kind}{len(self._find(kind)) + 1}"
        self._file.store.put(name)
        self._marks.append(name)

    def begin(self) -> None:
        """Mark that it begins. Raises LandingError if that cannot be marked."""
        self._mark(BEGUN)

    def fail(self) -> None:
        """Mark that it has failed, if there is room: what failed is to be raised, not this."""
        with suppress(LandingError, StoreUnavailable):
            self._mark(FAILED)

    def take_back(self) -> None:
        """Forget that it began, likewise: what went wrong is no fault of the file."""
        with suppress(StoreUnavailable):
            self._file.store.delete(self._find(BEGUN)[-1])

    def forget(self) -> None:
        """Count none: it is loaded, or set aside."""
        self._file.store.delete(*self._marks)

    def set_aside(self) -> None:
        """Mark the file as one that nobody loads."""
        self._file.store.put(self._file.name + ASIDE)
        self.forget()


def is_mark(name: str, file: str) -> bool:
    """Whether a name is that of a mark of a file's tries."""
    return name.startswith((f"{file}{BEGUN}", f"{file}{FAILED}"))


def describe_aside(store: Store) -> str | None:
    """Return in one line which landed runs are set aside; None if none is."""
    names = find_aside(store.list())
    if not names:
        return None
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    hint = f"After an upgrade remove the file beside it that ends in {ASIDE}, and run again"
    return f"{store.locate(names[0])}{more}: could not be loaded twice, and is set aside. {hint}"
