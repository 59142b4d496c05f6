"""What may be in any JSON body, whichever server sent it: halves of letters, and depths."""

from __future__ import annotations

import re
from typing import Any

import msgspec

# What nests more deeply is nothing of ours, and few programs that read it later would survive it.
MAX_DEPTH = 100
TOO_DEEP = f"nested more than {MAX_DEPTH} deep"

# Both halves of a surrogate pair, one alone, or any other escape.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F]..)|.)", re.DOTALL
)


def replace_lone_surrogates(body: bytes) -> bytes:
    """Return the body with U+FFFD in place of each half of a surrogate pair.

    JSON may hold one, where a server cut a text within a character, no text can (RFC 8259, 8.2).
    """
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], body)


def check_depth(values: list[Any]) -> None:
    """Raise ValueError where something in the values nests more than MAX_DEPTH deep."""
    level: list[Any] = [values]
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


def quote(value: object, limit: int = 80) -> str:
    """Return the value as short JSON on one line."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
