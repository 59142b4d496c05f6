"""Qoder, in both revisions of its API (docs/api.md): a server's answers say which one it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from pipelines.providers.base import Endpoint, Provider
from pipelines.providers.session import SECRET_FIELDS, Session
from pipelines.providers.single import SingleEndpoint
from pipelines.providers.thread import DOCUMENTED, PROMPT_FIELDS, Thread
from pipelines.records import SESSION_ENDPOINT, SESSIONS_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipelines.records import Cursor, EndReason

T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """The response around the items. `next_page` is UNSET if the key is missing: revision A."""

    data: list[T] | None
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None
    next_page: str | msgspec.UnsetType | None = msgspec.UNSET


class PageElseAfterId:
    """Revision B gives an opaque cursor; revision A continues after the last id.

    A listing that began before an id (`before_id`) goes backward.
    """

    key: ClassVar[str] = "data"
    envelope: ClassVar[Any] = Envelope

    def find_next(self, page: Envelope[Any], cursor: Cursor | None) -> Cursor | EndReason:
        """Return the cursor of the next page, or what ends the listing here."""
        if page.has_more is False:
            return "has_more_false"  # docs/api.md, 2.4
        if page.next_page:
            return ("page", page.next_page)  # docs/api.md, 2.2
        if page.has_more is None:
            return "no_next_page"  # docs/api.md, 2.4
        if page.next_page is msgspec.UNSET:
            is_backward = cursor is not None and cursor[0] == "before_id"
            edge = page.first_id if is_backward else page.last_id
            if edge:
                return ("before_id" if is_backward else "after_id", edge)  # docs/api.md, 2.3
        return "no_cursor"  # docs/api.md, 2.6


THREADS = Endpoint(
    "threads",
    "/sessions/{session_id}/threads",
    item=Thread,
    paginator=PageElseAfterId(),
    prompt_fields=PROMPT_FIELDS,
    documented=DOCUMENTED,
    status_param="statuses[]",
)

THREAD = SingleEndpoint(
    "thread",
    "/sessions/{session_id}/threads/{thread_id}",
    item=Thread,
    prompt_fields=PROMPT_FIELDS,
    documented=DOCUMENTED,
)

# Forward's lists ascend, and it rejects whatever would sort or filter them.
FORWARD_THREADS = Endpoint(
    "threads",
    "/sessions/{session_id}/threads",
    item=Thread,
    paginator=PageElseAfterId(),
    prompt_fields=PROMPT_FIELDS,
    documented=DOCUMENTED,
    order_param=None,
)

SESSION = SingleEndpoint(
    SESSION_ENDPOINT, "/sessions/{session_id}", item=Session, secret_fields=SECRET_FIELDS
)


def make_sessions_endpoint(
    status_param: str | None = None, filters: Collection[str] = ()
) -> Endpoint[Session]:
    """Return the list of sessions of a server that takes these filters; pages of up to 100."""
    return Endpoint(
        SESSIONS_ENDPOINT,
        "/sessions",
        item=Session,
        paginator=PageElseAfterId(),
        secret_fields=SECRET_FIELDS,
        order_param=None,
        status_param=status_param,
        filters=filters,
        page_limit=100,
        per_source=True,
    )


FILTERS = ("include_archived", "agent_id", "created_at[gte]")
SESSIONS = make_sessions_endpoint("statuses[]", FILTERS)
FORWARD_SESSIONS = make_sessions_endpoint()

QODER = Provider(
    name="qoder",
    base_url="https://api.qoder.com/api/v1/cloud",
    token_variables=("QODER_PAT", "QODER_ACCESS_TOKEN"),
    base_url_variable="QODER_BASE_URL",
    session_ids_variable="QODER_SESSION_IDS",
    endpoints=(THREADS, SESSIONS),
    lookups=(THREAD, SESSION),
)
QODER_CN = Provider(
    name="qoder-cn",
    base_url="https://api.qoder.com.cn/api/v1/cloud",
    token_variables=QODER.token_variables,
    endpoints=(THREADS, SESSIONS),
    lookups=(THREAD, SESSION),
)
FORWARD = Provider(
    name="qoder-forward",
    base_url="https://api.qoder.com/api/v1/forward",
    token_variables=QODER.token_variables,
    endpoints=(FORWARD_THREADS, FORWARD_SESSIONS),
    lookups=(THREAD, SESSION),
)
# Any server of the family: it starts from qoder, and assumes neither a host nor a token.
CUSTOM = Provider(name="custom", endpoints=(THREADS, SESSIONS), lookups=(THREAD, SESSION))

PROVIDERS = (QODER, QODER_CN, FORWARD, CUSTOM)
