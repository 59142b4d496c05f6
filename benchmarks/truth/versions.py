"""Worlds in which versions of agents are compared: without any effect, and with one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.truth.world import (
    DAY,
    HOUR,
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
    from collections.abc import Iterable, Iterator

TYPICAL_S = 1800.0  # mean lifetime of a thread in an average session
SPREAD = 0.5  # standard deviation of the logarithm of sessions' speeds


@dataclass(frozen=True)
class Version:
    """A version of an agent: where and when its threads are born, and what becomes of them.

    `fails` is the share that is terminated at some part of its lifetime, `slower` a factor of
    lifetimes, `crashes` the share that is terminated within seconds.
    """

    number: int = 2
    sessions: range = range(8, 16)
    threads: int = 40  # of each session
    born: tuple[float, float] = (0.0, 10 * DAY)
    fails: float = 0.2
    slower: float = 1.0
    crashes: float = 0.0


@dataclass(frozen=True)
class Scene:
    """How all sessions of a world are: alike or not, with days and nights or not."""

    spread: float = SPREAD
    season: float = 0.0  # by how much the logarithm of lifetimes swings within a day
    until: float = 12 * DAY


Agents = dict[str, list[Version]]
Wanted = dict[str, str]


def draw_world(chance: np.random.Generator, agents: Agents, scene: Scene) -> World:
    """Draw a world that is polled once, at its end; agents share its sessions."""
    sessions = 1 + max(v.sessions[-1] for versions in agents.values() for v in versions)
    speeds = scene.spread * chance.standard_normal(sessions)
    starts = chance.random(sessions)
    threads = [
        life
        for agent, versions in agents.items()
        for version in versions
        for life in draw_threads(chance, agent, version, scene, speeds, starts)
    ]
    return World(threads, [scene.until])


def draw_threads(
    chance: np.random.Generator,
    agent: str,
    version: Version,
    scene: Scene,
    speeds: np.ndarray,
    starts: np.ndarray,
) -> Iterator[Life]:
    """Draw the threads of a version: they begin within half a day of each session's own time."""
    first, last = version.born
    for session in version.sessions:
        width = min(DAY / 2, last - first)
        begin = first + starts[session] * (last - first - width)
        for number in range(version.threads):
            born = begin + width * chance.random()
            swing = scene.season * math.sin(2 * math.pi * born / DAY)
            lasts = TYPICAL_S * version.slower * math.exp(speeds[session] + swing)
            end, status = born + lasts * chance.exponential(), "archived"
            if chance.random() < version.crashes:
                end, status = born + 20 * chance.exponential(), "terminated"
            elif chance.random() < version.fails:
                end, status = born + (end - born) * chance.random(), "terminated"
            last_state = State(end, status, "end_turn", status == "archived")
            name = f"{agent}.{version.number}.{session}.{number}"
            states = (State(born, "running"), last_state)
            yield Life(f"sess_{session}", name, states, agent, version.number)


APART = (range(8), range(8, 16))
TOGETHER = (range(16), range(16))
TEN_APART = (range(10), range(10, 20))
TEN_TOGETHER = (range(10), range(10))
END = 12 * DAY
OLD = (0.0, 8 * DAY)
NEW = (2 * DAY, 10 * DAY)
YOUNG = (END - 2 * HOUR, END)


def pair(sessions: tuple[range, range], threads: int, newer: Version | None = None) -> Agents:
    """Return an agent of two versions, the newer one as given but for its sessions and threads."""
    older = Version(1, sessions[0], threads, OLD)
    newer = newer or Version(born=NEW)
    return {"agent_00": [older, replace(newer, number=2, sessions=sessions[1], threads=threads)]}


def forty(sessions: tuple[range, range], threads: int, newer: Version | None = None) -> Agents:
    """Return forty such agents; the newer version of the first is as given."""
    others = pair(sessions, threads)["agent_00"]
    agents = {f"agent_{number:02d}": others for number in range(40)}
    return agents | pair(sessions, threads, newer)


def giant() -> Agents:
    """Return an agent whose newer version has 250 of 320 threads in one of eight sessions."""
    newer = [
        Version(2, range(session, session + 1), 250 if session == APART[1][0] else 10, NEW)
        for session in range(8, 16)
    ]
    return {"agent_00": [Version(1, range(8), 40, OLD), *newer]}


# Worlds without any effect.
NOTHING: dict[str, tuple[Agents, Scene]] = {
    "16 sessions of 40 threads, each of one version": (pair(APART, 40), Scene()),
    "16 sessions of 40 threads, both versions in each": (pair(TOGETHER, 20), Scene()),
    "40 agents in 16 sessions": (forty(APART, 20), Scene()),
    "a version two hours old": (pair(APART, 40, Version(born=YOUNG)), Scene()),
    "days and nights": (pair(APART, 40), Scene(season=1.0)),
    "a giant session": (giant(), Scene()),
}
SLOWER = Version(born=NEW, slower=2.0)
FAILING = Version(born=NEW, fails=0.4)
BOTH = Version(born=NEW, slower=2.0, fails=0.4)
CRASHING = Version(born=NEW, crashes=0.58)
# Worlds with one effect among 40 pairs of 200 threads in 10 sessions each, and what is to be found.
EFFECTS: dict[str, tuple[Agents, Scene, Wanted]] = {
    "lifetimes doubled, both versions in each session": (
        forty(TEN_TOGETHER, 20, SLOWER),
        Scene(),
        {"speed": "slower"},
    ),
    "failures 20 → 40 %, both versions in each session": (
        forty(TEN_TOGETHER, 20, FAILING),
        Scene(),
        {"failures": "more"},
    ),
    "lifetimes doubled, sessions of one version and one speed": (
        forty(TEN_APART, 20, SLOWER),
        Scene(spread=0.0),
        {"speed": "slower"},
    ),
    "failures 20 → 40 %, sessions of one version": (
        forty(TEN_APART, 20, FAILING),
        Scene(),
        {"failures": "more"},
    ),
    "both, sessions of one version": (
        forty(TEN_APART, 20, BOTH),
        Scene(),
        {"failures": "more", "speed": "slower"},
    ),
    "lifetimes doubled, sessions of one version and many speeds": (
        forty(TEN_APART, 20, SLOWER),
        Scene(),
        {"speed": "slower"},
    ),
    "58 % crash within seconds": (
        forty(TEN_APART, 20, CRASHING),
        Scene(),
        {"failures": "more"},
    ),
}
OPPOSITE = {"slower": "faster", "faster": "slower", "more": "fewer", "fewer": "more"}


