"""Where rows go, and in which format: what --format, --out and --raw say together."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import msgspec

from pipelines.errors import SettingsError
from pipelines.files import replace_file
from pipelines.reporting.wording import escape_json, to_printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each format of data, and how DuckDB's COPY is asked for it.
COPY_OPTIONS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY",
    "jsonl": "FORMAT json",
    "parquet": "FORMAT parquet",
}
FORMATS = ("table", *COPY_OPTIONS)
ENDINGS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".json": "json",
    ".json.gz": "json",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".parquet": "parquet",
    ".txt": "table",
}


class Target(msgspec.Struct, frozen=True):
    """A format, and a file; without one, standard output.

    What people may look at holds no character that a terminal obeys, unless it is `raw`: tables,
    and whatever goes to standard output. A file of data holds all of them.
    """

    form: str = "table"
    out: Path | None = None
    raw: bool = False

    @property
    def copy_options(self) -> str:
        """How DuckDB's COPY is asked for the format."""
        is_compressed = self.out is not None and self.out.name.lower().endswith(".gz")
        return COPY_OPTIONS[self.form] + (", COMPRESSION gzip" if is_compressed else "")

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Give a file to write. When the block ends well, what is in it is at its place.

        A file is replaced as a whole, or stays as it was; a pipe or a device is written to.
        """
        path = self.out
        if path and (path.is_file() or not path.exists()):
            with replace_file(path.resolve()) as file:
                yield file
            return
        # A file without a name, of which nothing is left however the process ends.
        with TemporaryFile() as file:
            yield file
            file.seek(0)
            place = path or sys.stdout.fileno()
            with open(place, "wb", closefd=path is not None) as end:
                if self.raw or self.form == "parquet":
                    shutil.copyfileobj(file, end)
                else:
                    end.writelines(self._filter_lines(file))

    def _filter_lines(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yield the lines of a text that are safe for a terminal; JSON stays exact."""
        clean = to_printable if self.form == "csv" else escape_json
        for line in file:
            cells = line.decode(errors="replace").removesuffix("\n").split("\t")
            yield ("\t".join(map(clean, cells)) + "\n").encode()


def choose_target(form: str | None = None, out: Path | None = None, *, raw: bool = False) -> Target:
    """Return the target that the options ask for: without `form`, what the name of `out` says.

    Raises SettingsError, before anything is read, if they contradict each other.
    """
    ending = find_ending(out)
    if out and not (form or ending):
        fix = f"End it in one of {', '.join(ENDINGS)}, or give a --format"
        raise SettingsError(f"--out {out}", "no format has this ending", f"{fix}.")
    named = ENDINGS.get(ending or "", form)
    form = form or named or "table"
    if named not in {form, None}:
        fix = "Leave one of them out, or make them agree."
        raise SettingsError(f"--out {out}", f"--format {form} is another format", fix)
    if raw and form == "table":
        fix = f"Choose one of {', '.join(COPY_OPTIONS)}."
        raise SettingsError("--raw", "a table is for people", fix)
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise SettingsError("--format parquet", "it is not for a terminal", "Name a file: --out.")
    return Target(form, out, raw)


def find_ending(out: Path | None) -> str | None:
    """Return the ending of a file's name that says its format, in small letters."""
    name = out.name.lower() if out else ""
    return next((ending for ending in ENDINGS if name.endswith(ending)), None)
