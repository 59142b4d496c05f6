"""The list of a source's sessions, page by page, and single ones that it does not list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pipelines.errors import ApiError, SessionGone, TooManySessions
from pipelines.extract.outcome import conclude
from pipelines.extract.paginate import ListRequest, Pagination, fetch_pages
from pipelines.http.client import Client, RequestStats
from pipelines.providers.registry import PROVIDERS
from pipelines.records import SESSIONS_ENDPOINT, FetchedPage, Page, PageFetch, Poll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.providers.session import Session
