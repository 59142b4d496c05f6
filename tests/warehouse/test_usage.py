"""What threads have used is in typed columns: null where the server does not say it, never 0."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.builders import load, read, replay_all, thread

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = (None,) * 6
USAGES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "all": (
        {
            "input_tokens": 5,
            "output_tokens": 0,
            "cache_read_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
            "list_cost": {"amount": "1234", "currency": "usd"},
        },
        (5, 0, 7, 7, Decimal("12.34"), "USD"),
    ),
    "flat": ({"cache_creation_input_tokens": 2}, (None, None, None, 2, None, None)),
    "part of the cache": (
        {"cache_creation": {"ephemeral_1h_input_tokens": 4}},
        (None, None, None, 4, None, None),
    ),
    "yen": (
        {"list_cost": {"amount": "12.5", "currency": "JPY"}},
        (None, None, None, None, Decimal("12.5"), "JPY"),
    ),
    "dinar": (
        {"list_cost": {"amount": 1500, "currency": "KWD"}},
        (None, None, None, None, Decimal("1.5"), "KWD"),
    ),
    "points": (
        {"list_cost": {"amount": "42", "currency": "POINT"}},
        (None, None, None, None, Decimal(42), "POINT"),
    ),
    "credits": ({"total_credits": 3.25}, (None, None, None, None, Decimal("3.25"), "credits")),
    "money before credits": (
        {"credits": 9, "list_cost": {"amount": "1", "currency": "EUR"}},
        (None, None, None, None, Decimal("0.01"), "EUR"),
    ),
    "odd": (
        {
            "input_tokens": -1,
            "output_tokens": 1.5,
            "cache_read_input_tokens": "7",
            "cache_creation": 7,
            "list_cost": {"amount": "x", "currency": "USD"},
        },
        NOTHING,
    ),
    "too large": (
        {
            "input_tokens": 2**64,
            "output_tokens": 10**12,
            "list_cost": {"amount": 1e300, "currency": "USD"},
        },
        NOTHING,
    ),
    "no currency": ({"list_cost": {"amount": "5"}}, NOTHING),
    "empty": ({}, NOTHING),
    "none": (None, NOTHING),
}
COLUMNS = (
    "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_amount, cost_currency"
)
QUERY = f"SELECT thread_id, {COLUMNS} FROM threads"


def test_usage_is_typed(home: Path) -> None:
    """Tokens and costs are read in the units of their currency, after a replay as before."""
    load(home, 0, *(thread(name, usage=usage) for name, (usage, _) in USAGES.items()))
    expected = {name: values for name, (_, values) in USAGES.items()}
    for _ in range(2):
        rows = {row.pop("thread_id"): tuple(row.values()) for row in read(home, QUERY)}
        assert rows == expected
        replay_all(home)


def test_usage_changes_with_the_json(home: Path) -> None:
    """The columns say what the JSON beside them says, also after it changed."""
    for minute, tokens in enumerate((5, 6)):
        load(home, minute, thread("a", status="idle", usage={"input_tokens": tokens}))
        assert read(home, "SELECT input_tokens FROM threads") == [{"input_tokens": tokens}]
