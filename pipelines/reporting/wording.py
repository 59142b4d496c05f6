"""Values as people write them: durations in hours and minutes, counts, text without controls."""

from __future__ import annotations

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


def to_printable(text: str) -> str:
    """Return the text with a sign in place of each invisible character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)
