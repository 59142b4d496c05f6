"""What a session's object says of its threads: evidence that is tested before it is believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.providers.instants import read_instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.providers.items import Fields
    from pipelines.providers.session import Session

# In these no thread of the session runs; what another status means, nobody knows.
QUIET_STATUSES = frozenset({"idle", "terminated"})
# A change within the same second, or on another of the server's machines, looks like none.
MARGIN_US = 60 * 1_000_000


class Evidence(msgspec.Struct, frozen=True):
    """What a session's object said: nothing that grows by itself.

    Times are microseconds since 1970; `tokens` are the counts of its usage, as JSON.
    """

    status: str | None = None
    updated_at: int | None = None
    archived_at: int | None = None
    tokens: str | None = None


def read_evidence(session: Session) -> Evidence:
    """Return the evidence in a session's object."""
    return Evidence(
        session.status,
        read_instant(session.updated_at),
        read_instant(session.archived_at),
        name_tokens(session.usage),
    )


def name_tokens(usage: Fields | None) -> str | None:
    """Return the counts of tokens in a usage as JSON; None if there are none."""
    counts = dict(sorted(find_tokens(usage or {})))
    return json.dumps(counts) if counts else None


def find_tokens(usage: Fields, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the counts of tokens by their paths."""
    for name, value in usage.items():
        if isinstance(value, dict) and not prefix:
            yield from find_tokens(value, f"{name}.")
        elif name.endswith("tokens"):
            yield f"{prefix}{name}", value


def may_rest(evidence: Evidence, asked_at: int | None) -> bool:
    """Whether a session may rest as long as its object says the same as before a full listing.

    `asked_at` is when that began, by the server's clock, or None if it did not say. No thread may
    have run then, and the last change must be older by more than a minute.
    """
    return (
        evidence.status in QUIET_STATUSES
        and evidence.updated_at is not None
        and asked_at is not None
        and evidence.updated_at < asked_at - MARGIN_US
    )
