"""What threads use: added up by currency, and how many say it stands beside each sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.builders import build, load, thread

if TYPE_CHECKING:
    from pathlib import Path


def cost(amount: int, currency: str = "USD", **tokens: int) -> dict[str, Any]:
    """Return a usage that costs so many minor units."""
    return {"list_cost": {"amount": str(amount), "currency": currency}, **tokens}


def test_currencies_are_never_added(home: Path) -> None:
    """Each currency has its row, with how many threads it is of, and of how many in all."""
    load(
        home,
        0,
        thread("a", usage=cost(150, input_tokens=5, output_tokens=1)),
        thread("b", "terminated", usage=cost(50, input_tokens=7)),
        thread("c", "terminated", usage=cost(30, "POINT")),
        thread("d", usage={"output_tokens": 3}),
        thread("e"),
    )
    rows = [row for row in build(home, "usage") if row["dimension"] == "all"]
    shown = ("currency", "threads", "n", "tokens_known", "input_tokens", "output_tokens")
    assert [[row[name] for name in shown] for row in rows] == [
        ["(none)", 2, 5, 1, None, 3],
        ["POINT", 1, 5, 0, None, None],
        ["USD", 2, 5, 2, 12, 1],
    ]
    costs = ("cost_known", "cost_amount", "closed_known", "cost_per_closed_thread")
    assert [[row[name] and float(row[name]) for name in costs] for row in rows] == [
        [0, None, 0, None],
        [1, 30, 1, 30],
        [2, 2, 1, 0.5],
    ]


def test_missing_threads_were_paid_for(home: Path) -> None:
    """A thread that is gone has cost what it did."""
    load(home, 0, thread("a", usage=cost(100)), thread("b", usage=cost(300)))
    load(home, 10, thread("a", usage=cost(100)))
    (row,) = [row for row in build(home, "usage") if row["dimension"] == "all"]
    assert (row["threads"], float(row["cost_amount"])) == (2, 4)
