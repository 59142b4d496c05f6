"""What any JSON body may contain, whichever server sent it: broken letters, odd numbers, depth."""

from __future__ import annotations

import json
import math
import re
from itertools import chain
from typing import Any

import msgspec

# What nests more deeply is no page, and few programs that read it later would survive it.
MAX_DEPTH = 100
# More than any double has, and less than Python or msgspec reads.
MAX_DIGITS = 310
# Each takes a hundred bytes and more once it is read.
MAX_CONTAINERS = 1_000_000
CONTAINERS = frozenset({dict, list})
TOO_DEEP = f"nested more than {MAX_DEPTH} deep"

# A backslash that is escaped, or a printable letter of ASCII but for the quotation mark and it.
_SPELLED = re.compile(rb"\\(?:\\|u00(?P<code>2[013-9a-fA-F]|[346][\da-fA-F]|[57][\dabABd-eD-E]))")


def unescape(body: bytes) -> bytes:
    r"""Return the JSON with those letters as they are that need no escape: `\u0041` is A."""
    return _SPELLED.sub(
        lambda found: bytes([int(found["code"], 16)]) if found["code"] else found[0], body
    )


def repair(body: bytes) -> bytes:
    """Return the body as the JSON that it was meant to be.

    In any encoding of Unicode, with U+FFFD for what is no letter, null for NaN and Infinity, a
    number that no double can hold as its text, and control characters escaped. A body that is
    torn, or no JSON at all, raises ValueError.
    """
    text = body.decode(json.detect_encoding(body), "replace")
    try:
        value = json.loads(
            text,
            strict=False,
            parse_constant=_no_number,
            parse_float=_read_number,
            parse_int=_read_integer,
        )
        whole = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    # At once: a match for each half of a pair, or each escape, would take gigabytes.
    halves = whole.encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace").encode()


def _no_number(_: str) -> None:
    return None


def _read_integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


def _read_number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def check_width(body: bytes) -> None:
    """Raise ValueError if the body holds so many objects and lists that reading it is an attack."""
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise ValueError(f"more than {MAX_CONTAINERS} objects and lists at once")


def check_depth(values: list[Any]) -> None:
    """Raise ValueError if something in the values nests more than MAX_DEPTH deep."""
    level = values
    for _ in range(MAX_DEPTH):
        kinds = set(map(type, level))
        if kinds.isdisjoint(CONTAINERS):
            return
        if not kinds <= CONTAINERS:
            level = [value for value in level if type(value) in CONTAINERS]
        level = list(
            chain.from_iterable(value.values() if type(value) is dict else value for value in level)
        )
    raise ValueError(TOO_DEEP)


def quote(value: object, limit: int = 80) -> str:
    """Return the value as short JSON on one line."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
