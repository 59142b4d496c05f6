"""Which sessions a source discovers: what the server is asked for, and what is checked here."""

from __future__ import annotations

import fnmatch
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipelines.providers.instants import read_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.config.discovery import Discover
    from pipelines.providers.base import Params
    from pipelines.providers.session import Session


def query_filters(wanted: Discover, now: datetime) -> Params:
    """Return the filters as the API spells them; servers that know one less are sent none of it."""
    since = find_beginning(wanted, now)
    params = [("include_archived", "true")] if wanted.include_archived else []
    params += [("agent_id", wanted.agent_ids[0])] if len(wanted.agent_ids) == 1 else []
    params += [("created_at[gte]", since.strftime("%Y-%m-%dT%H:%M:%SZ"))] if since else []
    return params


def find_beginning(wanted: Discover, now: datetime) -> datetime | None:
    """Return when the oldest session that is wanted was created; None if it may be any."""
    days = wanted.created_within_days
    begins = [wanted.created_after, now - timedelta(days=days) if days else None]
    return max(filter(None, begins), default=None)


def matches(wanted: Discover, now: datetime) -> Callable[[Session], bool]:
    """Return whether a session that came passes every filter: servers may ignore what they get."""
    since = find_beginning(wanted, now)
    earliest = since.timestamp() * 1e6 if since else None

    def passes(session: Session) -> bool:
        agent = session.agent_id or (session.agent and session.agent.id)
        created = read_instant(session.created_at)
        metadata = session.metadata or {}
        title = session.title or ""
        return (
            (wanted.include_archived or not session.archived_at)
            and (not wanted.statuses or session.status in wanted.statuses)
            and (not wanted.agent_ids or agent in wanted.agent_ids)
            and (earliest is None or created is None or created >= earliest)
            and (not wanted.title_matches or fnmatch.fnmatchcase(title, wanted.title_matches))
            and all(metadata.get(name) == value for name, value in wanted.metadata.items())
        )

    return passes
