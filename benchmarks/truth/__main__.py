"""Measure what the analyses are worth, and write it down: docs/truth.json, for the docs.

    python -m benchmarks.truth [SEEDS]

400 seeds by default: as many worlds of each kind without an effect, a fourth of worlds with one, a
tenth of the others, which are polled many times. Each row is printed as it is known.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.truth import lifetimes, silences, versions

if TYPE_CHECKING:
    from benchmarks.truth.world import Finding

RESULTS = Path(__file__).parents[2] / "docs" / "truth.json"


def main(seeds: int = 400) -> None:
    """Measure all, and write the results."""
    findings: list[Finding] = []
    parts = (
        (lifetimes, seeds // 10),
        (silences, seeds // 40),
        (versions, seeds),
    )
    for part, count in parts:
        for finding in part.measure(max(1, count)):
            findings.append(finding)
            print("ok  " if finding.holds else "MISS", *finding, flush=True)  # noqa: T201
    rows = [finding._asdict() | {"holds": finding.holds} for finding in findings]
    counts = {"seeds": seeds, "with_effect": seeds // 4, "polled_often": seeds // 10}
    text = json.dumps({**counts, "findings": rows}, indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
