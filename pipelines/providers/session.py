"""A session as the servers of this family document it: what is kept of one beside its threads."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pipelines.providers.items import Fields, Integer
from pipelines.providers.thread import Agent, Stats


class Session(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A session, in every revision."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    type: Literal["session"] | None = None
    title: str | None = None
    status: str | None = None
    agent: Agent | None = None
    agent_id: str | None = None
    agent_version: Integer | None = None
    environment_id: str | None = None
    deployment_id: str | None = None
    metadata: Fields | None = None
    stats: Stats | None = None
    usage: Fields | None = None
    created_at: str | None = None
    updated_at: str | None = None
    archived_at: str | None = None


# Prompts, tools and variables belong to whoever made the session, and may hold secrets: they are
# removed before anything is written. In small letters without separators, for any spelling.
SECRET_FIELDS = frozenset(
    {
        "accesstoken",
        "apikey",
        "authorization",
        "authorizationtoken",
        "credentials",
        "description",
        "environmentvariables",
        "envvars",
        "instructions",
        "mcpservers",
        "password",
        "prompt",
        "secret",
        "secrets",
        "skills",
        "system",
        "systemprompt",
        "tools",
    }
)
