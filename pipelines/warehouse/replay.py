"""Rebuild the tables from the landed pages, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines.errors import LandingError, WarehouseBusy, WarehouseError, WarehouseNewer
from pipelines.landing.directory import list_files, name_run
from pipelines.warehouse.load import load_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from pipelines.landing.store import LandedFile, Store
    from pipelines.warehouse.base import Warehouse

PARTIAL_HINT = "To replace the tables by what remains, say so: session-threads replay --partial"
SKIP_HINT = "To leave such files out: session-threads replay --skip-damaged"


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did: the runs in the order in which they were loaded, and files left out."""

    runs: list[str]
    skipped: list[str]


def replay(
    warehouse: Warehouse, store: Store, *, partial: bool = False, skip_damaged: bool = False
) -> Replayed:
    """Load every run that landed in the store into new tables, which replace the old ones.

    Runs are loaded in the order in which the warehouse loaded them, so that the tables are
    equal. Raises, and replaces nothing: WarehouseError if runs of the warehouse have no landed
    pages any more and `partial` is false; LandingError if a file is damaged or not one of ours and
    `skip_damaged` is false.
    """
    with warehouse.rebuild() as connection:
        order = read_load_order(warehouse, partial=partial)
        files = list_files(store)
        if not files:
            raise WarehouseError(f"{store.locate()}: there are no landed pages to replay")
        if not partial:
            reject_gaps(order, [name_run(file.name) for file in files], store)
        rank = {run_id: number for number, run_id in enumerate(order)}
        files.sort(key=lambda file: rank.get(name_run(file.name), len(rank)))
        return load_files(connection, files, skip_damaged=skip_damaged)


def read_load_order(warehouse: Warehouse, *, partial: bool) -> list[str]:
    """Return the ids of the warehouse's runs as they were loaded; none if there is no warehouse.

    An unreadable one is ignored only if `partial` allows to replace it, a newer version's never.
    """
    try:
        return warehouse.list_loaded_runs()
    except (WarehouseBusy, WarehouseNewer):
        raise
    except WarehouseError as error:
        if partial:
            return []
        unknown = "so it is not known whether the landed pages reach back to its first run"
        raise WarehouseError(f"{error}; {unknown}. {PARTIAL_HINT}") from None


def reject_gaps(order: Sequence[str], landed: Sequence[str], store: Store) -> None:
    """Raise WarehouseError if a run of the warehouse has no landed file."""
    if missing := set(order) - set(landed):
        first = next(run_id for run_id in order if run_id in missing)
        problem = f"{len(missing)} of {len(order)} loaded runs have no landed pages any more"
        raise WarehouseError(f"{store.locate()}: {problem}, the first is {first}. {PARTIAL_HINT}")


def load_files(
    connection: duckdb.DuckDBPyConnection, files: Sequence[LandedFile], *, skip_damaged: bool
) -> Replayed:
    """Load landed files in this order, damaged ones left out if asked to."""
    replayed = Replayed([], [])
    for file in files:
        try:
            replayed.runs.append(load_file(connection, file))
        except LandingError as error:
            if not skip_damaged:
                raise LandingError(f"{error}. {SKIP_HINT}") from None
            replayed.skipped.append(str(file))
    return replayed
