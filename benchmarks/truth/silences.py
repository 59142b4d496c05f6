"""Worlds in which threads fall silent: whom attention lists, and whom it need not have listed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.truth.world import (
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
    from collections.abc import Iterable, Iterator

END = 12 * HOUR
SESSIONS = 4
HUNG = 10  # times as long as an agent's threads stay silent on average
KNOWN = 5  # silences of an agent, below which no rule can do both


class Agent(NamedTuple):
    """Its threads, for how many minutes they stay silent on average, and of how many hours."""

    minutes: float
    threads: int = 60
    hours: float = 12.0


@dataclass(frozen=True)
class Scene:
    """Agents, how often they are polled, and how the logarithm of silences spreads.

    Without a spread silences are exponential. `watched` is what the names of the agents that are
    assessed begin with, one or another word.
    """

    agents: dict[str, Agent]
    minutes: float = 10.0
    spread: float = 0.0
    watched: str = "brisk usual slow"


USUAL = {"brisk": Agent(5.0), "usual": Agent(20.0), "slow": Agent(60.0)}
OTHERS = {"brisk": Agent(5.0), "usual": Agent(20.0)}
SLOW_OTHERS = {"usual": Agent(20.0), "slow": Agent(60.0)}


def few(kind: str, agent: Agent) -> dict[str, Agent]:
    """Return five agents of a kind, of each of which little is known."""
    return {f"{kind} {number}": agent for number in range(5)}


def be_slower(agent: Agent, spread: float = 0.0) -> Scene:
    """Return a scene of five agents that are slower than the others."""
    return Scene(OTHERS | few("slower", agent), spread=spread, watched="slower")


def be_faster(agent: Agent, spread: float = 0.0) -> Scene:
    """Return a scene of five agents that are faster than the others."""
    return Scene(SLOW_OTHERS | few("faster", agent), spread=spread, watched="faster")


WORLDS = {
    "silences of 5, 20 and 60 minutes, polled every 10": Scene(USUAL),
    "silences of 5, 20 and 60 minutes, polled every 30": Scene(USUAL, minutes=30.0),
    "the same, of heavy tails (log-normal, 1.0)": Scene(USUAL, spread=1.0),
    "agents slower than others, of about 25 silences each": be_slower(Agent(60.0, 4, 10.0)),
    "agents slower than others, of about 10 silences each": be_slower(Agent(60.0, 3, 6.0)),
    "agents slower than others, of about 5 silences each": be_slower(Agent(60.0, 2, 6.0)),
    "agents faster than others, of about 25 silences each": be_faster(Agent(10.0, 3, 3.0)),
    "agents faster than others, of about 10 silences each": be_faster(Agent(10.0, 2, 2.5)),
    "agents slower, of about 25 silences of heavy tails": be_slower(Agent(60.0, 4, 10.0), 1.0),
    "agents faster, of about 25 silences of heavy tails": be_faster(Agent(10.0, 3, 3.0), 1.0),
}


def draw_world(chance: np.random.Generator, scene: Scene) -> tuple[World, set[str]]:
    """Return a world, and the ids of its threads that hang: one of each agent."""
    threads, hung = [], set()
    for name, agent in scene.agents.items():
        for number in range(agent.threads):
            first = END - agent.hours * HOUR
            born = first + chance.random() * agent.hours * HOUR / 4
            until = END - HUNG * agent.minutes * MINUTE * (number == 0)
            id_ = f"{name}.{number}"
            states = (State(min(born, until), "running"),)
            touches = tuple(touch(chance, agent, scene, born, until))
            threads.append(Life(f"sess_{number % SESSIONS}", id_, states, name, touches=touches))
        hung.add(f"{name}.0")
    every = scene.minutes * MINUTE
    return World(threads, [every * (number + 1) for number in range(int(END / every))]), hung


def touch(
    chance: np.random.Generator, agent: Agent, scene: Scene, born: float, until: float
) -> Iterator[float]:
    """Yield when a thread shows that it lives."""
    at = born
    while (at := at + agent.minutes * MINUTE * stay_silent(chance, scene.spread)) < until:
        yield at


def stay_silent(chance: np.random.Generator, spread: float) -> float:
    """Return the length of a silence, 1 on average."""
    return chance.lognormal(-spread * spread / 2, spread) if spread else chance.exponential()


def how_many(_name: str, seeds: int) -> int:
    """Return how many worlds of a kind are worth their time: each is polled very often."""
    return min(seeds, 20)


def look(name: str, seeds: Iterable[int]) -> list[dict[str, list[bool]]]:
    """Return of each world whether attention lists those that hang, and those that do not."""
    scene = WORLDS[name]
    drawn = [draw_world(draw(seed, name), scene) for seed in seeds]
    tables = build((world for world, _ in drawn), "attention")
    return [find(scene, *each, rows["attention"]) for each, rows in zip(drawn, tables, strict=True)]


def find(scene: Scene, world: World, hung: set[str], rows: list[Row]) -> dict[str, list[bool]]:
    """Return who of the watched agents' threads is listed: those that hang, and the others.

    Also of those agents of which polls saw enough silences.
    """
    listed = {row["thread_id"] for row in rows if row["reason"] == "stuck"}
    watched = [
        life for life in world.threads if life.agent.startswith(tuple(scene.watched.split()))
    ]
    seen: Counter[str] = Counter()
    for life in watched:
        seen[life.agent] += count_seen(life, world.polls)
    kinds = ("hung", "healthy", "hung known", "healthy known")
    found: dict[str, list[bool]] = {kind: [] for kind in kinds}
    for life in watched:
        kind = "hung" if life.id in hung else "healthy"
        for name in (kind, f"{kind} known")[: 1 + (seen[life.agent] >= KNOWN)]:
            found[name].append(life.id in listed)
    return found


def count_seen(life: Life, polls: list[float]) -> int:
    """Return how many silences of a thread polls saw the end of."""
    shown = np.array([life.born, *life.touches])
    newest = np.searchsorted(shown, [at for at in polls if at >= life.born], side="right")
    return len(np.unique(newest)) - 1


def assess(name: str, looks: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield of how many that hang, and of how many that do not, attention says so.

    If some agents have too few silences that is also said of the others alone.
    """
    counts = {kind: list(chain.from_iterable(seen[kind] for seen in looks)) for kind in looks[0]}
    is_one = len(counts["healthy"]) == len(counts["healthy known"])
    for words, which in (("", ""), (f", {KNOWN} silences known", " known"))[: 2 - is_one]:
        found, healthy = share(counts[f"hung{which}"]), share(counts[f"healthy{which}"])
        claim = f"silent for ten times as long as usual{words}, and listed"
        yield Finding("attention", name, claim, found, "≥", 1.0)
        yield Finding("attention", name, f"healthy{words}, and listed", healthy, "≤", 0.05)
