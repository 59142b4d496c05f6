"""What threads use: added up by currency, and how many say it stands beside each sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.config.settings import Settings
from pipelines.sandbox.server import serve
from tests.builders import build, load, poll_once, thread
from tests.support import make_source

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request


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


def test_cost_of_a_session_is_what_its_object_says(home: Path) -> None:
    """Else its threads' costs are added up, of one currency alone; who says it stands beside it."""
    usages: dict[str, tuple[dict[str, Any] | None, list[dict[str, Any] | None]]] = {
        "a": (cost(500, input_tokens=90, output_tokens=9), [cost(100, input_tokens=5), None]),
        "b": (None, [cost(100, output_tokens=2), cost(50), None]),
        "c": ({"input_tokens": 0}, [cost(100), cost(30, "POINT")]),
        "d": ({"credits": 2.5}, [None, {"output_tokens": 3}]),
        "e": ({}, [None]),
    }

    async def answer(request: Request) -> JSONResponse:
        *_, name, last = request.url.path.split("/")
        items = [{"id": id_, "usage": used} for id_, (used, _) in usages.items()]
        if last == "threads":
            items = [{"id": f"t{n}", "usage": used} for n, used in enumerate(usages[name][1])]
        return JSONResponse({"data": items, "has_more": False})

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        source = make_source(base_url, sessions=[], discover=True)
        poll_once(home, Settings(sources=(source,)), "run-1")
    rows = build(home, "session_summary")
    tokens = ("session_id", "tokens_from", "tokens_known", "input_tokens", "output_tokens")
    assert [tuple(row[name] for name in tokens) for row in rows] == [
        ("a", "session", 1, 90, 9),
        ("b", "threads", 1, None, 2),
        ("c", "session", 0, 0, None),
        ("d", "threads", 1, None, 3),
        ("e", None, 0, None, None),
    ]
    costs = ("session_id", "cost_from", "cost_known", "cost_currency", "cost_amount")
    shown = [tuple(row[name] for name in costs) for row in rows]
    assert [(*row, amount and float(amount)) for *row, amount in shown] == [
        ("a", "session", 1, "USD", 5),
        ("b", "threads", 2, "USD", 1.5),
        ("c", None, 2, None, None),
        ("d", "session", 0, "credits", 2.5),
        ("e", None, 0, None, None),
    ]
