"""The world behind the sandbox: what its fleet promises at any instant of a fixed clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.sandbox.world import STATUSES, World, draw_sizes

if TYPE_CHECKING:
    from pipelines.sandbox.world import Revision

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
COMMON_FIELDS = {
    "id",
    "type",
    "session_id",
    "parent_thread_id",
    "agent",
    "status",
    "archived_at",
    "created_at",
    "updated_at",
}
FIELDS: dict[Revision, set[str]] = {
    "a": COMMON_FIELDS
    | {
        "agent_id",
        "agent_version",
        "name",
        "role",
        "stop_reason",
        "created_by_tool_use_id",
    },
    "b": COMMON_FIELDS | {"stats", "usage"},
}
AGENT_FIELDS: dict[Revision, set[str]] = {
    "a": {"id", "type", "name", "model", "version"},
    "b": {"id", "type", "version"},
}

both_revisions = pytest.mark.parametrize("revision", ["a", "b"])


def make_world(*sizes: int, seed: int = 0, revision: Revision = "a") -> World:
    """Return a world whose clock stands still until it is advanced."""
    return World(sizes, seed=seed, revision=revision, clock=lambda: NOW)


def list_all(world: World) -> list[dict[str, Any]]:
    """Return the threads of every session."""
    return [thread for session_id in world.sessions for thread in world.list_threads(session_id)]


def parse(stamp: str) -> datetime:
    """Return the instant; digits below the microsecond are cut."""
    return datetime.fromisoformat(stamp)


@both_revisions
def test_the_seed_decides_everything(revision: Revision) -> None:
    """Two worlds of one seed show the same threads at the same instants; another seed does not."""
    one, same, other = (make_world(0, 1, 40, seed=seed, revision=revision) for seed in (7, 7, 8))
    for _ in range(3):
        assert list_all(one) == list_all(same)
        assert list_all(one) != list_all(other)
        for world in (one, same, other):
            world.advance(300)


@both_revisions
def test_ids_names_and_titles_are_as_long_and_odd_as_those_in_the_field(revision: Revision) -> None:
    """Ids of 37 to 39 characters begin alike; names repeat, and are long, or in any script."""
    world = make_world(*[9] * 60, revision=revision)
    threads = list_all(world)
    ids: dict[str, set[str]] = {
        "sess": set(world.sessions),
        "sthr": {thread["id"] for thread in threads},
        "agent": {thread["agent"]["id"] for thread in threads},
    }
    lengths = {prefix: {len(id_) for id_ in of} for prefix, of in ids.items()}
    assert lengths == {"sess": {37, 38, 39}, "sthr": {37}, "agent": {38}}
    assert all(id_.startswith(f"{prefix}_019f") for prefix, of in ids.items() for id_ in of)
    assert [len(ids[prefix]) for prefix in ids] == [60, len(threads), 13]
    titles = [plan.title for plan in world.sessions.values()]
    assert len(set(titles)) == len(titles)
    assert max(map(len, titles)) > 80
    if revision == "a":
        named = {thread["agent_id"]: thread["agent"]["name"] for thread in threads}
        assert len(set(named.values())) < len(named)
        assert max(map(len, named.values())) > 80
        assert not all(name.isascii() for name in named.values())


@both_revisions
def test_an_empty_session_gets_its_coordinator_by_being_listed(revision: Revision) -> None:
    """The first listing, and no other, creates a coordinator that is born at that instant."""
    world = make_world(0, revision=revision)
    (session_id,) = world.sessions
    world.advance(60)
    (coordinator,) = world.list_threads(session_id)
    assert coordinator["parent_thread_id"] is None
    assert coordinator["status"] == "running"
    assert parse(coordinator["created_at"]) == NOW + timedelta(seconds=60)
    assert coordinator["updated_at"] == coordinator["created_at"]
    assert world.list_threads(session_id) == [coordinator]
    world.advance(600)
    (later,) = world.list_threads(session_id)
    assert later["id"] == coordinator["id"]
    assert later["created_at"] == coordinator["created_at"]


@pytest.mark.parametrize("size", [1, 2, 40])
def test_a_session_holds_as_many_threads_as_it_was_given(size: int) -> None:
    """Once the last thread is born, a session of size n lists n threads."""
    world = make_world(size)
    (session_id,) = world.sessions
    world.advance(1_000_000)
    assert len(world.list_threads(session_id)) == size


@both_revisions
def test_time_adds_threads_and_loses_none(revision: Revision) -> None:
    """Advancing moves statuses and adds threads; what was listed stays, born as before."""
    world = make_world(60, revision=revision)
    (session_id,) = world.sessions
    begin = {thread["id"]: thread for thread in world.list_threads(session_id)}
    before = begin
    for _ in range(5):
        world.advance(600)
        after = {thread["id"]: thread for thread in world.list_threads(session_id)}
        assert before.keys() <= after.keys()
        for thread_id, thread in before.items():
            assert after[thread_id]["created_at"] == thread["created_at"]
            assert parse(after[thread_id]["updated_at"]) >= parse(thread["updated_at"])
        before = after
    assert len(before) > len(begin)
    assert any(before[thread_id]["status"] != begin[thread_id]["status"] for thread_id in begin)


def test_advancing_moves_the_clock_so_far_and_no_further() -> None:
    """The present is the clock's plus every advance."""
    world = make_world(1)
    world.advance(90)
    world.advance(0.5)
    assert world.now() == NOW + timedelta(seconds=90.5)


