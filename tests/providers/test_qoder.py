"""The dialect of both revisions: what follows a page, and how a request is spelled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipelines.http.bodies import MAX_DEPTH
from pipelines.providers.qoder import QODER, SESSION, SESSIONS, THREAD, THREADS
from pipelines.providers.registry import PROVIDERS, find_endpoint

if TYPE_CHECKING:
    from pipelines.records import Cursor

FOLLOWING: list[tuple[dict[str, Any], Any]] = [
    ({"has_more": False, "next_page": "p"}, "has_more_false"),
    ({"has_more": False, "last_id": "t"}, "has_more_false"),
    ({"has_more": True, "next_page": "p", "last_id": "t"}, ("page", "p")),
    ({"has_more": None, "next_page": "p"}, ("page", "p")),
    ({"has_more": True, "last_id": "t"}, ("after_id", "t")),
    ({"has_more": True, "last_id": "t", "next_page": None}, "no_cursor"),
    ({"has_more": True, "last_id": "t", "next_page": ""}, "no_cursor"),
    ({"has_more": True, "last_id": ""}, "no_cursor"),
    ({"has_more": True}, "no_cursor"),
    ({"last_id": "t"}, "no_next_page"),
    ({"next_page": None}, "no_next_page"),
    ({}, "no_next_page"),
]


@pytest.mark.parametrize(("keys", "following"), FOLLOWING, ids=range(len(FOLLOWING)))
def test_what_follows_a_page(keys: dict[str, Any], following: Any) -> None:
    """Of either revision's page the next cursor is read, or what ended the listing."""
    assert THREADS.read_page(json.dumps({"data": [], **keys}).encode()).following == following


@pytest.mark.parametrize(
    ("cursor", "following"),
    [
        (None, ("after_id", "b")),
        (("after_id", "x"), ("after_id", "b")),
        (("page", "x"), ("after_id", "b")),
        (("before_id", "x"), ("before_id", "a")),
    ],
)
def test_direction(cursor: Cursor | None, following: Cursor) -> None:
    """A listing that goes backward goes on before the first id of a page, another behind its last.

    Both only where the page has no cursor.
    """
    page = {"data": [], "has_more": True, "first_id": "a", "last_id": "b"}
    assert THREADS.read_page(json.dumps(page).encode(), cursor).following == following


def test_spelling() -> None:
    """Every parameter is sent only where it is given, but the limit, which always is."""
    assert THREADS.params(limit=100) == [("limit", "100")]
    asked = THREADS.params(limit=7, cursor=("page", "p"), order="asc", statuses=("idle", "running"))
    assert asked == [
        ("limit", "7"),
        ("page", "p"),
        ("order", "asc"),
        ("statuses[]", "idle"),
        ("statuses[]", "running"),
    ]
    assert THREADS.path({"session_id": "a/b?c"}) == "/sessions/a%2Fb%3Fc/threads"
    ids = {"session_id": "..", "thread_id": "."}
    assert THREAD.path(ids) == "/sessions/%2E%2E/threads/%2E"
    assert str(httpx.URL(f"http://h{THREAD.path(ids)}")) == "http://h/sessions/%2E%2E/threads/%2E"


@pytest.mark.parametrize("body", ['{"id":"a"},{"id":"b"}', '{"id":"a"}],"data":[{"id":"b"}', ""])
def test_a_single_object_is_one(body: str) -> None:
    """What would make another page of it when it is read like a listed one is rejected."""
    for endpoint in (THREAD, SESSION):
        with pytest.raises(ValueError, match=r"malformed|truncated"):
            endpoint.read_page(body.encode())


def test_secrets_are_removed_in_any_spelling() -> None:
    """Whatever separates their words, at any depth; what is too deep for that is no page."""
    spelled = ("environment_variables", "environmentVariables", "Environment-Variables", "ENV_VARS")
    item = {"id": "a", "x": [{"apiKey": "s", "api_keys": 1}], **dict.fromkeys(spelled, "s")}
    body = json.dumps({"data": [item]}).encode()
    assert json.loads(SESSIONS.redact(body)) == {"data": [{"id": "a", "x": [{"api_keys": 1}]}]}
    for depth in (MAX_DEPTH, 5000):
        deep = b'{"data":[],"x":' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(ValueError, match="nested more than"):
            SESSIONS.read_page(deep)


def test_it_is_the_default() -> None:
    """It is found by its name, and where none is given; it lists its own threads."""
    assert PROVIDERS["qoder"] is QODER
    assert find_endpoint("threads") is THREADS
