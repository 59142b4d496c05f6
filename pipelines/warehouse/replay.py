"""Rebuild the tables from the landed pages, offline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pipelines.errors import LandingError, WarehouseBusy, WarehouseError, WarehouseNewer
from pipelines.files import sync_directory
from pipelines.landing.directory import RAW, list_files, name_run
from pipelines.warehouse.duckdb_file import WAREHOUSE, list_loaded_runs, lock, open_tables
from pipelines.warehouse.load import load_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

PARTIAL_HINT = "To replace the tables by what remains, say so: session-threads replay --partial"
SKIP_HINT = "To leave such files out: session-threads replay --skip-damaged"


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did: the runs in the order in which they were loaded, and files left out."""

    runs: list[str]
    skipped: list[str]


def replay(home: Path, *, partial: bool = False, skip_damaged: bool = False) -> Replayed:
    """Load every landed run into a new file and put it in the warehouse's place, whole.

    Runs are loaded in the order in which the warehouse loaded them, so that the tables come out
    equal. Raises, and replaces nothing: WarehouseError where runs of the warehouse have no landed
    pages any more and `partial` is false; LandingError where a file is damaged or not one of ours
    and `skip_damaged` is false.
    """
    path, temporary = home / WAREHOUSE, home / "replay.tmp"
    with lock(home):
        order = read_load_order(path, partial=partial)
        files = list_files(home / RAW)
        if not files:
            raise WarehouseError(f"{home / RAW}: there are no landed pages to replay")
        if not partial:
            reject_gaps(order, [name_run(file) for file in files], home / RAW)
        rank = {run_id: number for number, run_id in enumerate(order)}
        files.sort(key=lambda file: rank.get(name_run(file), len(rank)))
        with open_tables(temporary) as connection:
            replayed = load_files(connection, files, skip_damaged=skip_damaged)
            # Closing would keep silent where the disk has no room for it.
            connection.execute("CHECKPOINT")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # A log that an unreadable warehouse has left does not belong to the new file.
        path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
        temporary.replace(path)
        sync_directory(home)
    return replayed


def read_load_order(path: Path, *, partial: bool) -> list[str]:
    """Return the ids of the warehouse's runs as they were loaded; none where there is no warehouse.

    An unreadable one is passed over only where `partial` allows to replace it, a newer version's
    never.
    """
    if not path.exists():
        return []
    try:
        return list_loaded_runs(path)
    except (WarehouseBusy, WarehouseNewer):
        raise
    except WarehouseError as error:
        if partial:
            return []
        unknown = "so nobody can tell whether the landed pages reach back to its first run"
        raise WarehouseError(f"{error}; {unknown}. {PARTIAL_HINT}") from None


def reject_gaps(order: Sequence[str], landed: Sequence[str], directory: Path) -> None:
    """Raise WarehouseError where a run of the warehouse has no landed file."""
    if missing := set(order) - set(landed):
        first = next(run_id for run_id in order if run_id in missing)
        problem = f"{len(missing)} of {len(order)} loaded runs have no landed pages any more"
        raise WarehouseError(f"{directory}: {problem}, the first is {first}. {PARTIAL_HINT}")


def load_files(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], *, skip_damaged: bool
) -> Replayed:
    """Load landed files in this order, damaged ones left out if told to."""
    replayed = Replayed([], [])
    for file in files:
        try:
            replayed.runs.append(load_file(connection, file))
        except LandingError as error:
            if not skip_damaged:
                raise LandingError(f"{error}. {SKIP_HINT}") from None
            replayed.skipped.append(str(file))
    return replayed
