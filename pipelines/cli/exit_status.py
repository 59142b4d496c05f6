"""How a command ends: its exit status and, if something is wrong, the one line that says what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.errors import (
    TOKEN_REJECTED,
    TOO_MANY_SESSIONS,
    TokenRejected,
    TooManySessions,
    WarehouseError,
)
from pipelines.landing.aside import describe_aside
from pipelines.reporting.health import FINE
from pipelines.reporting.wording import count
from pipelines.warehouse.build import KEPT
from pipelines.warehouse.ledger import ABSENT, ENDED_WELL, list_failures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.landing.store import Store
    from pipelines.records import Poll
    from pipelines.reporting.health import Health
    from pipelines.warehouse.build import Outcome

    Records = Sequence[Mapping[str, Any]]


class ExitStatus(msgspec.Struct, frozen=True):
    """An exit status, and what is wrong; None if nothing is."""

    exit_status: int = 0
    error: str | None = None


def exit_of_run(
    ledger: Records, findings: Sequence[str], listings: Records = (), *, resting: int = 0
) -> ExitStatus:
    """Return what a run's ledger means; what analyses' checks have found counts for less.

    `listings` are the sources whose sessions could not be listed to the end.
    A session that was known to be gone, or forbidden, is no failure, unless nothing else was asked,
    and no other was `resting`.
    """
    failing = list_failures(ledger)
    if listings:
        return exit_of_listings(listings, ledger)
    kept = [f"{'; '.join(findings)}. {KEPT}"] if findings else []
    is_fine = not ledger or resting or any(row["outcome"] in ENDED_WELL for row in ledger)
    if is_fine and not failing:
        return ExitStatus(1, *kept) if kept else ExitStatus()
    rejected = [row for row in failing if row["error_type"] == TOKEN_REJECTED]
    reason = explain((rejected or failing or ledger)[0])
    if rejected:
        problem = f"the token was rejected: {reason}. {TokenRejected.fix}"
        return ExitStatus(TokenRejected.exit_code, problem)
    if all(row["outcome"] == "gone" for row in ledger):
        problem = f"no session is known to the server: is base_url right? {reason}"
        return ExitStatus(WarehouseError.exit_code, problem)
    if not any(row["pages"] for row in ledger):
        problem = f"nothing could be loaded from {count(len(ledger), 'session')}; {reason}"
        return ExitStatus(WarehouseError.exit_code, problem)
    problem = f"{len(failing)} of {count(len(ledger), 'session')} not complete; {reason}"
    return ExitStatus(1, ". ".join([problem, *kept]))


def exit_of_plan(listings: Sequence[Poll]) -> ExitStatus:
    """Return what the lists of sessions that a plan rests on mean."""
    failed = [msgspec.structs.asdict(poll) for poll in listings if poll.outcome != "complete"]
    return exit_of_listings(failed, ()) if failed else ExitStatus()


def exit_of_listings(listings: Records, ledger: Records) -> ExitStatus:
    """Return what it means that the sessions of a source could not be listed to the end."""
    rejected = [row for row in listings if row["error_type"] == TOKEN_REJECTED]
    row = (rejected or listings)[0]
    message = str(row["error_message"]).rstrip(".")
    problem = f"the sessions of source {row['source']} were not listed to the end: {message}"
    if rejected:
        return ExitStatus(TokenRejected.exit_code, f"{problem}. {TokenRejected.fix}")
    fix = f". {TooManySessions.fix}" if row["error_type"] == TOO_MANY_SESSIONS else ""
    is_empty = not any(row["pages"] for row in ledger)
    return ExitStatus(WarehouseError.exit_code if is_empty else 1, problem + fix)


def explain(row: Mapping[str, Any]) -> str:
    """Return why a session's poll is not complete."""
    message = str(row["error_message"]).rstrip(".")
    return f"session {row['session_id']}: {row['outcome']}: {message}"


def exit_of_health(lines: Sequence[Health]) -> ExitStatus:
    """Return what the sessions' states mean together.

    Those that are gone, or forbidden, are no news, unless there is no other.
    """
    if not lines:
        ways = "`session-threads run` looks for some, `session-threads sessions` shows any others"
        return ExitStatus(1, f"no session is known that is polled: {ways}")
    unhealthy = [line for line in lines if line.state not in FINE | ABSENT]
    if not unhealthy and any(line.state in FINE for line in lines):
        return ExitStatus()
    unhealthy = unhealthy or list(lines)
    first = unhealthy[0]
    error = f": {first.last_error}" if first.last_error else ""
    problem = f"{first.name} is {first.state}{error}"
    return ExitStatus(1, f"{len(unhealthy)} of {count(len(lines), 'session')}: {problem}")


def exit_of_build(outcomes: Sequence[Outcome]) -> ExitStatus:
    """Return what the checks of built analyses mean."""
    found = [line for outcome in outcomes for line in outcome.failures.values()]
    return ExitStatus(1, f"{'; '.join(found)}. {KEPT}") if found else ExitStatus()


def add_aside(ending: ExitStatus, store: Store) -> ExitStatus:
    """Return the ending with the landed runs that are set aside, which is an error too."""
    if not (aside := describe_aside(store)):
        return ending
    error = f"{ending.error.rstrip('.')}. {aside}" if ending.error else aside
    return ExitStatus(ending.exit_status or 1, error)
