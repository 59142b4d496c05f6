"""Worlds of silences, read plainly in numpy and not loaded: hundreds of a kind in seconds.

The rule of usual_silences and attention once more, from what polls of a world see. In the worlds
that were loaded as well both list the same threads; of more worlds shares are known better.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from benchmarks.truth import silences
from benchmarks.truth.silences import END, KNOWN
from benchmarks.truth.world import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from benchmarks.truth.world import Finding, Life

    Numbers = NDArray[np.float64]

WORLDS = silences.WORLDS
MANY = 60  # silences from which on an agent's bound is known
BEYOND, BEYOND_EXPONENTIAL = 0.03, 0.02  # of the time of silence after the bound
Agent = tuple[int, str]  # number of its world, name


def how_many(_name: str, seeds: int) -> int:
    """Return how many worlds of a kind are looked at: each costs a tenth of a second."""
    return seeds


def look(name: str, seeds: Iterable[int]) -> list[dict[str, list[bool]]]:
    """Return of each world what silences.look returns; usual is what is in all of them."""
    drawn = [silences.draw_world(draw(seed, name), WORLDS[name]) for seed in seeds]
    known: dict[Agent, list[Numbers]] = defaultdict(list)
    quiet = {}
    for number, (world, _) in enumerate(drawn):
        for life in world.threads:
            seen, quiet[number, life.id] = watch(life, np.array(world.polls))
            known[number, life.agent].append(seen)
    usual = find_usual({agent: to_steps(np.concatenate(own)) for agent, own in known.items()})
    return [
        silences.find(
            WORLDS[name],
            world,
            hung,
            [
                {"thread_id": life.id, "reason": "stuck"}
                for life in world.threads
                if quiet[number, life.id] > usual[number, life.agent]
            ],
        )
        for number, (world, hung) in enumerate(drawn)
    ]


def watch(life: Life, polls: Numbers) -> tuple[Numbers, float]:
    """Return for how long polls saw a thread quiet before it moved, and how long it is now."""
    shown = np.array([life.born, *life.touches])
    times = polls[polls >= life.born]
    updated = shown[np.searchsorted(shown, times, side="right") - 1]
    is_last = np.append(np.diff(updated) > 0, [False] * (len(times) > 0))
    return (times - updated)[is_last], END - 0.1 - float(updated[-1])


def to_steps(lengths: Numbers) -> Numbers:
    """Return lengths in steps of one per cent."""
    return np.round(100 * np.log(np.maximum(lengths, 1)))


def find_usual(known: Mapping[Agent, Numbers]) -> dict[Agent, float]:
    """Return of each agent how long it is usual to be quiet, from its silences in steps."""
    means = {agent: float(np.exp(own / 100).mean()) for agent, own in known.items() if len(own)}
    everyone = find_bound(np.concatenate(list(known.values())))
    multiples = [known[agent] - round(100 * math.log(mean)) for agent, mean in means.items()]
    weights = [np.full(len(known[agent]), mean) for agent, mean in means.items()]
    multiple = find_bound(np.concatenate(multiples), np.concatenate(weights))
    usual = {}
    for agent, own in known.items():
        n = len(own)
        mean = means.get(agent, 0.0) * (1 + 0.5 / max(n, 1))
        bound = mean * max(multiple, -math.log(BEYOND_EXPONENTIAL))
        bound = find_bound(own) if n >= MANY else bound
        usual[agent] = bound if n >= KNOWN else max(bound, everyone)
    return usual


def find_bound(steps: Numbers, weights: Numbers | None = None) -> float:
    """Return the upper bound of the 95th percentile, or what leaves little enough time beyond."""
    steps, places = np.unique(steps, return_inverse=True)
    counts = np.bincount(places, weights)
    lengths, up_to = np.exp(steps / 100), np.cumsum(counts)
    n, z = up_to[-1], norm.ppf(0.95)
    rank = np.ceil(0.95 * n + z * math.sqrt(n * 0.95 * 0.05) + (z * z - 1) * -0.15 + 0.5)
    time = counts * lengths
    beyond = time.sum() - np.cumsum(time) - lengths * (n - up_to)
    is_enough = (up_to >= min(n, rank) * (1 - 1e-9)) & (beyond <= BEYOND * time.sum())
    return float(lengths[np.argmax(is_enough)] * math.exp(0.005))


def assess(name: str, looks: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield what silences.assess yields, as that of another computation."""
    for finding in silences.assess(name, looks):
        yield finding._replace(analysis="attention, computed beside the load")
