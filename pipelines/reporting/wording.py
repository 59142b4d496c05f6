"""Values as people write them: durations in hours and minutes, counts, text without controls."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Iterable

MINUTE_S = 60
LONGEST_ID = 18
Parts = tuple[str, str, str]
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


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


def to_printable(text: str) -> str:
    """Return the text with a sign in place of each invisible character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def split_ids(ids: Iterable[str], longest: int = LONGEST_ID) -> dict[str, Parts]:
    """Return id -> its beginning, what may be left out, and its end: ids that differ still do.

    More of the end is kept if ids are alike otherwise.
    """
    split: dict[str, Parts] = {}
    left, tail = set(ids), longest // 3
    while left:
        parts = {id_: split_middle(id_, longest - tail - 1, tail) for id_ in left}
        alike = Counter(map(join_parts, [*parts.values(), *split.values()]))
        split |= {
            id_: part for id_, part in parts.items() if not part[1] or alike[join_parts(part)] == 1
        }
        left, longest, tail = left - split.keys(), longest + tail, 2 * tail
    return split


def split_middle(text: str, head: int, tail: int) -> Parts:
    """Return the beginning, middle and end of a text; one that fits is all beginning."""
    if len(text) <= head + 1 + tail:
        return text, "", ""
    return text[:head], text[head:-tail], text[-tail:]


def join_parts(parts: Parts) -> str:
    """Return what is shown of a text: an ellipsis in place of its middle."""
    return f"{parts[0]}…{parts[2]}" if parts[1] else parts[0]


def shorten_ids(ids: Iterable[str], longest: int = LONGEST_ID) -> dict[str, str]:
    """Return id -> what is shown of it, as sess_019f3a…3bd41c; ids that differ still do."""
    return {id_: join_parts(parts) for id_, parts in split_ids(ids, longest).items()}


def cut_middle(text: str, head: int, tail: int) -> str:
    """Return the beginning and end of a longer text, an ellipsis between them.

    Widths are those on a terminal, where some letters are as wide as two.
    """
    if len(text) <= (head + tail) // 2 or cell_len(text) <= head + tail:
        return text
    front = set_cell_size(text[:head], head - 1).rstrip()
    end = set_cell_size(text[-tail:][::-1], tail)[::-1].lstrip()
    return f"{front}…{end}"
