"""Where runs land: names with contents, in a directory or on an object store.

Four verbs are all that is asked of a place. There is none for ages: how old a run is follows from
the runs that were loaded after it, and no clock is asked.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Protocol

import msgspec

from pipelines.errors import LandingError
from pipelines.files import add_file, create, make_private

TRIAL = b"session-threads"


class Store(Protocol):
    """A place of files, each of which is there whole, or not at all, and never changes.

    Each verb raises StoreUnavailable if the store does not answer, or rejects what it is asked:
    then it may have been done or not.
    """

    def put(self, name: str, content: bytes | memoryview = b"") -> bool:
        """Put a file there; return False if there is one of this name: of several one is put.

        Raises LandingError if it cannot be put.
        """

    def list(self) -> list[str]:
        """Return the names of all that is there, sorted."""

    def get(self, name: str) -> bytes:
        """Return the content of a file. Raises OSError if there is none, or it cannot be read."""

    def delete(self, *names: str) -> None:
        """Delete files; nothing happens to those that are not there."""

    def locate(self, name: str = "") -> str:
        """Return what messages call a file, or the place."""


class LandedFile(msgspec.Struct, frozen=True):
    """A file, and the store that it is in."""

    store: Store
    name: str

    def read(self) -> bytes:
        """Return its content; see Store."""
        return self.store.get(self.name)

    def delete(self) -> None:
        """Delete it; see Store."""
        self.store.delete(self.name)

    def __str__(self) -> str:
        return self.store.locate(self.name)


class Directory(msgspec.Struct, frozen=True):
    """A directory as a store. What lies in it is for its owner alone."""

    path: Path

    def put(self, name: str, content: bytes | memoryview = b"") -> bool:
        """Make a file; an empty one, which cannot be torn, need not survive a loss of power."""
        make_private(self.path)
        try:
            if content:
                add_file(self.path / name, content)
            else:
                create(self.path / name).close()
        except FileExistsError:
            return False
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error})"
            raise LandingError(
                f"{self.locate(name)}: {problem}; make room, then run again"
            ) from None
        return True

    def list(self) -> list[str]:
        """Return the names; none if there is no directory."""
        try:
            return sorted(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LandingError(f"{self.path}: cannot be listed ({error.strerror})") from None

    def get(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.path / name).read_bytes()

    def delete(self, *names: str) -> None:
        """Delete files."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def locate(self, name: str = "") -> str:
        """Return the path."""
        return str(self.path / name)


def copy_files(source: Store, target: Store) -> int:
    """Put every file of a store into another, and return how many there are.

    Those that are there already stay. Raises LandingError if one of them is another.
    """
    names = source.list()
    for name in names:
        content = source.get(name)
        if not target.put(name, content) and target.get(name) != content:
            fix = "Name a place in landing where nothing else has landed"
            raise LandingError(f"{target.locate(name)}: is there, and is another file. {fix}")
    return len(names)


def try_store(store: Store) -> str:
    """Put a file, again, read and delete it; return what messages call the place.

    Raises LandingError if two can put one name: two runs would take one number.
    """
    name = f"trial-{secrets.token_hex(4)}"
    try:
        if not store.put(name, TRIAL) or store.put(name, TRIAL) or store.get(name) != TRIAL:
            problem = "does not keep what is put first under a name (If-None-Match)"
            raise LandingError(f"{store.locate()}: {problem}. Name another store in landing")
    finally:
        store.delete(name)
    return f"{store.locate()} can be written to"
