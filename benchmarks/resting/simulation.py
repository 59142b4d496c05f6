"""Sources that are polled for days, simulated: the plan is the product's, what is loaded is not.

Each session has one number, the count of its changes: what is known of it must be what it was when
it was listed last.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pipelines.config.polling import Polling
from pipelines.extract.evidence import Evidence, may_rest
from pipelines.extract.history import LastListing, Trials
from pipelines.extract.resting import DAY_US, HOUR_US, MISS_US, Present, choose
from pipelines.records import ScopedSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECOND = 1_000_000
INTERVAL = 15 * 60 * SECOND
START = 1_790_000_000 * SECOND
POLLING = Polling()
DAYS = 10
POLLS_A_DAY = DAY_US // INTERVAL
LONG_AGO = START - 240 * HOUR_US
# A listing takes so long, and what is changed while it lasts has changed by then.
LISTING = 2 * SECOND


@dataclass(frozen=True)
class Kind:
    """How the objects of a source's sessions behave, and how often its listings fail.

    Changes are missed only `lies_after` so many days.
    """

    name: str
    missed: float = 0.0
    lag: int = 0
    status: str = "idle"
    fails: float = 0.0
    is_busy: bool = False
    lies_after: int = 0


KINDS = (
    Kind("honest"),
    Kind("says nothing", missed=1.0),
    Kind("misses one change in ten", missed=0.1),
    Kind("misses one change in ten after five days", missed=0.1, lies_after=5),
    Kind("misses one change in a hundred", missed=0.01),
    Kind("lags by ten seconds", lag=10 * SECOND),
    Kind("always running", status="running"),
    Kind("every eighth listing breaks off", fails=0.125),
    Kind("all change while they are listed", is_busy=True),
)


@dataclass
class Simulated:
    """A session: when it changed, which of that its object says, and what is known of it.

    Its last `failures` listings broke off.
    """

    changes: list[int] = field(default_factory=list)
    said: list[int] = field(default_factory=list)
    known: int = 0
    listed_at: int = START
    failures: int = 0


class Source:
    """A simulated source, polled every quarter of an hour."""

    def __init__(self, kind: Kind, size: int, rate: float, seed: int) -> None:
        self.kind, self.rate, self.draw = kind, rate, random.Random(seed)  # noqa: S311 - made up
        self.sessions = {f"s{number}": Simulated() for number in range(size)}
        self.scoped = [ScopedSession(id_, None, "discovered") for id_ in self.sessions]
        self.listings: dict[str, LastListing] = {}
        self.says = dict.fromkeys(self.sessions, Evidence(kind.status, LONG_AGO))
        self.news: set[str] = set()
        self.suspects: set[str] = set()
        self.trials = Trials()
        self.announcing: set[str] = set()
        self.now = START
        self.asked: list[int] = []
        self.trusted: list[bool] = []

    def poll(self) -> None:
        """Let the sessions change, and take a run."""
        for id_ in () if self.kind.is_busy else self.draw_changed():
            self.change(id_, self.now + self.draw.randrange(3 * SECOND, INTERVAL))
        self.now += INTERVAL
        self.say()
        choices, is_trusted = choose(
            self.scoped, self.listings, Present(self.says, self.now), self.trials, POLLING, None
        )
        self.settle_suspects()
        asked = [choice.session.id for choice in choices if choice.is_asked]
        for id_ in asked:
            self.list(id_)
        self.check(asked)
        self.asked.append(len(asked))
        self.trusted.append(is_trusted)

    def draw_changed(self) -> Iterator[str]:
        """Yield the sessions that change before the next poll, each with the same chance."""
        ids, place = list(self.sessions), -1
        while True:
            place += 1 + int(math.log(1 - self.draw.random()) / math.log(1 - self.rate))
            if place >= len(ids):
                return
            yield ids[place]

    def change(self, id_: str, at: int) -> None:
        """Change a session, and let its object say so, or not."""
        session = self.sessions[id_]
        session.changes.append(at)
        is_honest = at < START + self.kind.lies_after * DAY_US
        if is_honest or self.draw.random() >= self.kind.missed:
            session.said.append(at)
            self.news.add(id_)

    def say(self) -> None:
        """Let the sessions' objects say what they say now."""
        for id_ in list(self.news):
            said = self.sessions[id_].said
            by_now = bisect_right(said, self.now - self.kind.lag)
            if by_now:
                self.says[id_] = Evidence(self.kind.status, said[by_now - 1])
            if by_now == len(said):
                self.news.remove(id_)

    def list(self, id_: str) -> None:
        """List a session in full, and test its evidence; or let the listing break off."""
        session, last, said = self.sessions[id_], self.listings.get(id_), self.says[id_]
        if self.kind.fails and self.draw.random() < self.kind.fails:
            session.failures += 1
            if last:
                self.listings[id_] = replace(last, is_newest=False)
            return
        if self.kind.is_busy:
            self.change(id_, self.now + SECOND)
        count = bisect_right(session.changes, self.now + LISTING)
        is_tested = last is not None and last.may_rest and count != session.known
        is_suspect = is_tested and last is not None and said == last.evidence
        if is_suspect:
            self.suspects.add(id_)
        elif is_tested:
            self.announcing.add(id_)
            self.trials = Trials(
                self.trials.announced + 1,
                len(self.announcing),
                self.trials.first_at or self.now,
                self.now,
                self.trials.missed_at,
            )
        session.known, session.listed_at, session.failures = count, self.now, 0
        self.listings[id_] = LastListing(
            self.now, evidence=said, may_rest=may_rest(said, self.now), is_suspect=is_suspect
        )

    def settle_suspects(self) -> None:
        """Count those of which nothing is said still as misses, and forget the others."""
        for id_ in self.suspects:
            last = self.listings[id_]
            if last.evidence == self.says[id_]:
                self.trials, self.announcing = Trials(missed_at=self.now), set()
            self.listings[id_] = replace(last, is_suspect=False)
        self.suspects = set()

    def check(self, asked: Iterable[str]) -> None:
        """Hold what resting promises: nothing known is wrong, only older, and not too old."""
        for id_ in asked:
            session = self.sessions[id_]
            true = sum(at <= session.listed_at + LISTING for at in session.changes[-9:])
            assert session.known == true + len(session.changes[:-9])  # noqa: S101
        longest = POLLING.full_listing_hours * HOUR_US + INTERVAL
        for session in self.sessions.values():
            age = self.now - session.listed_at
            assert age <= longest + session.failures * INTERVAL  # noqa: S101


