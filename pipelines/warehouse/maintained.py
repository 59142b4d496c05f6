"""What maintenance of the tables has done."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct, frozen=True):
    """How many files there are, and how many snapshots can be read."""

    files: int
    snapshots: int


class Maintained(msgspec.Struct, frozen=True):
    """What there was before, and what there is now; `place` is what messages call it."""

    place: str
    before: Counts
    after: Counts
    seconds: float
