"""Zhipu's managed agents: the same dialect; it cuts a page that is asked to be too long."""

from __future__ import annotations

from pipelines.providers.base import Provider
from pipelines.providers.qoder import SESSION, SESSIONS, THREAD, THREADS

ZHIPU = Provider(
    name="zhipu",
    base_url="https://agent-api.bigmodel.cn/api/agent/managed/v1",
    headers={"zai-version": "2026-05-26", "zai-beta": "managed-agents-2026-09-22"},
    token_variables=("ZHIPUAI_API_KEY",),
    max_requests_per_second=10,
    endpoints=(THREADS, SESSIONS),
    lookups=(THREAD, SESSION),
)

PROVIDERS = (ZHIPU,)
