"""How the report and the notebook write values: one set of formats."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from pipelines.reporting.wording import Duration, cut_middle, to_printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal[
    "text",
    "prose",
    "word",
    "number",
    "net",
    "amount",
    "share",
    "change",
    "duration",
    "moment",
    "instant",
    "day",
]
LONGEST = 100
LONGEST_PROSE = 400
SMALLEST_SHARE = 0.0005
NOTHING = "–"  # noqa: RUF001 - as tables have it


def format_value(value: Any, kind: Kind) -> str:  # noqa: ANN401 - of any column
    """Return a value as people write it."""
    return NOTHING if value is None else READERS[kind](value)


def format_range(low: Any, high: Any, kind: Kind) -> str:  # noqa: ANN401 - of any column
    """Return two values as the ends of a range."""
    return f"{format_value(low, kind)} to {format_value(high, kind)}"


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return a text without its middle if it is long, and without control characters."""
    tail = longest // 3
    return to_printable(cut_middle(text, longest - tail, tail))


def read_share(share: float) -> str:
    """Return a share in per cent; few of many are not shown as none."""
    return "<0.1%" if 0 < share < SMALLEST_SHARE else f"{share:.1%}"


READERS: Mapping[Kind, Callable[[Any], str]] = {
    "text": shorten,
    "prose": lambda value: shorten(value, LONGEST_PROSE),
    "word": lambda value: shorten(value.replace("_", " ")),
    "number": "{:,}".format,
    "net": "{:+,}".format,
    "amount": "{:,.2f}".format,
    "share": read_share,
    "change": "{:+.0%}".format,
    "duration": lambda value: str(Duration(value)),
    "moment": lambda value: f"{value.astimezone(UTC):%Y-%m-%d %H:%M}",
    "instant": lambda value: (
        f"{value.astimezone(UTC):%-d\N{NO-BREAK SPACE}%b\N{NO-BREAK SPACE}%H:%M}"
    ),
    "day": lambda value: f"{value:%a %-d %b}",
}
