"""What a run asks, and in which order: a function of sessions, selection and history alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SettingsError
from pipelines.extract.discover import SourceSessions, name_sessions
from pipelines.extract.history import History, LastListing
from pipelines.extract.plan import plan_polls
from pipelines.records import Selection
from tests.support import make_source

if TYPE_CHECKING:
    from collections.abc import Sequence


def plan(
    ids: Sequence[str], selection: Selection | None = None, history: History | None = None
) -> SourceSessions:
    """Plan the polls of one source with a deadline of a minute."""
    source = make_source(sessions=list(ids))
    found = [SourceSessions(source, tuple(name_sessions(source).values()))]
    (planned,) = plan_polls(found, selection or Selection(), history, 60)
    return planned


def polled(**numbers: int) -> History:
    """Return a history in which these sessions were complete last in these runs."""
    return History({("qoder", id_): LastListing(0, n) for id_, n in numbers.items()})


def order(planned: SourceSessions) -> str:
    """Return the ids in the order of their turn."""
    return "".join(session.id for session in planned.sessions)


@pytest.mark.parametrize(
    ("ids", "history", "expected"),
    [
        ("abc", polled(), "abc"),
        ("abc", polled(a=3, b=1, c=2), "bca"),
        ("abcd", polled(a=9, b=7), "bcad"),
        ("abcdef", polled(f=1), "fabcde"),
        ("ab", History({("other", "b"): LastListing(0, 1)}), "ab"),
    ],
)
def test_order(ids: str, history: History, expected: str) -> None:
    """The oldest last complete poll comes first; new sessions take turns with them."""
    assert order(plan(ids, history=history)) == expected


@given(st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 99)))
def test_nobody_is_left_out(numbers: dict[str, int]) -> None:
    """Every session has one turn; the one that waited longest is among the first two."""
    planned = order(plan("abcdefghij", history=polled(**numbers)))
    assert sorted(planned) == list("abcdefghij")
    if numbers:
        assert numbers[planned[0]] == min(numbers.values())


def test_deadline() -> None:
    """A source that was never listed whole has no deadline."""
    both = frozenset({("qoder", "a"), ("qoder", "b")})
    assert plan("ab").deadline_s is None
    assert plan("ab", history=History(answered=both)).deadline_s == 60
    assert plan("abc", history=History(answered=both)).deadline_s is None
    assert plan("abc", Selection(sessions=("a",)), History(answered=both)).deadline_s is None
    others = frozenset({("other", "a"), ("other", "b")})
    assert plan("ab", history=History(answered=others)).deadline_s is None


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("runing", "--status runing: no thread was ever in this status. Did you mean running?"),
        ("Idle", "--status Idle: no thread was ever in this status. Did you mean idle?"),
        ("zzz", "Known are archived, blocked, "),
        ("", "--status '': names no status"),
    ],
)
def test_statuses_that_nobody_knows(status: str, line: str) -> None:
    """A status that is neither documented nor in the data is rejected before any request."""
    with pytest.raises(SettingsError) as raised:
        plan("a", Selection(statuses=("running", status)))
    assert line in str(raised.value)


def test_statuses_of_the_data() -> None:
    """A status that the server has sent may be asked for, documented or not."""
    history = History(statuses=frozenset({"zzz"}))
    assert plan("a", Selection(statuses=("zzz", "idle")), history)
