"""Landed runs that cannot be loaded: after two failures they are set aside, and stop no other.

What was tried is noted beside the run's file before its load begins, so that a load which ends the
process is noted too; as processes also end for other reasons, that may happen some times more. What
is set aside keeps its name and gets an ending more: without that it is loaded again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipelines.errors import LandingError
from pipelines.files import replace_file
from pipelines.landing.directory import SHARD, list_shards

if TYPE_CHECKING:
    from pathlib import Path

ASIDE = ".aside"
TRIED = ".tried"
# How often it may fail, and how often it may be begun at all.
FAILURES = 2
BEGINNINGS = 5


class Tries:
    """How often the load of a landed file was begun, and has failed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._mark = file.with_name(file.name + TRIED)

    def _read(self) -> str:
        return self._mark.read_text() if self._mark.exists() else ""

    @property
    def are_spent(self) -> bool:
        """Whether it was tried often enough."""
        noted = self._read()
        return noted.count("failed") >= FAILURES or noted.count("begun") >= BEGINNINGS

    def _note(self, noted: str) -> None:
        try:
            with replace_file(self._mark) as file:
                file.write(noted.encode())
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error})"
            raise LandingError(f"{self._mark}: {problem}. Nothing of this run is loaded") from None

    def begin(self) -> None:
        """Note that it begins. Raises LandingError if that cannot be noted."""
        self._note(f"{self._read()}begun ")

    def fail(self) -> None:
        """Note that it has failed, if there is room: what failed is to be raised, not this."""
        with suppress(LandingError):
            self._note(f"{self._read()}failed ")

    def take_back(self) -> None:
        """Forget that it began, likewise: what went wrong is no fault of the file."""
        with suppress(LandingError):
            self._note(self._read().removesuffix("begun "))

    def forget(self) -> None:
        """Count none: it is loaded, or set aside."""
        self._mark.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Rename the file, its shards first: without them nobody takes it for whole."""
        stem = self._file.name.rsplit(".", 2)[0]
        shards = [path for of, path in list_shards(self._file.parent) if of == stem]
        for path in (*shards, self._file):
            path.rename(path.with_name(path.name + ASIDE))
        self.forget()


def describe_aside(directory: Path) -> str | None:
    """Return in one line which landed runs are set aside; None if none is."""
    found = directory.glob(f"*{ASIDE}")
    names = sorted(
        path.name for path in found if not SHARD.fullmatch(path.name.removesuffix(ASIDE))
    )
    if not names:
        return None
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    hint = f"After an upgrade take {ASIDE} off the names of its files, and run again"
    return f"{directory / names[0]}{more}: could not be loaded twice, and is set aside. {hint}"
