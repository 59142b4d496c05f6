"""What resting costs, and how soon a source that lies is found: simulated on the plan alone.

    python -m benchmarks.resting [SEEDS]

The plan is the product's; what a load makes of each listing is computed here, apart from it. Each
session has one number, the count of its changes: what is known of it must be what it was when it
was listed last. Writes docs/resting.json and docs/polling.svg, for docs/polling.md. Its `requests`
were counted at a server, as tests/warehouse/test_resting_costs.py does with FLEET=1000.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from pipelines.config.polling import Polling
from pipelines.extract.evidence import Evidence, may_rest
from pipelines.extract.history import LastListing, Trials
from pipelines.extract.resting import DAY_US, HOUR_US, Present, choose
from pipelines.records import ScopedSession

RESULTS = Path(__file__).parents[1] / "docs" / "resting.json"
PICTURE = RESULTS.with_name("polling.svg")
SECOND = 1_000_000
INTERVAL = 15 * 60 * SECOND
START = 1_790_000_000 * SECOND
POLLING = Polling()
DAYS = 10
LONG_AGO = START - 240 * HOUR_US


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
    Kind("misses one change in a hundred", missed=0.01),
    Kind("lags by ten seconds", lag=10 * SECOND),
    Kind("always running", status="running"),
    Kind("every eighth listing breaks off", fails=0.125),
    Kind("all change while they are listed", is_busy=True),
)


@dataclass
class Simulated:
    """A session: when it changed, which of that its object says, and what is known of it."""

    changes: list[int] = field(default_factory=list)
    said: list[int] = field(default_factory=list)
    known: int = 0
    listed_at: int = 0


class Source:
    """A simulated source, polled every quarter of an hour."""

    def __init__(self, kind: Kind, size: int, rate: float, seed: int) -> None:
        self.kind, self.rate, self.draw = kind, rate, random.Random(seed)  # noqa: S311 - made up
        self.sessions = {f"s{number}": Simulated() for number in range(size)}
        self.scoped = [ScopedSession(id_, None, "discovered") for id_ in self.sessions]
        self.listings: dict[str, LastListing] = {}
        self.trials = Trials()
        self.announcing: set[str] = set()
        self.now = START
        self.asked: list[int] = []
        self.trusted: list[bool] = []

    def poll(self) -> None:
        """Let the sessions change, and take a run."""
        for session in self.sessions.values():
            if not self.kind.is_busy and self.draw.random() < self.rate:
                self.change(session, self.now + self.draw.randrange(3 * SECOND, INTERVAL))
        self.now += INTERVAL
        present = Present({id_: self.say(s) for id_, s in self.sessions.items()}, self.now)
        choices, is_trusted = choose(
            self.scoped, self.listings, present, self.trials, POLLING, None
        )
        self.settle_suspects(present)
        asked = [choice.session.id for choice in choices if choice.is_asked]
        for id_ in asked:
            self.list(id_, present.evidence[id_])
        self.check()
        self.asked.append(len(asked))
        self.trusted.append(is_trusted)

    def change(self, session: Simulated, at: int) -> None:
        """Change a session, and let its object say so, or not."""
        session.changes.append(at)
        is_honest = at < START + self.kind.lies_after * DAY_US
        if is_honest or self.draw.random() >= self.kind.missed:
            session.said.append(at)

    def say(self, session: Simulated) -> Evidence:
        """Return what a session's object says now."""
        said = [at for at in session.said[-3:] if at + self.kind.lag <= self.now]
        return Evidence(self.kind.status, said[-1] if said else LONG_AGO)

    def list(self, id_: str, said: Evidence) -> None:
        """List a session in full, and test its evidence."""
        session, last = self.sessions[id_], self.listings.get(id_)
        if self.draw.random() < self.kind.fails:
            if last:
                self.listings[id_] = replace(last, is_newest=False)
            return
        if self.kind.is_busy:
            self.change(session, self.now + SECOND)
        count = sum(at <= self.now + 2 * SECOND for at in session.changes)
        is_tested = last is not None and last.may_rest and count != session.known
        is_suspect = is_tested and last is not None and said == last.evidence
        if is_tested and not is_suspect:
            self.announcing.add(id_)
            self.trials = Trials(
                self.trials.announced + 1,
                len(self.announcing),
                self.trials.first_at or self.now,
                self.now,
                self.trials.missed_at,
            )
        session.known, session.listed_at = count, self.now
        self.listings[id_] = LastListing(
            self.now, evidence=said, may_rest=may_rest(said, self.now), is_suspect=is_suspect
        )

    def settle_suspects(self, present: Present) -> None:
        """Count those of which nothing is said still as misses, and forget the others."""
        suspects = [id_ for id_, last in self.listings.items() if last.is_suspect]
        for id_ in suspects:
            last = self.listings[id_]
            if last.evidence == present.evidence[id_]:
                self.trials, self.announcing = Trials(missed_at=self.now), set()
            self.listings[id_] = replace(last, is_suspect=False)

    def check(self) -> None:
        """Hold what resting promises: nothing known is wrong, only older, and not too old."""
        longest = POLLING.full_listing_hours * HOUR_US + INTERVAL
        for id_, session in self.sessions.items():
            then = session.listed_at + 2 * SECOND
            assert session.known == sum(at <= then for at in session.changes)  # noqa: S101
            if self.listings.get(id_) and not self.kind.fails:
                assert self.now - session.listed_at <= longest  # noqa: S101


