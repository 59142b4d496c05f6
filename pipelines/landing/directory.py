"""What is where runs land: runs in their order, their shards, and claimed numbers.

A run's place among all is its sequence number, not a time: clocks are set back. The number is
in the name of its files, so that a listing is in the order of the runs; files of older versions
have none, and come first, in the order in which their runs began.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.landing.store import LandedFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.landing.store import Store
    from pipelines.records import Run

# Of the data directory, where runs land.
RAW = "raw"
STAMP = "%Y%m%dT%H%M%S%fZ"
# Sequence number, beginning and id of a run, and the digest of the file: older files lack some.
NAME = re.compile(
    r"(s(?P<sequence>\d{10,18})-)?(?P<begun>[^-]*)-(?P<run_id>.*?)"
    r"(\.(?P<digest>[0-9a-f]{32}))?\.parquet"
)
SHARD = re.compile(r"(?P<run>.*)\.s\d+\.[0-9a-f]{32}\.parquet")
CLAIM = ".claim"
# What the name of a run's file is followed by, in that of a file beside it, if it is set aside.
ASIDE = ".aside"
NUMBERED = re.compile(r"s(?P<sequence>\d{10,18})(-.*|\.claim)")


def name_sequence(sequence: int) -> str:
    """Return a sequence number as names hold it: they sort as the numbers do."""
    return f"s{sequence:010d}"


def name_file(run: Run) -> str:
    """Return what the names of a run's files begin with."""
    stem = f"{run.started_at:{STAMP}}-{run.id}"
    return stem if run.sequence is None else f"{name_sequence(run.sequence)}-{stem}"


def list_runs(store: Store) -> dict[str, LandedFile]:
    """Return run id -> file of every landed run, in the order of the runs."""
    return {name_run(file.name): file for file in list_files(store)}


def list_files(store: Store) -> list[LandedFile]:
    """Return the runs' files, in the order of the runs; foreign ones among them.

    Those that are set aside are not.
    """
    names = store.list()
    aside = set(find_aside(names))
    return [LandedFile(store, name) for name in find_files(names) if name not in aside]


def find_files(names: Iterable[str]) -> list[str]:
    """Return the names of runs' files among these, in the order of the runs."""
    return sorted(name for name in names if name.endswith(".parquet") and not SHARD.fullmatch(name))


def find_aside(names: Iterable[str]) -> list[str]:
    """Return the names of the runs' files that are set aside."""
    marked = {name.removesuffix(ASIDE) for name in names if name.endswith(ASIDE)}
    return [name for name in find_files(names) if name in marked]


def find_shards(names: Iterable[str]) -> dict[str, str]:
    """Return shard -> what the names of its run's files begin with."""
    matches = filter(None, map(SHARD.fullmatch, names))
    return {match.string: match["run"] for match in matches}


def find_stem(name: str) -> str:
    """Return what the names of the files of a run begin with, from that of the run's file."""
    return name.rsplit(".", 2)[0]


def name_run(name: str) -> str:
    """Return the id of the run that a landed file holds; "" of a foreign one."""
    match = NAME.fullmatch(name)
    return match["run_id"] if match else ""


def take_sequence(store: Store, newest: int = 0) -> int:
    """Claim the number after `newest` and every number in the store, and return it.

    The claim is a file that is put there, so that no other run is given the number.
    Raises LandingError if none can be put.
    """
    number = newest
    while True:
        number = max(number, find_highest(store.list())) + 1
        claim = name_claim(number)
        if not store.put(claim):
            continue
        # Another run may have come and gone between the listing and the claim.
        if find_highest(name for name in store.list() if name != claim) < number:
            return number
        store.delete(claim)


def give_back(store: Store, sequence: int | None) -> None:
    """Remove the claim of a run whose number its landed file says, or that has left nothing."""
    if sequence is not None:
        store.delete(name_claim(sequence))


def name_claim(sequence: int) -> str:
    """Return the name of the claim of a number."""
    return f"{name_sequence(sequence)}{CLAIM}"


def find_number(name: str) -> int:
    """Return the sequence number that a file's name begins with; 0 of older and foreign ones."""
    match = NUMBERED.fullmatch(name)
    return int(match["sequence"]) if match else 0


def find_highest(names: Iterable[str]) -> int:
    """Return the highest sequence number of a run's file, shard or claim; 0 if there is none."""
    return max(map(find_number, names), default=0)


def find_spent_claims(names: Iterable[str]) -> list[str]:
    """Return the claims but that of the highest number there is, which the next run goes by."""
    highest = name_claim(find_highest(names))
    return [name for name in names if name.endswith(CLAIM) and name != highest]
