"""What a thread or session has used, in typed columns beside the JSON: tokens, and what they cost.

Null is what the server does not say, and never 0. Costs of different currencies are not to be
added, and neither are those of threads and of their session: they are rounded one by one.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.providers.items import Fields

COST = pl.Decimal(38, 9)
USAGE: dict[str, pl.DataType] = {
    "input_tokens": pl.Int64(),
    "output_tokens": pl.Int64(),
    "cache_read_tokens": pl.Int64(),
    "cache_write_tokens": pl.Int64(),
    "cost_amount": COST,
    "cost_currency": pl.String(),
}
# Currencies whose smallest unit is no hundredth (ISO 4217), and units that are no money.
EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    "POINT": 0,
}
CREDITS = "credits"
MOST_TOKENS = 2**63 - 1
MOST = Decimal(10) ** 28


def usage_columns(usages: Sequence[Fields | None]) -> dict[str, list[Any]]:
    """Return the columns USAGE of what objects say of their usage."""
    rows = [read_usage(usage) for usage in usages]
    return {name: [row[index] for row in rows] for index, name in enumerate(USAGE)}


def read_usage(usage: Fields | None) -> tuple[Any, ...]:
    """Return tokens read, written, from the cache and into it, the cost and its currency."""
    if not usage:
        return (None,) * len(USAGE)
    written = usage.get("cache_creation_input_tokens")
    if written is None and isinstance(by_age := usage.get("cache_creation"), dict):
        known = [count for value in by_age.values() if (count := read_count(value)) is not None]
        written = sum(known) if known else None
    return (
        read_count(usage.get("input_tokens")),
        read_count(usage.get("output_tokens")),
        read_count(usage.get("cache_read_input_tokens")),
        read_count(written),
        *read_cost(usage),
    )


def read_count(value: object) -> int | None:
    """Return a number of tokens; None for what is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value <= MOST_TOKENS else None  # type: ignore[operator,return-value]


def read_cost(usage: Fields) -> tuple[Decimal | None, str | None]:
    """Return what was used in major units of its currency, or credits where no money is named."""
    cost = usage.get("list_cost")
    if isinstance(cost, dict) and isinstance(currency := cost.get("currency"), str) and currency:
        amount = read_amount(cost.get("amount"))
        if amount is not None:
            return amount.scaleb(-EXPONENTS.get(currency.upper(), 2)), currency.upper()
    for name in ("total_credits", CREDITS):
        amount = read_amount(usage.get(name))
        if amount is not None:
            return amount, CREDITS
    return None, None


def read_amount(value: object) -> Decimal | None:
    """Return an amount that a column can hold; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < MOST else None
