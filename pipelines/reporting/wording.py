"""Values as people write them: durations in hours and minutes, counts, text without controls."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MINUTE_S = 60
LONGEST_ID = 18
LEAST_HEAD = 4
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
# Within Persian words and emoji; they move nothing.
JOINERS = "\u200c\u200d"


class Duration(float):
    """Seconds, shown in the two largest units: 2h 05m."""

    def __str__(self) -> str:
        """Return the two largest units."""
        sign, rest = "-" if self < 0 else "", abs(self)
        if round(rest, 1) < MINUTE_S:
            return f"{sign}{rest:.1f}s"
        for (size, name), (part, part_name) in pairwise(UNITS):
            if round(rest / part) * part >= size:
                whole, parts = divmod(round(rest / part), round(size / part))
                return f"{sign}{whole}{name} {parts:02d}{part_name}"
        raise AssertionError


def count(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun: 1 page, 2 pages."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def describe_wait(what: str, seconds: float) -> str:
    """Return what waited how long, of several sessions added up; nothing of less than a second."""
    return f", {what} {seconds:.0f} s" if seconds >= 1 else ""


def to_printable(text: str) -> str:
    """Return the text with a sign in place of what commands a terminal or turns writing around."""
    return text if text.isprintable() else "".join(c if _is_harmless(c) else "�" for c in text)


def _is_harmless(character: str) -> bool:
    """Whether it is visible, a space of any script, or a joiner."""
    from unicodedata import category  # noqa: PLC0415 - --help needs none

    return character.isprintable() or character in JOINERS or category(character) == "Zs"


def escape_json(text: str) -> str:
    """Return a line of JSON that means the same, each invisible character in its escaped form."""
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def shorten_ids(ids: Iterable[str], longest: int = LONGEST_ID) -> dict[str, str]:
    """Return id -> what is shown of it: sess_019f…3bd41c; ids that differ are shown differently.

    The middle of a longer one is left out; if ids are alike then, less of the beginning is kept,
    and they get longer only if that is not enough.
    """
    shown: dict[str, str] = {}
    left, tail = set(ids), longest // 3
    while left:
        cut = {id_: cut_middle(id_, longest - tail, tail) for id_ in left}
        alike = Counter([*cut.values(), *shown.values()])
        shown |= {id_: text for id_, text in cut.items() if text == id_ or alike[text] == 1}
        left -= shown.keys()
        if tail < longest // 2:
            tail = longest - LEAST_HEAD
        else:
            longest, tail = 2 * longest, longest
    return shown


def cut_middle(text: str, head: int, tail: int) -> str:
    """Return the first and last letters of a longer text, an ellipsis between them.

    `head` and `tail` are widths: a letter of some scripts is as wide as two.
    """
    if text.isascii():
        return text if len(text) <= head + tail else f"{text[: head - 1]}…{text[-tail:]}"
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - --help needs none

    if cell_len(text) <= head + tail:
        return text
    return f"{set_cell_size(text, head - 1)}…{set_cell_size(text[::-1], tail)[::-1]}"
