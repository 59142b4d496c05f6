"""What to ask in a run: for now, every page of every session that is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import SettingsError
from pipelines.extract.discover import SourceSessions
from pipelines.providers.registry import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.records import Selection


def plan_polls(found: Sequence[SourceSessions], selection: Selection) -> list[SourceSessions]:
    """Return the sessions of each source that are to be listed, whole.

    Raises SettingsError if the selection names no status, or a session that was not found: one
    that nobody configured must not be listed, because listing creates its coordinator.
    """
    wanted = set(selection.sessions)
    known = {session.id for each in found for session in each.sessions}
    if unknown := sorted(wanted - known):
        providers = [PROVIDERS[each.source.provider] for each in found]
        places = ["sessions.yaml", *(provider.session_ids_variable for provider in providers)]
        fix = f"Add it to {' or '.join(dict.fromkeys(filter(None, places)))}."
        problem = "not among the configured sessions"
        raise SettingsError(f"--session {unknown[0]}", problem, fix)
    if "" in selection.statuses:
        raise SettingsError("--status ''", "names no status", "Name one, such as running.")
    return [
        SourceSessions(
            each.source,
            tuple(session for session in each.sessions if not wanted or session.id in wanted),
        )
        for each in found
    ]
