"""One page of threads: what the server sent, and what paging needs to know of it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from pipelines.http.thread import NOTHING, PROMPT_FIELDS, Fields, Thread, has_id, split

if TYPE_CHECKING:
    from collections.abc import Iterator

# What nests more deeply is no thread, and few programs that read it later would survive it.
MAX_DEPTH = 100
TOO_DEEP = f"nested more than {MAX_DEPTH} deep"


# Both halves of a surrogate pair, one alone, or any other escape.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F]..)|.)", re.DOTALL
)

T = TypeVar("T")


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """The response around the threads, in either revision (docs/api.md, 2).

    `next_page` is UNSET where the key is missing: revision A has none.
    """

    data: list[T]
    has_more: bool | None = None
    first_id: str | None = None
    last_id: str | None = None
    next_page: str | msgspec.UnsetType | None = msgspec.UNSET


class Page(msgspec.Struct, frozen=True):
    """One answer of the server: `body` as it came, `observed_at` the instant (UTC) it came."""

    status: int
    observed_at: datetime
    body: bytes
    envelope: Envelope[Thread] | Envelope[Any]


class _Cut(msgspec.Struct):
    data: msgspec.Raw


class _Threads(msgspec.Struct, Generic[T]):
    data: list[T]


_cut = msgspec.json.Decoder(_Cut).decode
_decode = msgspec.json.Decoder(Envelope[Thread]).decode
_decode_all = msgspec.json.Decoder(Envelope[Any]).decode
_decode_threads = msgspec.json.Decoder(_Threads[Thread]).decode
_decode_raw_items = msgspec.json.Decoder(_Threads[msgspec.Raw]).decode
_decode_thread = msgspec.json.Decoder(Thread).decode


def read_envelope(body: bytes) -> Envelope[Thread] | Envelope[Any]:
    """Decode a page's body. Raises ValueError that names the spot where it is not a page.

    Where every thread is as documented, which is quick to tell, `data` holds them; else whatever
    came.
    """
    try:
        try:
            envelope = _decode(body)
        except ValueError:
            odd = _decode_all(body)
            check_depth(odd.data)
            return odd
        check_depth([[thread.stop_reason, thread.usage] for thread in envelope.data])
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    return envelope


def replace_lone_surrogates(body: bytes) -> bytes:
    """Return the body with U+FFFD in place of each half of a surrogate pair.

    JSON may hold one, where a server cut a text within a character, no text can (RFC 8259, 8.2).
    """
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], body)


def raw_items(body: bytes) -> bytes | msgspec.Raw:
    """Return of a page's body the threads alone, as they came; a body that is no page, whole."""
    try:
        return _cut(body).data
    except (ValueError, RecursionError):
        return body


def read_threads(body: bytes, keep_agent_definition: bool) -> list[tuple[Thread, Fields]]:  # noqa: FBT001
    """Return the threads of a page's body, each with what no field of Thread can hold.

    What is not a thread is left to the walk to report. Raises ValueError where the body is no page.
    """
    try:
        threads = [(thread, NOTHING) for thread in _decode_threads(body).data]
    except msgspec.ValidationError:
        threads = list(_read_odd_threads(body, keep_agent_definition))
    check_depth([[thread.stop_reason, thread.usage] for thread, _ in threads])
    check_depth([extra for _, extra in threads if extra])
    return threads


def _read_odd_threads(body: bytes, keep_agent_definition: bool) -> Iterator[tuple[Thread, Fields]]:  # noqa: FBT001
    for raw in _decode_raw_items(body).data:
        try:
            yield _decode_thread(raw), NOTHING
        except msgspec.ValidationError:
            # It holds more, or something else, than is documented: field by field, then.
            fields = msgspec.json.decode(raw)
            if has_id(fields):
                thread, extra = split(fields, Thread)
                if not keep_agent_definition and isinstance(extra.get("agent"), dict):
                    agent = extra["agent"].items()
                    extra["agent"] = {k: value for k, value in agent if k not in PROMPT_FIELDS}
                yield thread, extra


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


def thread_ids(envelope: Envelope[Thread] | Envelope[Any]) -> tuple[list[str], str | None]:
    """Return the ids of the page's threads, and where the first object lies that has none."""
    ids: list[str] = []
    fault = None
    for index, thread in enumerate(envelope.data):
        if isinstance(thread, Thread):
            ids.append(thread.id)
        elif has_id(thread):
            ids.append(thread["id"])
        elif fault is None:
            fault = f"data[{index}] is {quote(thread)}"
    return ids, fault


def quote(value: object, limit: int = 80) -> str:
    """Return the value as short JSON on one line."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
