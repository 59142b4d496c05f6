"""What is removed of what has landed: runs kept long enough, and remains of killed runs.

No clock is asked for that: how old a run is follows from the runs that were loaded after it, from
one to the next at most a day. A clock that jumps, a file's times and its name remove nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.landing.directory import (
    find_files,
    find_number,
    find_shards,
    find_spent_claims,
    find_stem,
    name_run,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.landing.store import Store

DAY_S = 86400
# A run that others have followed for so long and that has not landed is dead.
UNFINISHED_DAYS = 2


class RunAge(msgspec.Struct, frozen=True):
    """How long ago a loaded run began, as the runs after it show."""

    run_id: str
    sequence: int
    seconds: float


def prune_runs(store: Store, ages: Sequence[RunAge], keep_days: int) -> None:
    """Remove the files of loaded runs that are older than so many days.

    The newest `keep_days` runs stay in any case, for each makes those before it a day older at
    most.
    """
    old = {age.run_id for age in ages if age.seconds > keep_days * DAY_S}
    names = store.list()
    files = [name for name in find_files(names) if name_run(name) in old]
    stems = {find_stem(name) for name in files}
    # The runs' own files first: without its file no shard is anyone's.
    store.delete(*files, *(shard for shard, stem in find_shards(names).items() if stem in stems))


def remove_unfinished(store: Store, ages: Sequence[RunAge]) -> None:
    """Remove what runs that were killed have left, once runs after them are days old."""
    names = store.list()
    followed = max(
        (age.sequence for age in ages if age.seconds > UNFINISHED_DAYS * DAY_S), default=0
    )
    whole = {find_stem(name) for name in find_files(names)}
    shards = [shard for shard, stem in find_shards(names).items() if stem not in whole]
    halves = [name for name in names if name.endswith(".tmp")]
    left = [*halves, *shards, *find_spent_claims(names)]
    # Some may be finished by their run, meanwhile.
    store.delete(*(name for name in left if find_number(name) < followed))
