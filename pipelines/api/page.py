"""One page of threads: what the server sent, and what paging needs to know of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

# What nests more deeply is no thread, and few programs that read it later would survive it.
MAX_DEPTH = 100
TOO_DEEP = f"nested more than {MAX_DEPTH} deep"


class Envelope(msgspec.Struct, frozen=True):
    """The response around the threads, in either revision (spec 1-api.md, 1.1).

    `next_page` is UNSET where the key is missing: revision A has none.
    """

    data: list[Any]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None
    next_page: str | msgspec.UnsetType | None = msgspec.UNSET


class Page(msgspec.Struct, frozen=True):
    """One answer of the server: `body` as it came, `observed_at` the instant (UTC) it came."""

    status: int
    observed_at: datetime
    body: bytes
    envelope: Envelope


_decode = msgspec.json.Decoder(Envelope).decode


def read_envelope(body: bytes) -> Envelope:
    """Decode a page's body. Raises ValueError that names the spot where it is not a page."""
    try:
        envelope = _decode(body)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check_depth(envelope.data)
    return envelope


def check_depth(data: list[Any]) -> None:
    """Raise ValueError where something in the page's data nests more than MAX_DEPTH deep."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def thread_ids(envelope: Envelope) -> tuple[list[str], str | None]:
    """Return the ids of the page's threads, and where the first object lies that has none."""
    ids: list[str] = []
    fault = None
    for index, thread in enumerate(envelope.data):
        thread_id = thread.get("id") if isinstance(thread, dict) else None
        if isinstance(thread_id, str) and thread_id:
            ids.append(thread_id)
        elif fault is None:
            fault = f"data[{index}] is {quote(thread)}"
    return ids, fault


def quote(value: object, limit: int = 80) -> str:
    """Return the value as short JSON on one line."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
