"""What earlier runs have brought: what a plan follows from."""

from __future__ import annotations

import msgspec

from pipelines.extract.evidence import Evidence
from pipelines.records import KnownThreads

# A source, and a session of it.
SessionKey = tuple[str, str]


class Registered(msgspec.Struct, frozen=True):
    """What the registry says of a session: where it came from, and whether it is asked for.

    It was asked for last `asked_at` (microseconds since 1970, by the server's clock if ours was
    wrong: by so many seconds ahead), None if it never was.
    """

    label: str | None
    origin: str
    state: str
    asked_at: int | None = None
    clock_skew_seconds: float | None = None


class LastListing(msgspec.Struct, frozen=True):
    """A session's last complete poll, and what its object had said before its first request.

    It began `at` (microseconds since 1970), in the run of that `sequence`, and brought so many
    `pages`; `is_newest` is false if a later poll was not complete. The session `may_rest` while its
    object says the same. It is a suspect if its threads had changed and the object had not.
    `reading` says how its pages were read.
    """

    at: int
    sequence: int = 0
    pages: int = 1
    is_newest: bool = True
    evidence: Evidence | None = None
    may_rest: bool = False
    is_suspect: bool = False
    reading: str | None = None


class Trials(msgspec.Struct, frozen=True):
    """What became of a source's evidence when it was tested, since a change was last missed.

    So many changes of so many sessions were announced, from `first_at` to `last_at`. Times are
    microseconds since 1970, or None if there was no such change.
    """

    announced: int = 0
    sessions: int = 0
    first_at: int | None = None
    last_at: int | None = None
    missed_at: int | None = None


class History(msgspec.Struct, frozen=True):
    """What earlier runs have brought.

    `listings` are the last complete polls; `answered` are the sessions that were complete once, or
    that the server last said are gone or forbidden; `statuses` were ever seen; `known` are the
    threads; `registry` is what is known of each session, and `trials` of each source's evidence.
    `newest_sequence` is the highest number of a run, None if nobody could read it.
    """

    listings: dict[SessionKey, LastListing] = {}
    answered: frozenset[SessionKey] = frozenset()
    statuses: frozenset[str] = frozenset()
    registry: dict[SessionKey, Registered] = {}
    known: KnownThreads = KnownThreads()
    trials: dict[str, Trials] = {}
    newest_sequence: int | None = None
