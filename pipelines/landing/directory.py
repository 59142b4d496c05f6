"""What is in the landing directory: runs in their order, their shards, and claimed numbers.

A run's place among all is its sequence number, not a time: clocks are set back. The number is
in the name of its files, so that a listing is in the order of the runs; files of older versions
have none, and come first, in the order in which their runs began.
"""

from __future__ import annotations

import os
import re
from operator import attrgetter
from typing import TYPE_CHECKING

from pipelines.errors import LandingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
NUMBERED = re.compile(r"s(?P<sequence>\d{10,18})(-.*|\.claim)")


def name_sequence(sequence: int) -> str:
    """Return a sequence number as names hold it: they sort as the numbers do."""
    return f"s{sequence:010d}"


def name_file(run: Run) -> str:
    """Return what the names of a run's files begin with."""
    stem = f"{run.started_at:{STAMP}}-{run.id}"
    return stem if run.sequence is None else f"{name_sequence(run.sequence)}-{stem}"


def list_runs(directory: Path) -> dict[str, Path]:
    """Return run id -> file of every landed run, in the order of the runs."""
    return {name_run(path): path for path in list_files(directory)}


def list_files(directory: Path) -> list[Path]:
    """Return the runs' files, in the order of the runs; foreign ones among them."""
    files = (path for path in directory.glob("*.parquet") if not SHARD.fullmatch(path.name))
    return sorted(files, key=attrgetter("name"))


def list_stems(directory: Path) -> set[str]:
    """Return what the names of each whole run's files begin with."""
    return {find_stem(path) for path in list_files(directory)}


def find_stem(path: Path) -> str:
    """Return what the names of the files of a run begin with, from that of its own file."""
    return path.name.rsplit(".", 2)[0]


def list_shards(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield each shard with what the names of its run's files begin with."""
    for path in directory.glob("*.parquet"):
        if match := SHARD.fullmatch(path.name):
            yield match["run"], path


def name_run(path: Path) -> str:
    """Return the id of the run that a landed file holds; "" of a foreign one."""
    match = NAME.fullmatch(path.name)
    return match["run_id"] if match else ""


def take_sequence(directory: Path, newest: int = 0) -> int:
    """Claim the number after `newest` and every number in the directory, and return it.

    The claim is a file that is created exclusively, so that no other run is given the number.
    Raises LandingError if none can be created.
    """
    number = newest
    while True:
        number = max(number, *find_numbers(directory)) + 1
        claim = directory / f"{name_sequence(number)}{CLAIM}"
        try:
            os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise LandingError(f"{claim}: cannot be made ({error}); make room") from None
        # Another run may have come and gone between the listing and the claim.
        if max(find_numbers(directory, without=claim)) < number:
            return number
        claim.unlink(missing_ok=True)


def give_back(directory: Path, sequence: int | None) -> None:
    """Remove the claim of a run whose number its landed file says, or that has left nothing."""
    if sequence is not None:
        (directory / f"{name_sequence(sequence)}{CLAIM}").unlink(missing_ok=True)


def find_number(path: Path) -> int:
    """Return the sequence number that a file's name begins with; 0 of older and foreign ones."""
    match = NUMBERED.fullmatch(path.name)
    return int(match["sequence"]) if match else 0


def find_numbers(directory: Path, without: Path | None = None) -> list[int]:
    """Return 0 and the sequence number of every run's file, shard and claim."""
    return [0, *(find_number(path) for path in directory.glob("s*") if path != without)]


def list_spent_claims(directory: Path) -> list[Path]:
    """Return the claims but that of the highest number there is, which the next run goes by."""
    highest = f"{name_sequence(max(find_numbers(directory)))}{CLAIM}"
    return [path for path in directory.glob(f"*{CLAIM}") if path.name != highest]
