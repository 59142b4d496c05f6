"""What is new in threads: fields and types that no column holds, and values of enumerations.

Found in one pass over what arrives, however much that is: of values, (other) is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipelines.frames.paths import OTHER, Paths
from pipelines.frames.values import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pipelines.providers.documented import Documented

DRIFT = pl.Schema(
    {
        "path": pl.String(),
        "json_type": pl.String(),
        "value": pl.String(),
        "examples": pl.Int64(),
        "first_seen_at": TIMESTAMP,
    }
)
# Column of an enumeration -> its path.
ENUMERATIONS = {
    "status": "status",
    "stop_reason_type": "stop_reason.type",
    "role": "role",
    "agent_type": "agent.type",
}
# Threads whose fields are looked at one by one if one of them holds anything new.
AT_ONCE = 256
MAX_VALUES = 50


class Drift:
    """Gathers what is new in the threads of a load.

    `documented` is that of each source; `known` (path, value) what was found earlier.
    """

    def __init__(
        self,
        documented: Mapping[str, Documented],
        known: Sequence[tuple[str, str | None]] = (),
    ) -> None:
        self._documented = documented
        self._known = [path for path, value in known if value is None]
        self._values = {
            path: {value for of, value in known if of == path and value is not None}
            for path in ENUMERATIONS.values()
        }
        self._paths: dict[int, Paths] = {}
        self._rows: list[tuple[str, str, str | None, int, datetime]] = []
        self._threads = 0

    def add_fields(
        self,
        origins: pl.DataFrame,
        order: tuple[Sequence[int], Sequence[int]],
        **columns: Sequence[object],
    ) -> None:
        """Look at what threads hold beside their columns: each column is a field of theirs.

        `extra` are all fields that have no other place. `origins` are the source and arrival of
        each thread; the order is that of number_threads.
        """
        sources, seen = origins["source"].to_list(), origins["observed_at"]
        paths = {source: self._paths_of(source) for source in dict.fromkeys(sources)}
        for name, values in columns.items():
            for begin in range(0, len(sources), AT_ONCE):
                rows, threads = (numbers[begin : begin + AT_ONCE] for numbers in order)
                came = [values[row] for row in rows]
                if all(each.are_documented(name, came) for each in set(paths.values())):
                    continue
                for row, thread, value in zip(rows, threads, came, strict=True):
                    fields = value if name == "extra" else {name: value}
                    if value and isinstance(fields, dict):
                        for key, inner in fields.items():
                            paths[sources[row]].add(key, inner, self._threads + thread, seen[row])
        self._threads += len(sources)

    def _paths_of(self, source: str) -> Paths:
        documented = self._documented[source]
        paths = self._paths.get(id(documented))
        if paths is None:
            paths = self._paths[id(documented)] = Paths(documented, self._known)
        return paths

    def add_values(self, threads: pl.DataFrame) -> None:
        """Look at the enumerations of threads, with the schema THREADS."""
        came = threads.select(pl.col("source", *ENUMERATIONS).unique().implode()).row(0, named=True)
        for column, path in ENUMERATIONS.items():
            documented = [
                self._documented[source].values.get(path, ()) for source in came["source"]
            ]
            if all(value is None or value in each for value in came[column] for each in documented):
                continue
            counts = (
                threads.drop_nulls(column)
                .group_by("source", column, maintain_order=True)
                .agg(pl.len(), pl.col("observed_at").min())
            )
            known = self._values[path]
            for source, value, examples, seen in counts.iter_rows():
                if value not in self._documented[source].values.get(path, ()):
                    name = value if value in known or len(known) < MAX_VALUES else OTHER
                    known.add(name)
                    self._rows.append((path, "string", name, examples, seen))

    def frame(self) -> pl.DataFrame:
        """Return all that was found, with the schema DRIFT."""
        rows = [*self._rows, *(row for paths in self._paths.values() for row in paths.rows())]
        found = pl.DataFrame(rows, schema=DRIFT, orient="row")
        return found.group_by("path", "json_type", "value").agg(
            pl.col("examples").sum(), pl.col("first_seen_at").min()
        )
