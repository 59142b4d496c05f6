"""What the analyses are worth in worlds whose truth is known: a few of those of `make soak`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.truth import lifetimes, plain, silences, versions
from benchmarks.truth.__main__ import write
from benchmarks.truth.parts import AT_A_TIME, Part, divide, list_parts
from benchmarks.truth.world import Finding, share

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("sign", "goal"), [("≤", 0.0), ("≥", 0.8), ("within", 0.1)])
def test_goals(sign: str, goal: float) -> None:
    """A finding holds on the goal itself, and misses beyond it."""
    beyond = {"≤": 0.01, "≥": 0.79, "within": -0.11}[sign]
    assert Finding("a", "w", "c", goal, sign, goal).holds
    assert not Finding("a", "w", "c", beyond, sign, goal).holds


def test_parts_are_kept(tmp_path: Path) -> None:
    """What is known of a kind of world stays until more is known, or it is measured as a whole."""
    results = tmp_path / "truth.json"
    young, giant = Part("versions", "a version two hours old"), Part("lifetimes", "a giant session")
    steps = [(young, 100, True, 100), (giant, 20, False, 100), (young, 20, False, 100)]
    steps += [(young, 120, False, 120), (young, 10, True, 10)]
    for part, worlds, is_whole, kept in steps:
        measured = {**part._asdict(), "worlds": worlds, "findings": []}
        write(results, part, measured, is_whole=is_whole)
        found = {Part(row["theme"], row["world"]): row for row in json.loads(results.read_text())}
        assert found[young]["worlds"] == kept
    assert found[giant]["worlds"] == 20
    assert list_parts(["two hours"]) == [young]
    pieces = list(divide([giant, young], 2 * AT_A_TIME + 1))
    assert [part for part, _ in pieces] == [giant, young] * 3
    assert sorted(seed for part, span in pieces for seed in span if part == young) == [
        *range(2 * AT_A_TIME + 1)
    ]


def test_young_version() -> None:
    """Of a version two hours old as many threads fail as of the other within their first hour."""
    ((row,),) = versions.look("a version two hours old", [0])
    assert (row["version"], row["compared_with"], row["failures"]) == (2, 1, "unclear")
    assert 3000 < row["common_age_seconds"] < 4200
    assert abs(row["failed_share"] - row["failed_share_compared"]) < 0.1


@pytest.mark.slow
def test_silences_read_plainly() -> None:
    """The load and the analysis list the very threads that another computation lists."""
    name = "silences of 5, 20 and 60 minutes, polled every 30"
    assert silences.look(name, [2]) == plain.look(name, [2])


@pytest.mark.slow
def test_worlds_without_effect() -> None:
    """Threads of a session are alike: of ten worlds at most two get a verdict, most would else."""
    name = "16 sessions of 40 threads, each of one version"
    tables = versions.look(name, range(10))
    assert share(any(map(versions.is_verdict, rows)) for rows in tables) <= 2 / 10
    for finding in versions.cover(name, tables):
        assert finding._replace(goal=0.8 if finding.sign == "≥" else finding.goal).holds, finding


@pytest.mark.slow
@pytest.mark.parametrize("name", ["58 % crash within seconds", "both, sessions of one version"])
def test_effects(name: str) -> None:
    """One effect among forty pairs is found; a version that crashes is not faster alone."""
    (rows,) = versions.look(name, [0])
    (row,) = (row for row in rows if row["agent"] == "agent_00")
    assert versions.is_said(row, "failures", "more")
    assert row["compared"] == 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ["closed ones are not listed at first"])
def test_lifetimes(name: str) -> None:
    """Medians are near the truth, and three tables agree in every hour."""
    (seen,) = lifetimes.look(name, [0])
    assert seen["km_p50"] == pytest.approx(lifetimes.MEDIAN_S, rel=0.25)
    assert seen["agree"]
