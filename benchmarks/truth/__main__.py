"""Measure what the analyses are worth, and write it down: docs/truth.json, for the docs.

    python -m benchmarks.truth [SEEDS]

400 seeds by default: as many worlds of each kind without an effect, and a fourth of worlds with
one; of those that are polled many times 40 at most, of silences 10. Each row is printed as it is
known; an hour on one core, parts side by side.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.truth.parts import measure

RESULTS = Path(__file__).parents[2] / "docs" / "truth.json"


def main(seeds: int = 400) -> None:
    """Measure all, and write the results."""
    counts = {"lifetimes": min(seeds, 40), "silences": min(seeds, 10), "versions": seeds}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        findings = [found for part in pool.map(measure, counts, counts.values()) for found in part]
    rows = [finding._asdict() | {"holds": finding.holds} for finding in findings]
    said = {"seeds": seeds, "with_effect": max(1, seeds // 4)}
    said |= {"polled_often": counts["lifetimes"], "silent": counts["silences"]}
    text = json.dumps({**said, "findings": rows}, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
