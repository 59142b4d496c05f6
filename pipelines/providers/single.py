"""Endpoints that give one object, asked for by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from pipelines.providers.base import NOTHING_ELSE, Endpoint

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipelines.providers.documented import Documented
    from pipelines.providers.items import Fields
    from pipelines.records import Cursor, EndReason, Listing

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """What an object is put into, to be read like a listed one."""

    data: list[T]


class OnePage:
    """An object is a page by itself, and no other follows."""

    key: ClassVar[str] = "data"
    envelope: ClassVar[Any] = Envelope

    def find_next(self, page: Envelope[Any], cursor: Cursor | None) -> Cursor | EndReason:  # noqa: ARG002
        """Return that there is no more."""
        return "has_more_false"


class SingleEndpoint(Endpoint[S]):
    """One object at its own path, read as a page that lists nothing else."""

    def __init__(
        self,
        name: str,
        path: str,
        *,
        item: type[S],
        prompt_fields: Sequence[str] = (),
        documented: Documented = NOTHING_ELSE,
        secret_fields: Collection[str] = (),
    ) -> None:
        super().__init__(
            name,
            path,
            item=item,
            paginator=OnePage(),
            prompt_fields=prompt_fields,
            documented=documented,
            secret_fields=secret_fields,
            limit_param=None,
            order_param=None,
        )

    def read_page(self, body: bytes, cursor: Cursor | None = None) -> Listing:
        """Return the object's id. Raises ValueError if it has none."""
        return super().read_page(wrap(body), cursor)

    def read_items(self, body: bytes, *, keep_prompts: bool = False) -> list[tuple[S, Fields]]:
        """Return the object alone. Raises ValueError if the body is none."""
        return super().read_items(wrap(body), keep_prompts=keep_prompts)

    def raw_items(self, body: bytes) -> bytes | msgspec.Raw:
        """Return the object as it came."""
        return body

    def split_items(self, body: bytes) -> Sequence[msgspec.Raw]:  # noqa: ARG002
        """Return nothing: an object that was asked for is always read."""
        return ()


def wrap(body: bytes) -> bytes:
    """Return an object as the page that lists it. Raises ValueError if the body is no JSON."""
    # Two values, or brackets that close the list, would make another page of it.
    return b'{"data":[' + bytes(msgspec.json.decode(body, type=msgspec.Raw)) + b"]}"
