"""The parts of what is measured, each of which a process can measure alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.truth import lifetimes, silences, versions

if TYPE_CHECKING:
    from benchmarks.truth.world import Finding

PARTS = {"lifetimes": lifetimes, "silences": silences, "versions": versions}


def measure(part: str, seeds: int) -> list[Finding]:
    """Measure a part, and print each row."""
    findings = []
    for finding in PARTS[part].measure(seeds):
        findings.append(finding)
        print("ok  " if finding.holds else "MISS", *finding, flush=True)  # noqa: T201
    return findings
