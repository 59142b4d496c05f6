"""What is removed from the landing directory: runs kept long enough, and remains of killed runs."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipelines.landing.directory import (
    began_before,
    list_files,
    list_shards,
    list_spent_claims,
    list_stems,
    name_run,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# A run that has written nothing for so long is dead.
UNFINISHED_S = 86400


def prune_runs(directory: Path, loaded: Collection[str], keep_days: int, now: datetime) -> None:
    """Remove the files of loaded runs that began more than so many days ago."""
    oldest = now - timedelta(days=keep_days)
    for path in list_files(directory):
        if name_run(path) in loaded and began_before(path.name, oldest):
            path.unlink(missing_ok=True)
    whole = list_stems(directory)
    for stem, shard in list_shards(directory):
        if stem not in whole and began_before(shard.name, oldest):
            shard.unlink(missing_ok=True)


def remove_unfinished(directory: Path, now: datetime) -> None:
    """Remove what runs that were killed have left, once nobody can be writing there."""
    whole = list_stems(directory)
    shards = [path for stem, path in list_shards(directory) if stem not in whole]
    for path in (*directory.glob("*.tmp"), *shards, *list_spent_claims(directory)):
        with suppress(FileNotFoundError):  # finished by its run, meanwhile
            if path.stat().st_mtime < now.timestamp() - UNFINISHED_S:
                path.unlink()
