"""The sessions of a sandbox, as the API shows them: what is known of each beside its threads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.sandbox.dialect import Rejection

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from pipelines.sandbox.plans import SessionPlan
    from pipelines.sandbox.world import World

# What no reader may keep: they stand in every session, and must be in no file.
# Put together here, for the source of this module is in files.
PROMPT = " ".join(("You", "are", "canary-prompt-5f2a,", "a careful assistant."))  # noqa: FLY002
VARIABLE = "-".join(("canary", "variable", "9c41"))  # noqa: FLY002
EARLIEST = "1970-01-02T00:00:00Z"
SESSION_STATUSES = {"idle", "running", "rescheduling", "terminated"}
TEAMS = ("search", "billing")


def check_filters(params: QueryParams) -> None:
    """Raise Rejection for a filter that the API does not know."""
    known = {
        "order": {"asc", "desc"},
        "include_archived": {"true", "false"},
        "statuses[]": SESSION_STATUSES,
    }
    for name, values in known.items():
        if unknown := set(params.getlist(name)) - values:
            raise Rejection(400, f"{name} must not be {min(unknown)!r}.", name)
    try:
        datetime.fromisoformat(params.get("created_at[gte]", EARLIEST)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Rejection(400, str(error), "created_at[gte]") from None


def list_sessions(world: World, params: QueryParams) -> list[SessionPlan]:
    """Return the sessions that the filters of a request leave, the newest first unless asked."""
    statuses = {*params.getlist("statuses[]"), *params.getlist("statuses")}
    agents = set(params.getlist("agent_id"))
    since = datetime.fromisoformat(params.get("created_at[gte]", EARLIEST)).astimezone(UTC)
    chosen = [
        plan
        for plan in world.sessions.values()
        if (params.get("include_archived") == "true" or plan.archived is None)
        and (not statuses or fold_status(world, plan) in statuses)
        and (not agents or world.coordinator.id in agents)
        and world.instant(plan.created) >= since
    ]
    chosen.sort(key=lambda plan: (plan.created, plan.id), reverse=params.get("order") != "asc")
    return chosen


def render_session(world: World, plan: SessionPlan) -> dict[str, Any]:
    """Return the session object that the API shows now."""
    threads = world.born_threads(plan)
    changes = [event.at for thread in threads for event in world.past(thread)]
    agent = world.coordinator
    active = sum(len(world.past(thread)) for thread in threads)
    return {
        "id": plan.id,
        "type": "session",
        "title": plan.title,
        "status": fold_status(world, plan),
        "agent": {
            "id": agent.id,
            "type": "agent",
            "version": 1,
            "name": agent.name,
            "model": {"id": "ultimate"},
            "system": PROMPT,
            "tools": [{"type": "custom", "description": PROMPT}],
        },
        "environment_id": "env_1",
        "environment_variables": {"SERVICE_KEY": VARIABLE},
        "deployment_id": None,
        "metadata": {"team": TEAMS[int(plan.id[-1], 16) % len(TEAMS)]},
        "resources": [],
        "vault_ids": [],
        "stats": {"active_seconds": active, "duration_seconds": world.elapsed() - plan.created},
        "usage": {
            "input_tokens": 100 * active,
            "output_tokens": 10 * active,
            "list_cost": {"amount": str(active), "currency": "USD"},
        },
        "archived_at": world.stamp(plan.archived) if plan.archived is not None else None,
        "created_at": world.stamp(plan.created),
        "updated_at": world.stamp(max(changes, default=plan.created)),
    }


def fold_status(world: World, plan: SessionPlan) -> str:
    """Return a session's status: running if any thread runs, terminated if all are, else idle."""
    statuses = {world.past(thread)[-1].status for thread in world.born_threads(plan)}
    if "running" in statuses:
        return "running"
    return "terminated" if statuses and statuses <= {"terminated", "archived"} else "idle"
