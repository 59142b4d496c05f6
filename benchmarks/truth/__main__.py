"""Measure what the analyses are worth, and write it down: docs/truth.json, for the docs.

    python -m benchmarks.truth [SEEDS] [WORD ...]

400 seeds by default: as many worlds of each kind without an effect, and a fourth of worlds with
one; of those that are polled many times 40 at most, of silences 20. Words choose the kinds of
worlds that have one of them in their names; what was measured of others stays. All kinds advance
together, and what is known is written down after each piece: stopped early, it is of fewer worlds,
and says of how many. An hour on one core.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.truth.parts import Part, divide, list_parts

RESULTS = Path(__file__).parents[2] / "docs" / "truth.json"


def main(*words: str, seeds: int = 400, results: Path = RESULTS) -> None:
    """Measure the chosen kinds of worlds, and write the results."""
    looks: dict[Part, list[Any]] = defaultdict(list)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        pieces = list(divide(list_parts(words), seeds))
        awaited = {pool.submit(part.look, span): part for part, span in pieces}
        left = [part for part, _ in pieces]
        for future in as_completed(awaited):
            part = awaited[future]
            looks[part] += future.result()
            left.remove(part)
            write(results, part, part.assess(looks[part]), is_whole=part not in left)


def write(results: Path, part: Part, measured: dict[str, Any], *, is_whole: bool) -> None:
    """Put what was measured of a part in the place of what was, unless that is of more worlds."""
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    parts = {Part(old["theme"], old["world"]): old for old in known}
    if is_whole or measured["worlds"] >= parts.get(part, measured)["worlds"]:
        parts[part] = measured
        ordered = [parts[one] for one in list_parts() if one in parts]
        text = json.dumps(ordered, indent=1, ensure_ascii=False)
        results.write_text(text + "\n", encoding="utf-8")
    for row in measured["findings"] if is_whole else ():
        print("ok  " if row["holds"] else "MISS", measured["worlds"], *row.values(), flush=True)  # noqa: T201


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*given[1:], seeds=int(given[0])) if given and given[0].isdigit() else main(*given)
