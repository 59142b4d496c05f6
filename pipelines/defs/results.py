"""What Dagster keeps of each step: of an asset that a step makes, or as events of a run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.defs.checks import (
    check_drift,
    check_evidence,
    check_freshness,
    check_keys,
    check_sessions,
)
from pipelines.defs.metadata import (
    Metadata,
    describe_discovery,
    describe_ledger,
    describe_polls,
    describe_publication,
)
from pipelines.defs.resources import Configuration
from pipelines.reporting.loads import Loaded
from pipelines.steps import Asked

# What a run records of an asset.
Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


def describe_found(asked: Asked) -> dg.MaterializeResult:
    """Return what there is to ask for, and what was decided of it."""
    metadata = describe_discovery(asked.found, asked.planned)
    return dg.MaterializeResult(asset_key="sessions", metadata=metadata)


def describe_landed(asked: Asked) -> dg.MaterializeResult:
    """Return what the polls have brought."""
    metadata = describe_polls(asked.landed.file, asked.landed.polls)
    return dg.MaterializeResult(asset_key="thread_pages", metadata=metadata)


def describe_loaded(loaded: Loaded, table: Metadata, seconds: float) -> dg.MaterializeResult:
    """Return what a load has changed, and its checks."""
    return dg.MaterializeResult(
        asset_key="threads",
        metadata=describe_ledger(loaded.ledger) | table | {"seconds": round(seconds, 3)},
        check_results=[
            check_sessions(loaded.ledger, loaded.resting),
            check_keys(None),
            check_drift(loaded.drift),
            check_evidence(loaded.missed),
        ],
    )


def describe_published(
    configuration: Configuration,
    place: Path | str,
    health: Sequence[Mapping[str, Any]],
    seconds: float,
) -> dg.MaterializeResult:
    """Return what readers see from now on, and whether it is fresh."""
    return dg.MaterializeResult(
        asset_key="published_database",
        metadata=describe_publication(place, health, round(seconds, 3)),
        check_results=[check_freshness(configuration, health)],
    )


def list_events(result: dg.MaterializeResult) -> Iterator[Event]:
    """Yield what is recorded of an asset by a run that is none of assets."""
    key = dg.AssetKey.from_coercible(result.asset_key or "")
    yield dg.AssetMaterialization(asset_key=key, metadata=result.metadata)
    for check in result.check_results or ():
        yield evaluate(key, check)


def evaluate(key: dg.AssetKey, check: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """Return the event of a check's result."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=check.check_name or "",
        passed=check.passed,
        metadata=check.metadata or {},
        severity=check.severity,
        blocking=False,
    )
