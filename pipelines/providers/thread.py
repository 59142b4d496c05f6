"""A thread as the servers of this family document it: every field that a column holds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pipelines.files import list_statuses
from pipelines.providers.documented import Documented
from pipelines.providers.items import Fields, Integer, Number


# None of these can be part of a cycle, and there are many: the garbage collector skips them.
class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The model of an agent, if it is an object."""

    id: str | None = None


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Who runs a thread."""

    id: str | None = None
    type: str | None = None
    name: str | None = None
    model: str | Model | None = None
    version: Integer | None = None


class Stats(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Seconds, as the server counts them."""

    active_seconds: Number | None = None
    duration_seconds: Number | None = None
    startup_seconds: Number | None = None
    elapsed_seconds: Number | None = None


class Thread(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A thread, in every revision."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    type: Literal["session_thread"] | None = None
    session_id: str | None = None
    parent_thread_id: str | None = None
    role: str | None = None
    name: str | None = None
    created_by_tool_use_id: str | None = None
    agent: Agent | None = None
    agent_id: str | None = None
    agent_version: Integer | None = None
    agent_name: str | None = None
    template_id: str | None = None
    workflow_run_id: str | None = None
    status: str | None = None
    stop_reason: Fields | str | None = None
    stats: Stats | None = None
    usage: Fields | None = None
    created_at: str | None = None
    updated_at: str | None = None
    archived_at: str | None = None


# Texts and tools that an agent was given: they belong to its owner, not to its threads.
PROMPT_FIELDS = (
    "agent.system",
    "agent.tools",
    "agent.skills",
    "agent.mcp_servers",
    "agent.description",
)

_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens")
_CACHED = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_TOOLS = ("web_search_requests", "web_fetch_requests")
DOCUMENTED = Documented(
    fields={
        **dict.fromkeys(PROMPT_FIELDS),
        "agent": "object",
        "agent.model": "object",
        "stats": "object",
        "stop_reason": "object",
        "stop_reason.type": "string",
        "stop_reason.event_ids": "array",
        "stop_reason.event_ids[]": "string",
        "usage": "object",
        **{f"usage.{name}": "number" for name in (*_TOKENS, "cache_creation_input_tokens")},
        "usage.cache_creation": "object",
        **{f"usage.cache_creation.{name}": "number" for name in _CACHED},
        "usage.server_tool_use": "object",
        **{f"usage.server_tool_use.{name}": "number" for name in _TOOLS},
        "usage.list_cost": "object",
        "usage.list_cost.amount": "string",
        "usage.list_cost.currency": "string",
        **{f"usage.{name}": "number" for name in ("active_seconds", "total_credits", "credits")},
    },
    values={
        "status": list_statuses(closed=False) + list_statuses(closed=True),
        "stop_reason.type": (
            *("end_turn", "requires_action", "retries_exhausted", "budget_reached"),
            *("refusal", "archive"),
        ),
        "role": ("coordinator", "child"),
        "agent.type": ("agent", "advisor", "inline"),
    },
    growing={
        "stats.duration_seconds": "until archived",
        "stats.elapsed_seconds": "until archived",
        "stats.active_seconds": "while running",
        "usage": "while running",
    },
)
