"""Simulate what the plan makes of sources that announce their changes, or do not.

    python -m benchmarks.resting [SEEDS] [SEEDS OF LARGE FLEETS]

200 of each by default: an hour and a half on one core, worlds side by side. Each is kept in build/
as it ends, in a file named after the code, so that a run that was stopped goes on. Writes `worlds`
in docs/resting.json, for docs/polling.md.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.resting import RESULTS, simulation
from benchmarks.resting.simulation import KINDS, simulate
from pipelines.config import polling
from pipelines.extract import evidence, history, resting

SIMULATED = (simulation, resting, evidence, history, polling)
NAMED = {kind.name: kind for kind in KINDS}
LARGE = 1_000
FLEETS = ((20, 0.01), (20, 0.05), (LARGE, 0.05))
# The name of a kind, the number of sessions, the share that changes from poll to poll, and a seed.
World = tuple[str, int, float, int]


def main(seeds: int = 200, large: int = 200) -> None:
    """Simulate the worlds that are not kept yet, and write down what became of all."""
    worlds = [
        (name, size, rate, seed)
        for size, rate in FLEETS
        for seed in range(large if size == LARGE else seeds)
        for name in NAMED
    ]
    code = "".join(map(inspect.getsource, SIMULATED)).encode()
    kept = Path("build") / f"resting-{hashlib.blake2b(code, digest_size=6).hexdigest()}.jsonl"
    found = simulate_all(worlds, kept)
    rows = [
        measure(
            name, size, rate, [found[world] for world in worlds if world[:3] == (name, size, rate)]
        )
        for size, rate in dict.fromkeys(world[1:3] for world in worlds)
        for name in NAMED
    ]
    results = json.loads(RESULTS.read_text(encoding="utf-8")) | {"worlds": rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def simulate_all(worlds: list[World], kept: Path) -> dict[World, dict[str, Any]]:
    """Return what became of these worlds; each is simulated once, and kept."""
    kept.parent.mkdir(exist_ok=True)
    with kept.open("a+", encoding="utf-8") as file:
        file.seek(0)
        found = {tuple(world): result for world, result in map(json.loads, file)}
        missing = [world for world in worlds if world not in found]
        kinds = [NAMED[world[0]] for world in missing]
        others = zip(*(world[1:] for world in missing), strict=True)
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            for world, result in zip(missing, pool.map(simulate, kinds, *others), strict=True):
                found[world] = result
                file.write(json.dumps([world, result]) + "\n")
                file.flush()
    return found


def measure(name: str, size: int, rate: float, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of the table: what became of the worlds of one kind of source."""
    trusted = [each for each in found if each["first"] is not None]
    polls = sorted(each["found"] for each in found if each["found"] is not None)
    quantiles = [polls[(len(polls) - 1) * q // 100] for q in (50, 95, 100)] if polls else None
    return {
        "kind": name,
        "sessions": size,
        "changed": rate,
        "seeds": len(found),
        "trusted": len(trusted) / len(found),
        "first_days": statistics.median(each["first"] for each in trusted) if trusted else None,
        "longest_days": max(each["longest"] for each in found),
        "found": len(polls) / len(found),
        "found_polls": quantiles,
        "asked": statistics.mean(each["asked"] for each in trusted) if trusted else None,
    }


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
