"""The server keeps its published description: schemathesis calls it over HTTP, as described."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from schemathesis.checks import positive_data_acceptance

from pipelines.sandbox.dialect import CURSORS
from pipelines.sandbox.server import BASE_PATH, TOKEN, Sandbox, load_description, serve
from pipelines.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.sandbox.world import Revision

pytestmark = pytest.mark.slow
REVISIONS: tuple[Revision, ...] = ("a", "b")
WORLDS = {
    revision: World([40], revision=revision, clock=lambda: datetime(2026, 6, 15, tzinfo=UTC))
    for revision in REVISIONS
}


def keep_one_cursor(
    _: schemathesis.HookContext, query: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Drop all cursors but one: OpenAPI cannot say that they exclude each other."""
    given = [cursor for cursor in CURSORS if cursor in (query or {})]
    return query and {name: value for name, value in query.items() if name not in given[1:]}


def describe(revision: Revision) -> schemathesis.BaseSchema:
    """Load a revision's description, and tell which session and threads there are to ask for."""
    (session_id,) = WORLDS[revision].sessions
    ids = [thread["id"] for thread in WORLDS[revision].list_threads(session_id)]
    real_thread = {"dictionary": "threads", "probability": 0.8}
    config = schemathesis.Config.from_dict(
        {
            "seed": 1,
            "suppress-health-check": ["too_slow"],  # a busy machine is no failure
            "headers": {"Authorization": f"Bearer {TOKEN}"},
            "dictionaries": {"threads": {"values": ids}},
            "parameters": {
                "path.session_id": session_id,
                "path.thread_id": real_thread,
                "query.after_id": real_thread,
                "query.before_id": real_thread,
            },
            "generation": {"max-examples": 100, "database": "none"},
        }
    )
    schema = schemathesis.openapi.from_dict(load_description(revision), config=config)
    schema.hook("map_query")(keep_one_cursor)
    return schema


@pytest.fixture(scope="module")
def origin(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve a revision; give the address that the described paths are relative to."""
    with serve(Sandbox(WORLDS[request.param]).app) as url:
        yield url.removesuffix(BASE_PATH)


def assert_as_described(case: schemathesis.Case[Any], origin: str) -> None:
    """Make the call; all of schemathesis' checks hold for the answer."""
    answer = case.call(origin)
    blamed = answer.json()["error"].get("param") if answer.status_code == 400 else None
    # Which cursors there are, and that only one may be given, is not for a schema to say.
    excluded = [positive_data_acceptance] if blamed in CURSORS else []
    case.validate_response(answer, excluded_checks=excluded)


# The name of a test without a parameter of pytest's own does not say the operation.
@pytest.mark.parametrize("origin", ["a"], indirect=True)
@describe("a").parametrize()
def test_revision_a_answers_as_described(case: schemathesis.Case[Any], origin: str) -> None:
    """Whatever is asked, the sandbox of revision A answers what its description says."""
    assert_as_described(case, origin)


@pytest.mark.parametrize("origin", ["b"], indirect=True)
@describe("b").parametrize()
def test_revision_b_answers_as_described(case: schemathesis.Case[Any], origin: str) -> None:
    """Whatever is asked, the sandbox of revision B answers what its description says."""
    assert_as_described(case, origin)
