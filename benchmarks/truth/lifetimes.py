"""Worlds in which lifetimes are hard to see, and what the analyses make of them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.truth.world import (
    DAY,
    HOUR,
    MINUTE,
    Finding,
    Life,
    Row,
    State,
    World,
    build,
    draw,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TYPICAL_S = 8 * HOUR  # mean lifetime, exponential
AGE_S = 8 * HOUR  # at which the share that is open is compared
MEDIAN_S = TYPICAL_S * math.log(2)
OPEN_SHARE = math.exp(-AGE_S / TYPICAL_S)
GIANT, LONGER = 1500, 10  # threads of a giant session, and how much longer they live
ALIKE = 0.5  # standard deviation of the logarithm of sessions' speeds
POLLS = [2 * DAY + 10 * MINUTE + 3 * HOUR * number for number in range(13)]
NEAR = 0.1


@dataclass(frozen=True)
class Scene:
    """How many sessions of how many threads, and how their speeds spread (of the logarithm)."""

    sessions: int = 12
    threads: int = 150
    spread: float = 0.0


def live(chance: np.random.Generator, scene: Scene) -> Iterator[tuple[str, str, float, float]]:
    """Yield session, id, birth and end of threads that are born until the last poll."""
    for session in range(scene.sessions):
        lasts = TYPICAL_S * math.exp(scene.spread * chance.standard_normal())
        for number in range(scene.threads):
            born = chance.random() * POLLS[-1]
            yield (
                f"sess_{session}",
                f"t{session}.{number}",
                born,
                born + lasts * chance.exponential(),
            )


def archive(session: str, id_: str, born: float, end: float) -> Life:
    """Return a thread that runs and is archived."""
    return Life(session, id_, (State(born, "running"), State(end, "archived", is_archived=True)))


def plain(chance: np.random.Generator) -> World:
    """Threads that are archived."""
    return World([archive(*life) for life in live(chance, Scene())], POLLS)


def vanishing(chance: np.random.Generator) -> World:
    """Of half of the threads nothing is listed any more from their end on."""
    threads = [
        Life(session, id_, (State(born, "running"),), leaves=end)
        if chance.random() < 0.5  # noqa: PLR2004
        else archive(session, id_, born, end)
        for session, id_, born, end in live(chance, Scene())
    ]
    # Those that ended before the first poll were never seen.
    return World([life for life in threads if life.leaves > POLLS[0]], POLLS, hides_closed=True)


def late(chance: np.random.Generator) -> World:
    """The server lists no thread that closed before the first poll."""
    return World([archive(*life) for life in live(chance, Scene())], POLLS, hides_closed=True)


def touched(chance: np.random.Generator) -> World:
    """Threads are terminated without archived_at, and touched up to a day later."""
    threads = [
        Life(
            session,
            id_,
            (State(born, "running"), State(end, "terminated", "end_turn")),
            touches=(end + DAY * chance.random(),) if end > POLLS[0] else (),
        )
        for session, id_, born, end in live(chance, Scene())
    ]
    return World(threads, POLLS)


def gone(chance: np.random.Generator) -> World:
    """Half of the sessions are gone from the middle of the polls on."""
    sessions = {f"sess_{number}": POLLS[6] for number in range(0, Scene.sessions, 2)}
    return World([archive(*life) for life in live(chance, Scene())], POLLS, gone=sessions)


def reopened(chance: np.random.Generator) -> World:
    """A third of the threads closes halfway, and runs on after an hour; polled on the full hour."""
    threads = []
    for session, id_, born, end in live(chance, Scene()):
        states = [State(born, "running")]
        if chance.random() < 1 / 3 and end - born > 3 * HOUR:
            halfway = (born + end) / 2
            states += [State(halfway, "terminated", "end_turn"), State(halfway + HOUR, "running")]
        threads.append(Life(session, id_, (*states, State(end, "archived", is_archived=True))))
    return World(threads, [at - 10 * MINUTE for at in POLLS])


def giant(chance: np.random.Generator) -> World:
    """One session of 1,500 threads, each ten times as long, beside sixty of 30."""
    threads = [archive(*life) for life in live(chance, SMALL)]
    for number in range(GIANT):
        born = chance.random() * POLLS[-1]
        end = born + LONGER * TYPICAL_S * chance.exponential()
        threads.append(archive("sess_giant", f"giant.{number}", born, end))
    return World(threads, POLLS)


SMALL = Scene(60, 30)


def alike(chance: np.random.Generator) -> World:
    """Threads of a session are alike: its speed is drawn, as in the comparisons of versions."""
    return World([archive(*life) for life in live(chance, Scene(spread=ALIKE))], POLLS)


WORLDS: dict[str, Callable[[np.random.Generator], World]] = {
    "nothing odd": plain,
    "half of the threads vanish": vanishing,
    "closed ones are not listed at first": late,
    "touched after their end": touched,
    "half of the sessions are gone": gone,
    "a third closes and runs on, polled on the hour": reopened,
    "a giant session": giant,
    "threads of a session are alike": alike,
}


def how_many(_name: str, seeds: int) -> int:
    """Return how many worlds of a kind are worth their time: each is polled many times."""
    return min(seeds, 40)


def assess(name: str, looks: list[Row]) -> Iterator[Finding]:
    """Yield how near medians and shares are to the truth, and how often intervals hold it."""
    yield from compare(name, looks)
    agree = share(seen["agree"] for seen in looks)
    tables = "concurrency, status_over_time, status_distribution"
    yield Finding(tables, name, "worlds in which all hours agree", agree, "≥", 1.0)


def compare(name: str, looks: list[Row]) -> Iterator[Finding]:
    """Yield what the tables of a kind of world say of lifetimes."""
    median, share_open = find_truth(name)
    claims = (
        ("duration_percentiles", "km_p50", ("km_p50", "km_p50_low", "km_p50_high"), median),
        ("survival", "share open after 8 h", ("survival", "ci_low", "ci_high"), share_open),
    )
    for analysis, what, columns, truth in claims:
        # Null is beyond all that was seen.
        values = [[math.inf if seen[c] is None else seen[c] for c in columns] for seen in looks]
        errors = [value / truth - 1 for value, _, _ in values]
        held = [low <= truth <= high for _, low, high in values]
        good = share(abs(error) <= NEAR or h for error, h in zip(errors, held, strict=True))
        claim = "within 10 % of the truth, or the 95 % interval holds it"
        yield Finding(analysis, name, f"{what}: {claim}", good, "≥", 0.95)
        claim = "95 % interval holds the truth"
        yield Finding(analysis, name, f"{what}: {claim}", share(held), "≥", 0.92)
        yield Finding(analysis, name, f"{what}: bias", float(np.mean(errors)), "within", NEAR)
    if not any(seen["failed_share"] for seen in looks):
        yield from compare_typical(name, looks)
    if name == "a giant session":
        near = share(abs(seen["km_p50_of_sessions"] / MEDIAN_S - 1) <= NEAR for seen in looks)
        claim = "km_p50_of_sessions within 10 % of a small session's median"
        yield Finding("duration_percentiles", name, claim, near, "≥", 0.95)


def compare_typical(name: str, looks: list[Row]) -> Iterator[Finding]:
    """Yield what the table of versions says of lifetimes, up to its age, where no thread fails."""
    ages = np.arange(0.5, 10 * DAY / MINUTE) * MINUTE
    ended = -np.diff([np.exp(-np.outer([0, *ages + MINUTE / 2], find_rates(name))).mean(axis=1)])[0]
    errors, held = [], []
    for seen in looks:
        known = np.log(np.minimum(ages, seen["common_age_seconds"]))
        truth = math.exp(float(np.average(known, weights=ended)))
        errors.append(seen["lifetime_seconds"] / truth - 1)
        held.append(seen["lifetime_low_seconds"] <= truth <= seen["lifetime_high_seconds"])
    good = share(abs(error) <= NEAR or h for error, h in zip(errors, held, strict=True))
    claim = "lifetime: within 10 % of the truth, or the 95 % interval holds it"
    yield Finding("agent_versions", name, claim, good, "≥", 0.95)
    yield Finding("agent_versions", name, "lifetime: bias", float(np.mean(errors)), "within", NEAR)


def find_rates(name: str) -> np.ndarray:
    """Return how fast threads of a world close, each as often as it occurs there."""
    means = {
        "a giant session": [TYPICAL_S] * SMALL.sessions * SMALL.threads
        + [LONGER * TYPICAL_S] * GIANT,
        "threads of a session are alike": TYPICAL_S
        * np.exp(ALIKE * np.array([NormalDist().inv_cdf(p) for p in (np.arange(999) + 0.5) / 999])),
    }
    return 1 / np.array(means.get(name, [TYPICAL_S]))


def find_truth(name: str) -> tuple[float, float]:
    """Return the median lifetime of a world's threads, and which share lives for 8 hours."""
    rates = find_rates(name)
    ages = np.arange(0, 10 * DAY, MINUTE)
    shares = np.array([np.exp(-age * rates).mean() for age in ages])
    return float(ages[np.argmax(shares <= 0.5)]), float(np.exp(-AGE_S * rates).mean())  # noqa: PLR2004


