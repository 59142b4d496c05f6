"""What a provider is made of: how its servers are reached, and what they can be asked for.

    THREADS = Endpoint("threads", "/sessions/{session_id}/threads", item=Thread,
                       paginator=PageElseAfterId())
    QODER = Provider(name="qoder", base_url="https://…", endpoints=(THREADS,), …)

A module of this folder that lists such objects as its PROVIDERS makes them configurable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from pipelines.http.bodies import TOO_DEEP, check_depth
from pipelines.providers.documented import Documented
from pipelines.providers.items import Fields, ItemReader, without_fields
from pipelines.records import Cursor, EndReason, Listing

Params = list[tuple[str, str]]
S = TypeVar("S", bound=msgspec.Struct)
NOTHING_ELSE = Documented()


class Paginator(Protocol):
    """Where a page has its items, and which page follows it."""

    @property
    def key(self) -> str:
        """Return the key of the list of items."""

    @property
    def envelope(self) -> Any:  # noqa: ANN401 - a generic struct is no type that can be named
        """Return the struct of a page, generic in its items."""

    def find_next(self, page: Any, cursor: Cursor | None) -> Cursor | EndReason:  # noqa: ANN401
        """Return the cursor of the page after this one, to which `cursor` led, or what ended it.

        That is `has_more_false` or `no_next_page` if the server said so, `no_cursor` if it says
        that there is more, but gives no cursor to it.
        """


class Endpoint(Generic[S]):
    """One kind of object that a provider lists, a page at a time.

    `path` is a template of the path behind the base URL; `item` the documented object, whose fields
    in `prompt_fields` (paths such as `agent.system`) are not kept unless the user says so;
    `documented` says what else is no news in one. What has
    a name of `secret_fields`, at any depth, is removed before a page is written. The parameters are
    named as the server spells them, None if it takes none, and `filters` are others that it takes.
    One that is `per_source` is listed once for each source, any other once for each session.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        name: str,
        path: str,
        *,
        item: type[S],
        paginator: Paginator,
        prompt_fields: Sequence[str] = (),
        documented: Documented = NOTHING_ELSE,
        limit_param: str | None = "limit",
        order_param: str | None = "order",
        status_param: str | None = None,
        secret_fields: Collection[str] = (),
        filters: Collection[str] = (),
        page_limit: int | None = None,
        per_source: bool = False,
    ) -> None:
        self.name = name
        self.filters = frozenset(filters)
        self.page_limit = page_limit
        self._secret_fields = frozenset(secret_fields)
        self.per_source = per_source
        self.documented = documented
        self._path = path
        self._paginator = paginator
        self._items = ItemReader(item, paginator.envelope, paginator.key, prompt_fields)
        self._names = (limit_param, order_param, status_param)

    @property
    def takes_order(self) -> bool:
        """Whether it can be asked for an order."""
        return self._names[1] is not None

    @property
    def takes_statuses(self) -> bool:
        """Whether it can be asked for certain statuses."""
        return self._names[2] is not None

    def path(self, ids: Mapping[str, str]) -> str:
        """Return the path; each id is one segment, whatever it holds."""
        return self._path.format_map({name: quote_segment(id_) for name, id_ in ids.items()})

    def params(
        self,
        *,
        limit: int | None,
        cursor: Cursor | None = None,
        order: str | None = None,
        statuses: Sequence[str] = (),
    ) -> Params:
        """Return the parameters of a request, each as the server spells it; no limit if None."""
        limit_param, order_param, status_param = self._names
        params: Params = [(limit_param, str(limit))] if limit_param and limit else []
        params += [cursor] if cursor else []
        params += [(order_param, order)] if order_param and order else []
        return params + [(status_param, status) for status in statuses if status_param]

    def read_page(self, body: bytes, cursor: Cursor | None = None) -> Listing:
        """Return what the page says to which `cursor` led.

        Raises ValueError if it is none, or could not be redacted.
        """
        self.redact(body)
        page, ids, fault = self._items.read_page(body)
        return Listing(ids, fault, self._paginator.find_next(page, cursor))

    def read_items(self, body: bytes, *, keep_prompts: bool = False) -> list[tuple[S, Fields]]:
        """Return a page's items, each with what it holds beyond the documented, at its path.

        Raises ValueError if the body is no page.
        """
        return self._items.read_items(body, keep_prompts=keep_prompts)

    def describe_items(self) -> tuple[Any, ...]:
        """Return what is documented of an item, with types, and what is left out of the rest."""
        return self._items.describe()

    def redact(self, body: bytes) -> bytes:
        """Return a page without its secret fields.

        Raises ValueError if the body is no JSON, or nests too deep.
        """
        if not self._secret_fields:
            return body
        try:
            page = msgspec.json.decode(body)
        except RecursionError:
            raise ValueError(TOO_DEEP) from None
        check_depth([page])
        return msgspec.json.encode(without_fields(page, self._secret_fields))

    def raw_items(self, body: bytes) -> bytes | msgspec.Raw:
        """Return a page's items as they came, without what leads to other pages."""
        return self._items.raw_items(body)

    def split_items(self, body: bytes) -> Sequence[msgspec.Raw]:
        """Return each of a page's items as it came. Raises ValueError if the body is no page."""
        return self._items.split_items(body)

    def join_items(self, items: Iterable[bytes]) -> bytes:
        """Return items as they came as the body of a page that lists them alone."""
        return self._items.join_items(items)


def quote_segment(id_: str) -> str:
    """Return an id as one segment of a path: dots alone would lead to the folder above."""
    return quote(id_, safe="").replace(".", "%2E" if id_ in {".", ".."} else ".")


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An API: what a source of it says unless the configuration says otherwise.

    `headers` and `params` are sent with every request. `token_variables` are where the token is
    looked for, in this order, on hosts of the base URL alone; `base_url_variable` and
    `session_ids_variable` override the configuration of the source that is called as the provider.
    Without a base URL, or variables for the token, a source must name them. `endpoints` are listed,
    those in `lookups` give one object, asked for by its id.
    """

    name: str
    base_url: str | None = None
    auth: str = "bearer"
    headers: Mapping[str, str] = {}
    params: Mapping[str, str] = {}
    token_variables: tuple[str, ...] = ()
    base_url_variable: str | None = None
    session_ids_variable: str | None = None
    page_limit: int = 100
    max_requests_per_second: float = 50
    endpoints: tuple[Endpoint[Any], ...]
    lookups: tuple[Endpoint[Any], ...] = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """Return what a source of it says by default, by the key of the configuration."""
        return {
            "auth": self.auth,
            "headers": dict(self.headers),
            "params": dict(self.params),
            "page_limit": self.page_limit,
            "max_requests_per_second": self.max_requests_per_second,
        }

    @property
    def takes_order(self) -> bool:
        """Whether threads can be asked for in an order."""
        return any(endpoint.takes_order for endpoint in self.endpoints if not endpoint.per_source)

    def endpoint(self, name: str) -> Endpoint[Any]:
        """Return the endpoint of this name. Raises LookupError if there is none."""
        return {endpoint.name: endpoint for endpoint in (*self.endpoints, *self.lookups)}[name]
