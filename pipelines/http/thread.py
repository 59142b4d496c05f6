"""A thread as both revisions document it, and how to tell what of an object fits that."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeGuard, TypeVar

import msgspec

Fields = dict[str, Any]
# A float would hold less of a larger one.
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Number = Integer | float


# None of these can be part of a cycle, and there are many: the garbage collector passes them over.
class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The model of an agent, where it is an object."""

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
    """A thread as both revisions document it: every field that a column holds."""

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
    stop_reason: Fields | None = None
    stats: Stats | None = None
    usage: Fields | None = None
    created_at: str | None = None
    updated_at: str | None = None
    archived_at: str | None = None


PROMPT_FIELDS = ("system", "tools", "skills", "mcp_servers", "description")
NOTHING: Fields = {}
# Where in the fields of a struct another struct lies.
NESTED: dict[str, type[msgspec.Struct]] = {"agent": Agent, "stats": Stats, "model": Model}
S = TypeVar("S", bound=msgspec.Struct)
_TYPES: dict[type[msgspec.Struct], dict[str, Any]] = {
    struct: {field.name: field.type for field in msgspec.structs.fields(struct)}
    for struct in (Thread, Agent, Stats, Model)
}


def has_id(value: object) -> TypeGuard[Fields]:
    """Whether a JSON value is a thread: an object with an id."""
    return isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"] != ""


def split(fields: Fields, struct: type[S]) -> tuple[S, Fields]:
    """Return what fits the struct, and all the rest under the path it had."""
    fitting: Fields = {}
    rest: Fields = {}
    types = _TYPES[struct]
    for name, value in fields.items():
        if isinstance(value, dict) and name in NESTED and name in types:
            fitting[name], left = split(value, NESTED[name])
            if left:
                rest[name] = left
        elif name in types and _fits(value, types[name]):
            fitting[name] = value
        elif value is not None and value != {}:
            rest[name] = value
    return msgspec.convert(fitting, struct), rest


def _fits(value: object, kind: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