@both_revisions
def test_no_thread_is_updated_before_its_birth_or_in_the_future(revision: Revision) -> None:
    """At any instant created_at <= updated_at <= now; an archived thread ends when archived."""
    world = make_world(0, 1, 40, revision=revision)
    for _ in range(4):
        threads = list_all(world)
        for thread in threads:
            updated = parse(thread["updated_at"])
            assert parse(thread["created_at"]) <= updated <= world.now()
            assert thread["archived_at"] in {None, thread["updated_at"]}
        assert any(thread["archived_at"] for thread in threads)
        world.advance(700)


@both_revisions
def test_every_parent_is_listed_in_the_same_session(revision: Revision) -> None:
    """A session has one coordinator, and the parent of each other thread is listed beside it."""
    world = make_world(0, 1, 40, 40, revision=revision)
    for _ in range(4):
        for session_id in world.sessions:
            threads = world.list_threads(session_id)
            ids = {thread["id"] for thread in threads}
            parents = [thread["parent_thread_id"] for thread in threads]
            assert {thread["session_id"] for thread in threads} == {session_id}
            assert len(ids) == len(threads)
            assert parents.count(None) == 1
            assert set(parents) <= ids | {None}
        world.advance(700)


@both_revisions
def test_a_thread_has_the_fields_of_its_revision(revision: Revision) -> None:
    """Threads have the revision's documented fields, no more and no fewer, and its statuses."""
    threads = list_all(make_world(0, 200, revision=revision))
    assert all(thread.keys() == FIELDS[revision] for thread in threads)
    assert all(thread["agent"].keys() == AGENT_FIELDS[revision] for thread in threads)
    assert {thread["status"] for thread in threads} == set(STATUSES[revision])


def test_revision_a_repeats_the_agent_and_names_the_role() -> None:
    """The flat fields of revision A agree with the agent and the parent they stand for."""
    for thread in list_all(make_world(0, 40)):
        is_child = thread["parent_thread_id"] is not None
        assert thread["agent_id"] == thread["agent"]["id"]
        assert thread["agent_version"] == thread["agent"]["version"]
        assert thread["role"] == ("child" if is_child else "coordinator")
        assert thread["name"] == (thread["agent"]["name"] if is_child else "")
        assert (thread["created_by_tool_use_id"] is not None) == is_child
        assert (thread["status"] == "archived") == (thread["archived_at"] is not None)
        assert (thread["stop_reason"] == {}) == (thread["status"] in {"running", "blocked"})


def test_revision_b_has_stats_for_closed_threads_alone() -> None:
    """In revision B an archived thread is terminated, and terminated threads alone have stats."""
    threads = list_all(make_world(0, 200, revision="b"))
    for thread in threads:
        is_closed = thread["status"] == "terminated"
        assert is_closed or thread["archived_at"] is None
        assert (thread["stats"] is not None) == (thread["usage"] is not None) == is_closed
        if is_closed:
            life = parse(thread["updated_at"]) - parse(thread["created_at"])
            # Both ends are cut to a microsecond and the duration to a millisecond.
            assert thread["stats"]["duration_seconds"] == pytest.approx(
                life.total_seconds(), abs=0.001
            )
            assert 0 < thread["stats"]["active_seconds"] <= thread["stats"]["duration_seconds"]
    closed = [thread for thread in threads if thread["status"] == "terminated"]
    assert {thread["archived_at"] is None for thread in closed} == {True, False}
    # Waiting is no activity.
    assert any(
        thread["stats"]["active_seconds"] < thread["stats"]["duration_seconds"] for thread in closed
    )


def test_revision_a_lists_by_birth() -> None:
    """Revision A lists the eldest first."""
    births = [parse(thread["created_at"]) for thread in list_all(make_world(40))]
    assert len(births) > 1
    assert births == sorted(births)


def test_revision_b_lists_the_coordinator_first_and_then_by_id() -> None:
    """Revision B's order is not by time: the coordinator, then its children by id."""
    coordinator, *children = list_all(make_world(40, revision="b"))
    ids = [thread["id"] for thread in children]
    births = [parse(thread["created_at"]) for thread in children]
    assert coordinator["parent_thread_id"] is None
    assert ids == sorted(ids)
    assert births != sorted(births)


def test_statuses_choose_the_threads_that_have_them_now() -> None:
    """A listing with statuses is the whole listing without the threads of other statuses."""
    world = make_world(60)
    (session_id,) = world.sessions
    wanted = {"idle", "archived"}
    threads = world.list_threads(session_id)
    chosen = [thread for thread in threads if thread["status"] in wanted]
    assert {thread["status"] for thread in chosen} == wanted
    assert world.list_threads(session_id, wanted) == chosen != threads


def test_instants_come_in_several_precisions() -> None:
    """Instants end in Z and have microseconds or nanoseconds, as servers of the field send both."""
    stamps = [thread["created_at"] for thread in list_all(make_world(200))]
    assert all(stamp.endswith("Z") for stamp in stamps)
    assert {len(stamp.partition(".")[2]) - 1 for stamp in stamps} == {6, 9}


def test_an_unknown_session_is_a_key_error() -> None:
    """Listing a session that is not of this world raises KeyError and creates nothing."""
    world = make_world(1)
    sessions = list(world.sessions)
    with pytest.raises(KeyError):
        world.list_threads("sess_unknown")
    assert list(world.sessions) == sessions


def test_drawn_sizes_hold_an_empty_session_and_the_largest() -> None:
    """A fleet of n sessions has n sizes: an empty one, the largest, and the rest in between."""
    sizes = draw_sizes(100, 50, seed=1)
    assert sizes[:2] == [0, 50]
    assert len(sizes) == 100
    assert all(1 <= size <= 50 for size in sizes[1:])
    assert sizes == draw_sizes(100, 50, seed=1) != draw_sizes(100, 50, seed=2)
    assert [draw_sizes(count, 50) for count in range(3)] == [[], [0], [0, 50]]
