"""Which sessions rest in a run: a function of what is known, what the source says, and time."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from pipelines.extract.evidence import Evidence
from pipelines.records import ScopedSession

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pipelines.config.polling import Polling
    from pipelines.extract.history import LastListing, Trials

Reason = Literal[
    "full",
    "leaving",
    "new",
    "incomplete",
    "impossible age",
    "read otherwise",
    "no evidence",
    "changed",
    "running",
    "untrusted",
    "due",
    "resting",
]
MICROSECOND = timedelta(microseconds=1)
HOUR_US = timedelta(hours=1) // MICROSECOND
DAY_US = 24 * HOUR_US
# So many sessions must have announced changes, or all there are, for their source to be trusted.
TRUST_SESSIONS = 10
# So long a change that was not announced counts against it.
MISS_US = 30 * DAY_US


class Choice(msgspec.Struct, frozen=True):
    """What a plan says of a session: whether it is asked, why, and how many pages it had last."""

    session: ScopedSession
    reason: Reason
    pages: int = 1

    @property
    def is_asked(self) -> bool:
        """Whether the session is asked; if not, it rests."""
        return self.reason != "resting"


class Present(msgspec.Struct, frozen=True):
    """What the list of a source's sessions says, by their ids, and when it began.

    `at` is in microseconds since 1970, by the server's clock if ours is wrong; None if there is no
    list.
    """

    evidence: dict[str, Evidence] = {}
    at: int | None = None


def choose(
    sessions: Sequence[ScopedSession],
    listings: Mapping[str, LastListing],
    present: Present,
    trials: Trials,
    polling: Polling,
    reading: str | None = None,
) -> tuple[list[Choice], bool]:
    """Return which sessions of a source are asked, and why, and whether its evidence is trusted.

    Trust ends within the run: if a change was missed, no session rests. `reading` says how pages
    are read now.
    """
    adaptive = {session.id for session in sessions if polling.lets_rest(session.origin)}
    due = find_due(adaptive, listings, present.at, polling.full_listing_hours * HOUR_US)
    is_trusted = not find_missed(listings, present) and is_trustworthy(
        trials, len(sessions), present.at, polling
    )
    waiting: Reason = "resting" if is_trusted else "untrusted"
    choices = []
    for session in sessions:
        last = listings.get(session.id)
        reason: Reason
        if session.id not in adaptive:
            reason = "full"
        elif session.is_leaving:
            reason = "leaving"
        elif last is None or present.at is None:
            reason = "new" if last is None else "no evidence"
        else:
            news = find_news(last, present.evidence.get(session.id), present.at, reading)
            reason = news or ("due" if session.id in due else waiting)
        choices.append(Choice(session, reason, max(last.pages, 1) if last else 1))
    return choices, is_trusted


def find_news(
    last: LastListing, said: Evidence | None, now: int, reading: str | None
) -> Reason | None:
    """Return why a session must be listed, whatever is trusted; None if its evidence is quiet."""
    if not last.is_newest:
        return "incomplete"
    if last.at > now:
        return "impossible age"
    if last.reading != reading:
        return "read otherwise"
    if said is None or last.evidence is None:
        return "no evidence"
    if said != last.evidence:
        return "changed"
    return None if last.may_rest else "running"


def find_due(
    session_ids: Collection[str],
    listings: Mapping[str, LastListing],
    now: int | None,
    period: int,
) -> set[str]:
    """Return the sessions whose turn to be listed has come since they were.

    Each has a turn in every period, and turns are spread evenly, by a hash of ids; so nobody waits
    longer than a period and the time between two runs.
    """
    if now is None:
        return set()
    due = set()
    for place, session_id in enumerate(order_turns(frozenset(session_ids))):
        phase = place * period // len(session_ids)
        last = listings.get(session_id)
        if last and (now + phase) // period > (last.at + phase) // period:
            due.add(session_id)
    return due


@lru_cache(maxsize=8)
def order_turns(session_ids: frozenset[str]) -> tuple[str, ...]:
    """Return the sessions in the order of their turns: by a hash of their ids."""
    hashed = sorted((hashlib.blake2b(id_.encode()).digest(), id_) for id_ in session_ids)
    return tuple(id_ for _, id_ in hashed)


def find_missed(listings: Mapping[str, LastListing], present: Present) -> list[str]:
    """Return the suspects of which nothing is said still: their change was not announced."""
    return [
        id_
        for id_, last in listings.items()
        if last.is_suspect and last.evidence and last.evidence == present.evidence.get(id_)
    ]


def is_trustworthy(trials: Trials, sessions: int, now: int | None, polling: Polling) -> bool:
    """Whether so many changes were announced, and none missed, that quiet sessions may rest.

    They are of ten of the source's sessions, or of all.
    """
    if now is None or trials.first_at is None or trials.last_at is None:
        return False
    return (
        trials.announced >= polling.trust_after_changes
        and trials.sessions >= min(TRUST_SESSIONS, sessions)
        and trials.last_at - trials.first_at >= polling.trust_after_days * DAY_US
        and (trials.missed_at is None or now - trials.missed_at >= MISS_US)
    )


def count_reasons(choices: Iterable[Choice]) -> dict[Reason, int]:
    """Return how many sessions are asked, or rest, for each reason, the most frequent first."""
    counts: dict[Reason, int] = {}
    for choice in choices:
        counts[choice.reason] = counts.get(choice.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
