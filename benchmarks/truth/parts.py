"""The parts of what is measured: kinds of worlds, of which processes look at a few at a time."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from benchmarks.truth import lifetimes, plain, silences, versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.truth.world import Finding

AT_A_TIME = 10  # worlds, between which what is known is written down


class Theme(Protocol):
    """Kinds of worlds, and what they are asked."""

    @property
    def WORLDS(self) -> Iterable[str]:  # noqa: N802 - a constant of modules
        """The names of these kinds."""

    def how_many(self, name: str, seeds: int, /) -> int:
        """Return how many worlds of a kind are looked at where there are so many seeds."""

    def look(self, name: str, seeds: Iterable[int], /) -> list[Any]:
        """Return what the tables say in the worlds of these seeds: one look each."""

    def assess(self, name: str, looks: list[Any], /) -> Iterator[Finding]:
        """Yield what such looks are worth."""


THEMES: dict[str, Theme] = {
    "lifetimes": lifetimes,
    "silences": silences,
    "plain silences": plain,
    "versions": versions,
}


class Part(NamedTuple):
    """A kind of world of a theme."""

    theme: str
    world: str

    def look(self, seeds: range) -> list[Any]:
        """Return one look for each of the seeds."""
        return THEMES[self.theme].look(self.world, seeds)

    def assess(self, looks: list[Any]) -> dict[str, Any]:
        """Return what these looks are worth, and of how many worlds they are."""
        found = THEMES[self.theme].assess(self.world, looks)
        rows = [finding._asdict() | {"holds": finding.holds} for finding in found]
        return {**self._asdict(), "worlds": len(looks), "findings": rows}


def list_parts(words: Iterable[str] = ()) -> list[Part]:
    """Return the parts whose theme or kind has one of the words in its name; without any, all."""
    parts = [Part(name, world) for name, theme in THEMES.items() for world in theme.WORLDS]
    return [part for part in parts if not words or any(word in " ".join(part) for word in words)]


def divide(parts: Iterable[Part], seeds: int) -> Iterator[tuple[Part, range]]:
    """Yield which seeds are to be looked at together: the first of all parts, then more of each."""
    counts = {part: THEMES[part.theme].how_many(part.world, seeds) for part in parts}
    pieces = [
        [(part, range(at, min(at + AT_A_TIME, n))) for at in range(0, n, AT_A_TIME)]
        for part, n in counts.items()
    ]
    return (piece for turn in zip_longest(*pieces) for piece in turn if piece)