def look(name: str, seeds: Iterable[int]) -> list[Row]:
    """Return what the tables say of lifetimes in these worlds, and whether their hours agree."""
    worlds = (WORLDS[name](draw(seed, name)) for seed in seeds)
    return [read(tables) for tables in build(worlds, *TABLES)]


TABLES = (
    "survival",
    "duration_percentiles",
    "concurrency",
    "status_over_time",
    "status_distribution",
    "agent_versions",
)


TYPICAL = (
    *("lifetime_seconds", "lifetime_low_seconds", "lifetime_high_seconds"),
    *("common_age_seconds", "failed_share"),
)
MEDIANS = ("km_p50", "km_p50_low", "km_p50_high", "km_p50_of_sessions")


def read(tables: dict[str, list[Row]]) -> Row:
    """Return what the tables of a world say."""
    (row,) = (
        row
        for row in tables["duration_percentiles"]
        if row["dimension"] == "all" and row["basis"] == "closed"
    )
    curve = [row for row in tables["survival"] if row["dimension"] == "all"]
    at = max((row for row in curve if row["t_seconds"] <= AGE_S), key=lambda r: r["t_seconds"])
    (version,) = tables["agent_versions"]
    return {
        **{name: version[name] for name in TYPICAL},
        **{name: row[name] for name in MEDIANS},
        **{name: at[name] for name in ("survival", "ci_low", "ci_high")},
        "agree": do_hours_agree(tables),
    }


CLOSED = {"archived", "terminated", "cancelled"}


def do_hours_agree(tables: dict[str, list[Row]]) -> bool:
    """Tell whether the open threads of every hour, and of now, are as many in all three tables."""
    open_: dict[object, int] = defaultdict(int)
    for row in tables["status_over_time"]:
        if row["status"] not in CLOSED:
            open_[row["hour"]] += row["threads"]
    levels = tables["concurrency"]
    backlog = {row["hour"]: row["backlog"] for row in levels if row["is_polled"]}
    now = sum(
        row["threads"]
        for row in tables["status_distribution"]
        if row["dimension"] == "all" and row["status"] not in CLOSED
    )
    last = max(backlog, default=None)
    return bool(backlog) and backlog == open_ and now == open_[last]