def replace(last: LastListing, **fields: bool) -> LastListing:
    """Return a listing with other values."""
    return LastListing(**{name: getattr(last, name) for name in last.__struct_fields__} | fields)


def simulate(kind: Kind, size: int, rate: float, seed: int) -> dict[str, Any]:
    """Poll a source for ten days; return when it was trusted, for how long, and what that cost."""
    source = Source(kind, size, rate, seed)
    for _ in range(DAYS * 96):
        source.poll()
    streaks = measure_streaks(source.trusted)
    costs = [
        asked / size for asked, trusted in zip(source.asked, source.trusted, strict=True) if trusted
    ]
    return {
        "first": source.trusted.index(True) / 96 if streaks else None,
        "longest": max(streaks, default=0) / 96,
        "ended": streaks[:-1] if source.trusted[-1] else streaks,
        "asked": statistics.mean(costs) if costs else 1.0,
    }


def measure_streaks(trusted: list[bool]) -> list[int]:
    """Return how many polls long each stretch of trust is."""
    text = "".join("x" if each else " " for each in trusted)
    return [len(streak) for streak in text.split()]


def measure(kind: Kind, size: int, rate: float, seeds: int) -> dict[str, Any]:
    """Return the row of the table: one kind of source, in so many seeds."""
    found = [simulate(kind, size, rate, seed) for seed in range(seeds)]
    trusted = [each for each in found if each["first"] is not None]
    ended = sorted(polls for each in found for polls in each["ended"])
    return {
        "kind": kind.name,
        "sessions": size,
        "changed": rate,
        "seeds": seeds,
        "trusted": len(trusted) / seeds,
        "first_days": statistics.median(each["first"] for each in trusted) if trusted else None,
        "longest_days": max(each["longest"] for each in found),
        "ended_polls": [ended[len(ended) * q // 100] for q in (50, 95)] if ended else None,
        "asked": statistics.mean(each["asked"] for each in trusted) if trusted else None,
    }


def main(seeds: int = 200) -> None:
    """Simulate every kind, small fleets in all seeds and large ones in a few; write it down."""
    rows = []
    for size, rate, count in ((20, 0.01, seeds), (20, 0.05, seeds), (1_000, 0.05, seeds // 50)):
        for kind in KINDS:
            rows.append(measure(kind, size, rate, max(1, count)))
            print(rows[-1], flush=True)  # noqa: T201
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) | {"worlds": rows}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(draw(kept["requests"]), encoding="utf-8")


def draw(requests: list[dict[str, Any]]) -> str:
    """Return the picture of the requests of each poll."""
    chart = (
        alt.Chart(pl.DataFrame(requests))
        .mark_bar(size=14)
        .encode(
            x=alt.X("poll:O", title="poll", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("requests:Q", title="requests"),
            color=alt.Color("kind:N", title=None, sort=None),
        )
        .properties(width=480, height=200)
        .configure_legend(orient="bottom")
    )
    return vl_convert.vegalite_to_svg(chart.to_dict())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