def simulate(kind: Kind, size: int, rate: float, seed: int) -> dict[str, Any]:
    """Poll a source for ten days; return when it was trusted, for how long, and what that cost.

    `found` is after how many polls the first change was found that had been missed. Where one was,
    nobody is trusted for longer than what is left of the world: its end is not simulated.
    """
    assert MISS_US > DAYS * DAY_US  # noqa: S101
    source = Source(kind, size, rate, seed)
    while len(source.trusted) < DAYS * POLLS_A_DAY and source.trials.missed_at is None:
        source.poll()
    streaks = measure_streaks(source.trusted)
    costs = [
        asked / size for asked, trusted in zip(source.asked, source.trusted, strict=True) if trusted
    ]
    is_found, honest = source.trials.missed_at is not None, kind.lies_after * POLLS_A_DAY
    return {
        "first": source.trusted.index(True) / POLLS_A_DAY if streaks else None,
        "longest": max(streaks, default=0) / POLLS_A_DAY,
        "found": len(source.trusted) - honest if is_found else None,
        "asked": sum(costs) / len(costs) if costs else 1.0,
    }


def measure_streaks(trusted: list[bool]) -> list[int]:
    """Return how many polls long each stretch of trust is."""
    text = "".join("x" if each else " " for each in trusted)
    return [len(streak) for streak in text.split()]
