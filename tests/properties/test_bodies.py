"""Whatever bytes a server sends, they become frames or an error of ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import ApiError
from pipelines.extract.paginate import Pagination
from pipelines.frames.threads import THREADS, threads_frame
from pipelines.http.response import RawResponse, ResponseParser
from pipelines.landing.format import PAGES
from pipelines.providers.qoder import THREADS as ENDPOINT
from pipelines.records import Page
from tests.support import make_source

NOW = datetime(2026, 10, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "session_id", "parent_thread_id", "agent", "agent_id", "agent_version", "name", "role",
     "status", "stop_reason", "stats", "usage", "archived_at", "created_at", "updated_at", "type"]
)  # fmt: skip
STAMPS = st.datetimes().map(str) | st.datetimes().map(lambda at: at.isoformat() + "Z")
THREAD = st.dictionaries(FIELDS | st.text(), JSON | STAMPS) | JSON
ENVELOPE = st.fixed_dictionaries(
    {"data": st.lists(THREAD)},
    optional={"has_more": JSON, "last_id": JSON, "next_page": JSON, "first_id": JSON},
)
BODY = (
    st.binary()
    | ENVELOPE.map(lambda page: json.dumps(page).encode())
    | st.tuples(ENVELOPE.map(lambda page: json.dumps(page).encode()), st.integers(0, 200)).map(
        lambda torn: torn[0][: torn[1]]
    )
)


@given(status=st.sampled_from([200, 200, 200, 302, 400, 401, 404, 429, 500]), body=BODY)
def test_any_body(status: int, body: bytes) -> None:
    """Any body with any status gives frames of the right types, or an error of ours."""
    parser = ResponseParser(make_source())
    try:
        raw, listing = parser.read(RawResponse(status, "Reason", {}, body, NOW), ENDPOINT.read_page)
    except ApiError:
        return
    pagination = Pagination(max_pages=10)
    pagination.take(Page(raw.status, raw.observed_at, raw.body, listing))
    row = ("qoder", "threads", "sess_1", 1, None, NOW, 200, raw.body)
    frame = threads_frame(pl.DataFrame([row], schema=PAGES, orient="row"))
    assert frame.schema == THREADS
    assert frame.height == len(pagination.ids)
