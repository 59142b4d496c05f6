"""Worlds in which threads fall silent: whom attention lists, and whom it need not have listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.truth.world import (
    HOUR,
    MINUTE,
    Finding,
    Life,
    State,
    World,
    build,
    draw,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

END = 12 * HOUR
SESSIONS, THREADS = 4, 15  # of each agent
# agent -> minutes that its threads stay silent on average; exponential.
AGENTS = {"brisk": 5.0, "usual": 20.0, "slow": 60.0}
HUNG = 10  # times that


def draw_world(chance: np.random.Generator, every: float) -> tuple[World, set[str]]:
    """Return a world polled so often, and the ids of its threads that hang: one of each agent."""
    threads, hung = [], set()
    for agent, minutes in AGENTS.items():
        for number in range(SESSIONS * THREADS):
            born = chance.random() * END / 4
            hangs = number == 0
            until = END - HUNG * minutes * MINUTE if hangs else END
            id_ = f"{agent}.{number}"
            at, touches = born, []
            while (at := at + minutes * MINUTE * chance.exponential()) < until:
                touches.append(at)
            if hangs:
                hung.add(id_)
            session = f"sess_{number % SESSIONS}"
            threads.append(
                Life(session, id_, (State(born, "running"),), agent, touches=tuple(touches))
            )
    polls = int(END / every)
    return World(threads, [every * (number + 1) for number in range(polls)]), hung


def measure(seeds: int) -> Iterator[Finding]:
    """Yield of how many that hang, and of how many that do not, attention says so."""
    for minutes in (10, 30):
        name = f"silences of 5, 20 and 60 minutes, polled every {minutes}"
        found, healthy = [], []
        drawn = [draw_world(draw(seed, name), minutes * MINUTE) for seed in range(seeds)]
        tables = build((world for world, _ in drawn), "attention")
        for (world, hung), rows in zip(drawn, tables, strict=True):
            listed = {row["thread_id"] for row in rows["attention"] if row["reason"] == "stuck"}
            found += [id_ in listed for id_ in hung]
            healthy += [life.id in listed for life in world.threads if life.id not in hung]
        claim = "silent for ten times as long as usual, and listed"
        yield Finding("attention", name, claim, share(found), "≥", 1.0)
        yield Finding("attention", name, "healthy, and listed", share(healthy), "≤", 0.05)
