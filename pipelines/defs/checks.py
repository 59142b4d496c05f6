"""The asset checks: what must hold of each load, and how bad it is if it does not."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from pipelines import clock
from pipelines.defs.metadata import tabulate
from pipelines.defs.resources import Configuration
from pipelines.errors import LoadRejected, SettingsError
from pipelines.reporting.health import FINE, find_oldest, pair_sessions, session_state
from pipelines.warehouse.analysis import BUILT, Analysis
from pipelines.warehouse.ledger import ABSENT, list_failures

Row = Mapping[str, Any]
COMPLETE, UNIQUE, DRIFT = "every_session_complete", "keys_are_unique", "no_schema_drift"
FRESH, EVIDENT = "every_session_fresh", "evidence_holds"
LAST = "last_complete_poll"
SHOWN_ROWS = 20
# What is shown of a poll that failed.
MISSED = ("source", "session_id", "thread_id", "change")
EVIDENCE = ("source", "session_id", "outcome", "end_reason", "error_type", "error_message")

LOAD_CHECKS = [
    dg.AssetCheckSpec(
        COMPLETE,
        asset="threads",
        description="Every configured session was listed to its end, but for those"
        " that were known to be gone, or forbidden.",
    ),
    dg.AssetCheckSpec(
        UNIQUE,
        asset="threads",
        description="Each thread, spell, poll and run is there once, and spells leave no gap."
        " Checked inside the load's transaction: if it fails, the tables stay as they were.",
    ),
    dg.AssetCheckSpec(
        DRIFT,
        asset="threads",
        description="The server sent no field, type or value that was never seen before.",
    ),
    dg.AssetCheckSpec(
        EVIDENT,
        asset="threads",
        description="No change of threads was found of which the session's object says nothing."
        " After one, no session of its source rests until the evidence has proven itself anew.",
    ),
]
PUBLICATION_CHECKS = [
    dg.AssetCheckSpec(
        FRESH,
        asset="published_database",
        description="Every configured session that is neither gone nor forbidden has a complete"
        " poll that is not older than two poll intervals, or was found quiet in that time.",
    ),
]


def check_sessions(ledger: Sequence[Row], resting: int = 0) -> dg.AssetCheckResult:
    """Return whether no poll needs someone; those that do, as a table. So many sessions rest."""
    failing = list_failures(ledger)
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        passed=bool(ledger or resting) and not failing,
        metadata={"sessions": len(ledger), "sessions_resting": resting}
        | describe_evidence("failing", failing, EVIDENCE),
    )


def describe_evidence(what: str, rows: Sequence[Row], columns: Sequence[str]) -> dict[str, Any]:
    """Return how many rows there are, a number that plots, and the rows, if there are any."""
    texts = [{name: str(row[name] or "") for name in columns} for row in rows]
    return {what: len(rows)} | ({"evidence": tabulate(texts)} if texts else {})


def check_keys(rejection: LoadRejected | None) -> dg.AssetCheckResult:
    """Return whether the checks inside the load's transaction held."""
    return dg.AssetCheckResult(
        check_name=UNIQUE,
        passed=rejection is None,
        metadata={"violations": str(rejection)} if rejection else {},
    )


def check_drift(drift: Sequence[str]) -> dg.AssetCheckResult:
    """Return whether nothing is new in the data; what is new is loaded too."""
    return dg.AssetCheckResult(
        check_name=DRIFT,
        passed=not drift,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"new": list(drift)},
    )


def check_evidence(missed: Sequence[Row]) -> dg.AssetCheckResult:
    """Return whether every change was announced; those that were not, as a table."""
    return dg.AssetCheckResult(
        check_name=EVIDENT,
        passed=not missed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=describe_evidence("missed", missed, MISSED),
    )


def check_freshness(configuration: Configuration, health: Sequence[Row]) -> dg.AssetCheckResult:
    """Return whether every configured session has a recent complete poll, by ingestion_health.

    If the configuration is rejected, it is not known which sessions these are.
    """
    try:
        settings = configuration.load_without_tokens()
    except SettingsError as error:
        metadata: dict[str, Any] = {"problem": str(error)}
        return dg.AssetCheckResult(check_name=FRESH, passed=False, metadata=metadata)
    now = clock.now()
    old = [
        {"source": source, "session_id": session.id, LAST: row[LAST] or "never"}
        for source, session, row in pair_sessions(settings, health)
        if session_state(dict(row) | {"failure_streak": 0}, settings, now) not in FINE | ABSENT
    ]
    evidence = describe_evidence("stale", old, ("source", "session_id", LAST))
    return dg.AssetCheckResult(
        check_name=FRESH,
        passed=not old,
        metadata=evidence | {"oldest": find_oldest(settings, now).isoformat()},
    )


def specify_checks(analysis: Analysis) -> list[dg.AssetCheckSpec]:
    """Return the checks of an analysis: those of its header, else that its query succeeds."""
    header = analysis.header
    described = {name: f"Finds no row: {query}" for name, query in header.checks.items()}
    described = described or {BUILT: "The query succeeds."}
    described |= {name: f"Warns of rows: {query}" for name, query in header.warnings.items()}
    return [
        dg.AssetCheckSpec(name, asset=analysis.name, description=text)
        for name, text in described.items()
    ]


def check_analysis(
    analysis: Analysis, failures: Mapping[str, str], warnings: Mapping[str, Sequence[Row]]
) -> list[dg.AssetCheckResult]:
    """Return the result of each check; none of them holds if there is no new table to check."""
    checks = tuple(analysis.header.checks) or (BUILT,)
    unbuilt = failures.get(BUILT)
    found = dict.fromkeys(checks, unbuilt) if unbuilt else failures
    results = [
        dg.AssetCheckResult(
            asset_key=analysis.name,
            check_name=check,
            passed=check not in found,
            metadata={"found": found[check]} if check in found else {},
        )
        for check in checks
    ]
    return results + [
        dg.AssetCheckResult(
            asset_key=analysis.name,
            check_name=warning,
            passed=warning in warnings and not warnings[warning],
            severity=dg.AssetCheckSeverity.WARN,
            metadata=describe_warning(warnings.get(warning, ())),
        )
        for warning in analysis.header.warnings
    ]


def describe_warning(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the first rows that a warning found; nothing if there are none."""
    return {"rows": len(rows), "first": tabulate(rows)} if rows else {}
