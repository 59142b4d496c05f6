"""Baidu's managed agents: the same dialect, with pages of up to a thousand."""

from __future__ import annotations

from pipelines.providers.base import Endpoint, Provider
from pipelines.providers.qoder import SESSION, THREAD, THREADS, PageElseAfterId
from pipelines.providers.session import SECRET_FIELDS, Session
from pipelines.records import SESSIONS_ENDPOINT

SESSIONS = Endpoint(
    SESSIONS_ENDPOINT,
    "/sessions",
    item=Session,
    paginator=PageElseAfterId(),
    secret_fields=SECRET_FIELDS,
    order_param=None,
    status_param="status",
    filters=("include_archived", "agent_id", "created_at[gte]"),
    page_limit=100,
    per_source=True,
)

BAIDU = Provider(
    name="baidu",
    base_url="https://api.dumate.cn/api/dma/v1",
    token_variables=("DUMATE_API_KEY",),
    page_limit=1000,
    endpoints=(THREADS, SESSIONS),
    lookups=(THREAD, SESSION),
)

PROVIDERS = (BAIDU,)
