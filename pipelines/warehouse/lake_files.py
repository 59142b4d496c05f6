"""A lake's files as what they are: whose they are, how many, and those of previous generations."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from pipelines.errors import WarehouseError
from pipelines.landing.objects import connect, describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from obstore.store import ObjectStore

    from pipelines.config.lake import Lake

# Beside the generations: which catalog they belong to.
OWNER = "session-threads.owner"


def claim(lake: Lake, owner: str) -> None:
    """Take the lake's path for a catalog, for ever. Raises WarehouseError if it is another's."""
    with opening(lake) as store:
        try:
            store.put(OWNER, owner.encode(), mode="create", use_multipart=False)
        except AlreadyExistsError:
            found = bytes(store.get(OWNER).bytes()).decode(errors="replace")
            if found == owner:
                return
            fix = f"Give each lake a path; if this one was moved here, delete {lake.data}/{OWNER}"
            raise WarehouseError(f"{lake.name}: {lake.data} is another lake's. {fix}") from None


def count_files(lake: Lake) -> int:
    """Return how many files of tables there are, of all generations."""
    return sum(path != OWNER for path, _ in list_files(lake))


def remove_generations(lake: Lake, current: str, before: datetime) -> None:
    """Remove the files of previous generations that were written before a moment."""
    kept = f"{current.rpartition('/')[2]}/"
    old = [
        path
        for path, written in list_files(lake)
        if path.partition("/")[0].isdigit() and not path.startswith(kept) and written < before
    ]
    with opening(lake) as store:
        for path in old:
            store.delete(path)


def list_files(lake: Lake) -> Iterator[tuple[str, datetime]]:
    """Yield each file's path below the lake's, and when it was written by the store's clock."""
    with opening(lake) as store:
        for batch in store.list():
            for each in batch:
                yield each["path"], each["last_modified"]


@contextmanager
def opening(lake: Lake) -> Iterator[ObjectStore]:
    """Give the store of a lake's files. Raises WarehouseError, also for what happens in it."""
    try:
        if lake.access is None:
            yield LocalStore(Path(lake.data), mkdir=True)
        else:
            yield connect(lake.data, lake.access)
    except (BaseError, OSError) as error:
        said = lake.hide(describe(str(error)))
        raise WarehouseError(f"{lake.name}: {lake.data} cannot be used ({said})") from None
