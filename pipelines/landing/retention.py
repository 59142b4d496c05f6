"""What is removed from the landing directory: runs kept long enough, and remains of killed runs.

No clock is asked for that: how old a run is follows from the runs that were loaded after it, from
one to the next at most a day. A clock that jumps, a file's times and its name remove nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.landing.directory import (
    find_number,
    find_stem,
    list_files,
    list_shards,
    list_spent_claims,
    list_stems,
    name_run,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAY_S = 86400
# A run that others have followed for so long and that has not landed is dead.
UNFINISHED_DAYS = 2


class RunAge(msgspec.Struct, frozen=True):
    """How long ago a loaded run began, as the runs after it show."""

    run_id: str
    sequence: int
    seconds: float


def prune_runs(directory: Path, ages: Sequence[RunAge], keep_days: int) -> None:
    """Remove the files of loaded runs that are older than so many days.

    The newest `keep_days` runs stay in any case, for each makes those before it a day older at
    most.
    """
    old = {age.run_id for age in ages if age.seconds > keep_days * DAY_S}
    removed = set()
    for path in list_files(directory):
        if name_run(path) in old:
            path.unlink(missing_ok=True)
            removed.add(find_stem(path))
    for stem, shard in list_shards(directory):
        if stem in removed:
            shard.unlink(missing_ok=True)


def remove_unfinished(directory: Path, ages: Sequence[RunAge]) -> None:
    """Remove what runs that were killed have left, once runs after them are days old."""
    followed = [age.sequence for age in ages if age.seconds > UNFINISHED_DAYS * DAY_S]
    whole = list_stems(directory)
    shards = [path for stem, path in list_shards(directory) if stem not in whole]
    for path in (*directory.glob("*.tmp"), *shards, *list_spent_claims(directory)):
        if find_number(path) < max(followed, default=0):
            path.unlink(missing_ok=True)  # finished by its run, meanwhile
