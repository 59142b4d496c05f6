"""Values as people write them: durations in hours and minutes, counts, text without controls."""

from __future__ import annotations

import json
from itertools import pairwise

MINUTE_S = 60
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


def describe_wait(what: str, seconds: float) -> str:
    """Return what waited how long, of several sessions added up; nothing of less than a second."""
    return f", {what} {seconds:.0f} s" if seconds >= 1 else ""


def to_printable(text: str) -> str:
    """Return the text with a sign in place of each invisible character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def escape_json(text: str) -> str:
    """Return a line of JSON that means the same, each invisible character in its escaped form."""
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