WORLDS = (*NOTHING, *EFFECTS)


def how_many(name: str, seeds: int) -> int:
    """Return how many worlds of a kind are to be looked at: a fourth where there is an effect."""
    return seeds if name in NOTHING else max(1, seeds // 4)


def assess(name: str, looks: list[list[Row]]) -> Iterator[Finding]:
    """Yield what the comparison of versions says in worlds of a kind."""
    if name in NOTHING:
        said = share(any(map(is_verdict, rows)) for rows in looks)
        yield Finding("agent_versions", name, "tables with any verdict", said, "≤", 0.08)
        yield from cover(name, looks)
        return
    wanted = EFFECTS[name][-1]
    changed = [row for rows in looks for row in rows if row["agent"] == "agent_00"]
    seen = share(any(is_said(row, *item) for item in wanted.items()) for row in changed)
    yield Finding("agent_versions", name, "effect found", seen, "≥", 0.8)
    alone = share(
        is_said(row, "speed", "faster") and not is_said(row, "failures", "more") for row in changed
    )
    yield Finding("agent_versions", name, "faster alone", alone, "≤", 0.0)


def look(name: str, seeds: Iterable[int]) -> list[list[Row]]:
    """Return the rows of the versions that are compared with one, of these worlds."""
    agents, scene = (NOTHING | {kind: effect[:2] for kind, effect in EFFECTS.items()})[name]
    worlds = (draw_world(draw(seed, name), agents, scene) for seed in seeds)
    return [
        [row for row in tables["agent_versions"] if row["compared_with"] is not None]
        for tables in build(worlds, "agent_versions")
    ]


def is_verdict(row: Row) -> bool:
    """Tell whether a row says that there is a difference."""
    return any(row[name] not in {"unclear", "too few"} for name in ("failures", "speed"))


def is_said(row: Row, name: str, verdict: str) -> bool:
    """Tell whether a row says this of version 2, or the opposite of version 1 beside it."""
    return bool(row[name] == (verdict if row["version"] == 2 else OPPOSITE[verdict]))  # noqa: PLR2004


def cover(name: str, tables: list[list[Row]]) -> Iterator[Finding]:
    """Yield how often the intervals of both values of both versions hold what is true."""
    agents, scene = NOTHING[name]
    held: dict[str, list[bool]] = {"failed_share": [], "lifetime": []}
    errors: dict[str, list[float]] = {"failed_share": [], "lifetime": []}
    versions = {v.number: v for v in agents["agent_00"]}
    for row in (row for rows in tables for row in rows if row["agent"] == "agent_00"):
        for number, suffix in ((row["version"], ""), (row["compared_with"], "_compared")):
            truth = find_truth(versions[number], scene, row["common_age_seconds"])
            for value, columns in VALUES.items():
                at, low, high = (row[column.format(suffix)] for column in columns)
                if low is not None:
                    held[value].append(low <= truth[value] <= high)
                    errors[value].append(at / truth[value] - 1)
    for value, holding in held.items():
        claim = f"{value.replace('_', ' ')}: 95 % interval holds the truth"
        yield Finding("agent_versions", name, claim, share(holding), "≥", 0.92)
        bias = float(np.mean(errors[value])) if errors[value] else math.nan
        claim = f"{value.replace('_', ' ')}: bias"
        yield Finding("agent_versions", name, claim, bias, "within", 0.1)


VALUES = {
    "failed_share": [f"failed_share{{}}{end}" for end in ("", "_low", "_high")],
    "lifetime": [f"lifetime{{}}{end}_seconds" for end in ("", "_low", "_high")],
}


@cache
def find_truth(version: Version, scene: Scene, age: float) -> dict[str, float]:
    """Return the share that truly fails by an age, and the typical lifetime of the others.

    Both are of all sessions that there might have been, by drawing 200,000 threads.
    """
    chance = np.random.default_rng(1)
    n = 200_000
    swing = scene.season * np.sin(2 * np.pi * chance.random(n))
    lasts = TYPICAL_S * version.slower * np.exp(scene.spread * chance.standard_normal(n) + swing)
    end = lasts * chance.exponential(size=n)
    fails = chance.random(n) < version.fails
    end[fails] *= chance.random(int(fails.sum()))
    failed = fails & (end <= age)
    return {
        "failed_share": float(failed.mean()),
        "lifetime": float(np.exp(np.log(np.clip(end[~failed], 1, age)).mean())),
    }
