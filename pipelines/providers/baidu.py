"""Baidu's managed agents: the same dialect, with pages of up to a thousand."""

from __future__ import annotations

from pipelines.providers.base import Provider
from pipelines.providers.qoder import FILTERS, SESSION, THREAD, THREADS, make_sessions_endpoint

SESSIONS = make_sessions_endpoint("status", FILTERS)
BAIDU = Provider(
    name="baidu",
    base_url="https://api.dumate.cn/api/dma/v1",
    token_variables=("DUMATE_API_KEY",),
    page_limit=1000,
    endpoints=(THREADS, SESSIONS),
    lookups=(THREAD, SESSION),
)

PROVIDERS = (BAIDU,)
