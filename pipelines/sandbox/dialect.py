"""What a request must be for the sandbox to answer it: how its server differs from others."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from starlette.exceptions import HTTPException

from pipelines.sandbox.plans import SessionPlan, ThreadPlan

if TYPE_CHECKING:
    from starlette.requests import Request

P = TypeVar("P", ThreadPlan, SessionPlan)
CURSORS = ("page", "after_id", "before_id")
DEFAULT_LIMIT = 20
# What only agents with an id have; and what is an instant.
OF_AGENTS = ("agent", "agent_id", "agent_version")
TIMES = ("created_at", "updated_at", "archived_at")


class Rejection(HTTPException):
    """An error answer as the API documents it; `param` names the offending parameter."""

    def __init__(self, status_code: int, message: str, param: str | None = None) -> None:
        super().__init__(status_code, message)
        self.param = param


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How a server of the family differs from the documented one, which takes the defaults.

    It demands its scheme, headers and parameters of every request; takes pages of up to
    `page_limit` threads, and `clips` what asks for more, or rejects it; lists the newest first;
    gives no cursor; takes a filter by status for none; leaves archived threads out of the list, or
    all but the `newest_only`; gives no thread by its id. Its times have no offset, its numbers grow
    with each reading; its agents are advisors or inline, named by a template, or named beside the
    thread's other fields (`flat`); its usage has costs in `costs_in`, a currency
    or credits.
    """

    auth: Literal["bearer", "x-api-key"] = "bearer"
    headers: Mapping[str, str] = {}
    params: Mapping[str, str] = {}
    page_limit: int = 100
    clips: bool = False
    newest_first: bool = False
    has_cursors: bool = True
    ignores_filter: bool = False
    hides_archived: bool = False
    newest_only: int | None = None
    has_lookups: bool = True
    has_naive_times: bool = False
    has_growing_stats: bool = False
    agents: Literal["agent", "advisor", "inline", "template", "flat"] = "agent"
    costs_in: str | None = None

    def speak(self, thread: dict[str, Any], age_s: float) -> dict[str, Any]:
        """Return a thread as this server says it; `age_s` is how long ago it was created."""
        if self.agents != "agent":
            kept = {name: value for name, value in thread.items() if name not in OF_AGENTS}
            thread = kept | self._show_agent(thread["agent"])
        if self.has_growing_stats:
            is_running = thread["status"] in {"running", "rescheduling"}
            worked = age_s / 2 if is_running else 7.5
            lasted = 60.0 if thread["archived_at"] else age_s
            stats = {"duration_seconds": lasted, "active_seconds": worked}
            thread |= {"stats": stats, "usage": {"output_tokens": int(worked)}}
        return self._show_times(self._show_costs(thread))

    def speak_session(self, session: dict[str, Any]) -> dict[str, Any]:
        """Return a session as this server says it."""
        return self._show_times(self._show_costs(session))

    def _show_agent(self, agent: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a thread that say whose it is."""
        name, model = agent.get("name", "helper"), {"id": agent.get("model", "ultimate")}
        match self.agents:
            case "template":
                return {"template_id": agent["id"]}
            case "flat":
                version = agent["version"]
                return {"agent_id": agent["id"], "agent_name": name, "agent_version": version}
            case "inline":
                return {"agent": {"type": "inline", "model": model, "name": name}}
            case _:
                return {"agent": {"type": self.agents, "model": model}}

    def _show_costs(self, item: dict[str, Any]) -> dict[str, Any]:
        usage = item.get("usage")
        if not (usage and self.costs_in):
            return item
        amount = usage["output_tokens"]
        usage = {name: value for name, value in usage.items() if name != "list_cost"}
        if self.costs_in == "credits":
            return item | {"usage": usage | {"credits": amount}}
        cost = {"amount": str(amount), "currency": self.costs_in}
        return item | {"usage": usage | {"list_cost": cost}}

    def _show_times(self, item: dict[str, Any]) -> dict[str, Any]:
        if not self.has_naive_times:
            return item
        return item | {name: item[name] and item[name].removesuffix("Z") for name in TIMES}

    def authorize(self, request: Request, token: str) -> None:
        """Raise Rejection unless the request shows the token, and what else it must have."""
        header, shown = ("authorization", f"Bearer {token}")
        if self.auth == "x-api-key":
            header, shown = "x-api-key", token
        if request.headers.get(header) != shown:
            raise Rejection(401, "Invalid API key or token.")
        for name, value in self.headers.items():
            if request.headers.get(name) != value:
                raise Rejection(400, f"The header {name} must be {value}.", name)
        for name, value in self.params.items():
            if request.query_params.get(name) != value:
                raise Rejection(400, f"The parameter {name} must be {value}.", name)

    def read_limit(self, request: Request) -> int:
        """Return the page size, 20 by default."""
        text = request.query_params.get("limit", str(min(DEFAULT_LIMIT, self.page_limit)))
        is_short_number = text.isascii() and text.isdecimal() and len(text) <= len("10000")
        if is_short_number and self.clips:
            text = str(min(int(text), self.page_limit))
        if not (is_short_number and 1 <= int(text) <= self.page_limit):
            problem = f"limit must be an integer from 1 to {self.page_limit}."
            raise Rejection(400, problem, "limit")
        return int(text)

    def read_cursor(self, request: Request) -> tuple[str, str] | None:
        """Return the cursor's kind and value."""
        params = request.query_params if self.has_cursors else {}
        given = [(kind, params[kind]) for kind in CURSORS if kind in params]
        if len(given) > 1:
            message = "page, before_id and after_id are mutually exclusive"
            raise Rejection(400, message, given[0][0])
        if given and given[0][0] == "page":
            return "page", decode_cursor(given[0][1])
        return given[0] if given else None


def encode_cursor(thread_id: str) -> str:
    """Return an opaque cursor that leads behind the thread."""
    return base64.urlsafe_b64encode(thread_id.encode()).decode()


def decode_cursor(page: str) -> str:
    """Return the thread that a cursor leads behind."""
    try:
        return base64.b64decode(page, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise Rejection(400, "page is not a cursor of this server.", "page") from None


def locate(ordered: list[P], cursor: tuple[str, str] | None) -> list[P]:
    """Return the threads or sessions that lie on the cursor's side, in the order of the list."""
    if cursor is None:
        return ordered
    kind, id_ = cursor
    at = next((i for i, plan in enumerate(ordered) if plan.id == id_), None)
    if at is None:
        raise Rejection(400, "The cursor is not one of this list.", kind)
    return ordered[:at] if kind == "before_id" else ordered[at + 1 :]
