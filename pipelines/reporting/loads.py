"""What a load, or a whole run, has brought, as every door says it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.extract.resting import Choice
from pipelines.landing.aside import describe_aside
from pipelines.reporting.clocks import warn_of_clocks
from pipelines.warehouse.ledger import (
    count_resting,
    find_newest_run,
    read_clocks,
    read_drift,
    read_failed_listings,
    read_ledger,
    read_missed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.landing.store import Store
    from pipelines.warehouse.base import Connection


class Loaded(msgspec.Struct, frozen=True):
    """The runs that a load has brought in, their rows of the ledger, and what they saw first.

    `listings` are the sources whose sessions could not be listed to the end, `warnings` lines on a
    clock that was wrong, `missed` changes that were not announced; so many sessions were `resting`.
    Where nothing was left to load, the ledger is that of the newest run.
    """

    run_ids: list[str]
    ledger: list[dict[str, Any]]
    listings: list[dict[str, Any]]
    drift: list[str]
    warnings: list[str]
    missed: list[dict[str, Any]]
    resting: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has brought: its rows of the ledger, the largest session first.

    `listings` are the sources whose sessions could not be listed to the end.
    `choices` say of each session whether it was asked, and why: none in a run of certain sessions
    or statuses. `drift` is what it saw first, `warnings` what is to be said of clocks and
    evidence, `findings` what the checks of analyses have found, a line each.
    """

    run_id: str
    ledger: list[dict[str, Any]]
    listings: list[dict[str, Any]]
    choices: list[Choice] = []
    drift: list[str]
    warnings: list[str]
    findings: list[str]
    seconds: float
    data: Path


def describe_load(tables: Connection, run_ids: Sequence[str]) -> Loaded:
    """Return what these runs have brought; without any, the ledger of the newest one."""
    return Loaded(
        run_ids=list(run_ids),
        ledger=read_ledger(tables, run_ids or find_newest_run(tables)),
        listings=read_failed_listings(tables, run_ids),
        drift=read_drift(tables, run_ids),
        warnings=warn_of_clocks(read_clocks(tables, run_ids)),
        missed=read_missed(tables, run_ids),
        resting=count_resting(tables, run_ids),
    )


def list_warnings(loaded: Loaded, landing: Store) -> list[str]:
    """Return what is to be said after a load, a line each: of clocks, and of what is set aside."""
    aside = describe_aside(landing)
    return [*loaded.warnings, *([aside] if aside else [])]
