"""Which sessions rest: a pure function, so what it promises is tested on any input."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.polling import Polling
from pipelines.extract.discover import SourceSessions
from pipelines.extract.evidence import Evidence, may_rest, read_evidence
from pipelines.extract.history import History, LastListing, Trials
from pipelines.extract.plan import PlannedSource, plan_polls
from pipelines.extract.resting import (
    DAY_US,
    HOUR_US,
    MISS_US,
    Present,
    choose,
    count_reasons,
    find_due,
    is_trustworthy,
)
from pipelines.providers.session import Session
from pipelines.records import ScopedSession, Selection
from tests.support import make_source

MINUTE = 60_000_000
NOW = 1_790_000_000_000_000
POLLING = Polling()
UPDATED = NOW - 9 * HOUR_US
SAID = Evidence("idle", UPDATED, None, '{"input_tokens": 1}')
TRUSTED = Trials(60, 10, NOW - 4 * DAY_US, NOW - DAY_US)
# The turn of the only session of a source comes when a period begins.
EARLIER = NOW // (8 * HOUR_US) * 8 * HOUR_US + MINUTE
LAST = LastListing(EARLIER, evidence=SAID, may_rest=True, reading="r")
S = ScopedSession("s", None, "discovered")


def choose_one(
    said: Evidence | None = SAID,
    session: ScopedSession = S,
    trials: Trials = TRUSTED,
    polling: Polling = POLLING,
    at: int | None = EARLIER + MINUTE,
    **last: Any,
) -> str:
    """Return the reason for a session that is alone in its source, and quiet but for this."""
    present = Present({"s": said} if said else {}, at)
    listings = {"s": msgspec.structs.replace(LAST, **last)}
    (choice,), _ = choose([session], listings, present, trials, polling, "r")
    return choice.reason


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "resting"),
        ({"said": msgspec.structs.replace(SAID, status="terminated")}, "changed"),
        ({"said": msgspec.structs.replace(SAID, updated_at=UPDATED + 1)}, "changed"),
        ({"said": msgspec.structs.replace(SAID, updated_at=None)}, "changed"),
        ({"said": msgspec.structs.replace(SAID, archived_at=NOW)}, "changed"),
        ({"said": msgspec.structs.replace(SAID, tokens=None)}, "changed"),
        ({"said": None}, "no evidence"),
        ({"evidence": None}, "no evidence"),
        ({"at": None}, "no evidence"),
        ({"is_newest": False}, "incomplete"),
        ({"may_rest": False}, "running"),
        ({"reading": "q"}, "read otherwise"),
        ({"reading": None}, "read otherwise"),
        ({"at": EARLIER - 1}, "impossible age"),
        ({"at": EARLIER + 8 * HOUR_US}, "due"),
        ({"is_suspect": True}, "untrusted"),
        ({"trials": Trials()}, "untrusted"),
        ({"polling": Polling(strategy="full")}, "full"),
        ({"session": ScopedSession("s", None, "configured")}, "full"),
        ({"session": ScopedSession("s", None, "file")}, "full"),
        ({"session": ScopedSession("s", None, "discovered", is_leaving=True)}, "leaving"),
    ],
)
def test_reasons(changes: dict[str, Any], expected: str) -> None:
    """A session rests if nothing points to news and its source is trusted, and not otherwise."""
    assert choose_one(**changes) == expected


def test_named_sessions_rest_if_asked_to() -> None:
    """Sessions that someone named rest where the strategy is adaptive for all."""
    named = ScopedSession("s", None, "configured")
    assert choose_one(session=named, polling=Polling(strategy="adaptive")) == "resting"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"announced": 59}, False),
        ({"sessions": 9}, False),
        ({"last_at": NOW - DAY_US - 1}, False),
        ({"first_at": None}, False),
        ({"last_at": None}, False),
        ({"missed_at": NOW - MISS_US + 1}, False),
        ({"missed_at": NOW - MISS_US}, True),
        ({"missed_at": NOW + 1}, False),
    ],
)
def test_trust(changes: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    """Sixty changes of ten sessions over three days, and none missed for thirty."""
    trials = msgspec.structs.replace(TRUSTED, **changes)
    assert is_trustworthy(trials, 1_000, NOW, POLLING) is expected
    assert not is_trustworthy(trials, 1_000, None, POLLING)


def test_trust_of_small_sources() -> None:
    """Where there are fewer than ten sessions, all of them must have announced a change."""
    few = msgspec.structs.replace(TRUSTED, sessions=4)
    assert is_trustworthy(few, 4, NOW, POLLING)
    assert not is_trustworthy(few, 5, NOW, POLLING)


@pytest.mark.parametrize(
    ("status", "updated_at", "asked_at", "expected"),
    [
        ("idle", NOW - MINUTE - 1, NOW, True),
        ("terminated", NOW - MINUTE - 1, NOW, True),
        ("idle", NOW - MINUTE, NOW, False),
        ("idle", NOW + 1, NOW, False),
        ("idle", None, NOW, False),
        ("idle", 0, None, False),
        ("running", 0, NOW, False),
        ("rescheduling", 0, NOW, False),
        ("Idle", 0, NOW, False),
        (None, 0, NOW, False),
    ],
)
def test_what_may_rest(
    status: str | None,
    updated_at: int | None,
    asked_at: int | None,
    expected: bool,  # noqa: FBT001
) -> None:
    """A session may rest if none of its threads runs, and its last change is a minute old."""
    assert may_rest(Evidence(status, updated_at), asked_at) is expected


def test_what_is_evidence() -> None:
    """Counts of tokens are evidence, numbers that grow by themselves and prices are none."""
    usage: dict[str, Any] = {
        "output_tokens": 2,
        "input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ratio": 0.5},
        "active_seconds": 9.5,
        "list_cost": {"amount": "7"},
    }
    session = Session("s", status="idle", updated_at="2026-10-01T00:00:00Z", usage=usage)
    evidence = read_evidence(session)
    assert evidence.status == "idle"
    assert evidence.updated_at == 1_790_812_800_000_000
    assert evidence.tokens == (
        '{"cache_creation.ephemeral_5m_input_tokens": 3, "input_tokens": 1, "output_tokens": 2}'
    )
    usage |= {"active_seconds": 10.5, "list_cost": {"amount": "8"}}
    assert read_evidence(session) == evidence
    assert read_evidence(Session("s", usage={})) == Evidence()
    assert read_evidence(Session("s", updated_at="soon")) == Evidence()


IDS = st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=12)
STATUSES = st.sampled_from(["idle", "terminated", "running", "odd", None])
TIMES = st.one_of(st.none(), st.integers(NOW - 10 * HOUR_US, NOW + HOUR_US))
SAYS = st.builds(Evidence, STATUSES, TIMES)
LISTINGS = st.builds(
    LastListing,
    at=st.integers(NOW - 10 * HOUR_US, NOW + HOUR_US),
    is_newest=st.booleans(),
    evidence=st.one_of(st.none(), st.just(SAID), SAYS),
    may_rest=st.booleans(),
    is_suspect=st.booleans(),
    reading=st.sampled_from(["r", "q", None]),
)
TRIALS = st.sampled_from([TRUSTED, Trials(), msgspec.structs.replace(TRUSTED, missed_at=NOW)])


@st.composite
def situations(draw: st.DrawFn) -> tuple[SourceSessions, History]:
    """Draw what a source says now, and what is known of it."""
    ids = draw(IDS)
    origins = st.sampled_from(["discovered", "configured", "file"])
    sessions = tuple(ScopedSession(id_, None, draw(origins), draw(st.booleans())) for id_ in ids)
    present = Present(
        {id_: draw(st.one_of(st.just(SAID), SAYS)) for id_ in ids if draw(st.booleans())},
        draw(st.sampled_from([NOW, None])),
    )
    listings = {("qoder", id_): draw(LISTINGS) for id_ in ids if draw(st.booleans())}
    trials = {"qoder": draw(TRIALS)}
    found = SourceSessions(make_source(), sessions, present=present)
    return found, History(listings=listings, trials=trials)


def plan(
    situation: tuple[SourceSessions, History], selection: Selection | None = None
) -> PlannedSource:
    """Plan a run of one source."""
    found, history = situation
    (planned,) = plan_polls(
        [found], selection or Selection(), history, readings={found.source.provider: "r"}
    )
    return planned


@given(situations())
def test_who_never_rests(situation: tuple[SourceSessions, History]) -> None:
    """Whoever rests is quiet, complete and read as it would be now, in a source that is trusted.

    The same inputs give the same plan, in which everyone is once; a full run asks everyone.
    """
    found, history = situation
    planned = plan(situation)
    assert planned == plan(situation)
    assert [choice.session for choice in planned.choices] == list(found.sessions)
    asked = {session.id for session in planned.sessions}
    resting = {choice.session.id for choice in planned.choices if not choice.is_asked}
    assert asked | resting == {session.id for session in found.sessions}
    assert not asked & resting
    suspects = [last for last in history.listings.values() if last.is_suspect]
    for session in found.sessions:
        if session.id in resting:
            last = history.listings["qoder", session.id]
            assert history.trials["qoder"] == TRUSTED
            assert session.origin == "discovered"
            assert not session.is_leaving
            assert last.is_newest and last.may_rest and last.reading == "r"  # noqa: PT018
            assert 0 <= NOW - last.at <= 8 * HOUR_US
            assert found.present.evidence[session.id] == last.evidence
            assert last not in suspects
    assert sum(count_reasons(planned.choices).values()) == len(found.sessions)
    full = plan(situation, Selection(is_full=True))
    assert len(full.sessions) == len(found.sessions)


def test_nothing_known() -> None:
    """Of an empty registry nothing is asked."""
    planned = plan((SourceSessions(make_source(), ()), History()))
    assert (planned.sessions, planned.choices) == ((), ())


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=60),
    st.integers(1, 40),
    st.integers(1, 12),
)
def test_nobody_waits_longer(steps: list[int], sessions: int, hours: int) -> None:
    """Nobody waits longer than full_listing_hours and the time between two runs."""
    ids = [f"s{number}" for number in range(sessions)]
    now, period = NOW, hours * HOUR_US
    listings = dict.fromkeys(ids, LastListing(now))
    for step in steps:
        now += step * MINUTE
        due = find_due(ids, listings, now, period)
        listings |= dict.fromkeys(due, LastListing(now))
        assert all(now - last.at < period for last in listings.values())


def test_turns_are_spread_evenly() -> None:
    """Of 1,000 quiet sessions, 31 or 32 have their turn in each of the runs of eight hours."""
    ids = [f"sess_{number}" for number in range(1_000)]
    listings = dict.fromkeys(ids, LastListing(NOW))
    counts = []
    for number in range(1, 65):
        now = NOW + number * 15 * MINUTE
        due = find_due(ids, listings, now, 8 * HOUR_US)
        listings |= dict.fromkeys(due, LastListing(now))
        counts.append(len(due))
    assert set(counts) == {31, 32}
    assert sum(counts) == 2_000
