"""Claude's managed agents: the dialect of qoder's revision B, behind its own headers."""

from __future__ import annotations

from pipelines.providers.base import Provider
from pipelines.providers.qoder import SESSION, SESSIONS, THREAD, THREADS

CLAUDE = Provider(
    name="claude",
    base_url="https://api.anthropic.com/v1",
    auth="x-api-key",
    headers={
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "managed-agents-2026-04-01",
    },
    token_variables=("ANTHROPIC_API_KEY",),
    max_requests_per_second=8,  # 600 a minute for a whole organization, and others poll as well
    endpoints=(THREADS, SESSIONS),
    lookups=(THREAD, SESSION),
)

PROVIDERS = (CLAUDE,)
