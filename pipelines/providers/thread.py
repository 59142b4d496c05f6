"""A thread as the servers of this family document it: every field that a column holds."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

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
