"""What is new in threads: fields and types that no column holds, and values of enumerations.

Found in one pass over what arrives, however much that is. A key that looks like data, such as an
id, and what comes beyond MAX_KEYS under one parent, is called `*`; of values (other) is left.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.frames.bounds import shorten
from pipelines.frames.values import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
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
MAX_KEYS = 50
MAX_PATHS = 1_000
MAX_VALUES = 50
MAX_KEY = 100
ANY = "*"
OTHER = "(other)"
ELEMENT = "[]"
# A UUID, a number, a date, a long hexadecimal one, or a prefix and a long word with a digit in it.
DATA_KEY = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{22}|\d+|\d{4}-\d\d(-\d\d.*)?"
    r"|(?=\D*\d)([0-9a-fA-F]{16,}|[0-9A-Za-z]{20,})"
    r"|([0-9A-Za-z]+[_-])+(?=[A-Za-z]*\d)[0-9A-Za-z]{8,}"
)
KINDS: dict[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}


def looks_like_data(key: str) -> bool:
    """Whether a key is no name of a field: an id, a date, a number."""
    return len(key) > MAX_KEY or DATA_KEY.fullmatch(key) is not None


class Node:
    """A path: which types are documented there, what was found, and the paths below it."""

    __slots__ = ("children", "documented", "found", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.documented: set[str] | None = set()
        # JSON type -> threads, the last of them, and when the first came.
        self.found: dict[str, list[Any]] = {}
        self.children: dict[str, Node] = {}


class Paths:
    """The fields of one provider's threads, as a tree.

    `known` are paths that were found earlier: they count among those that a parent may have.
    """

    def __init__(self, documented: Documented, known: Iterable[str]) -> None:
        self._root = Node("")
        self._other = Node(OTHER)
        self._count = 0
        for path, kind in documented.fields.items():
            node = self._find(path)
            node.documented = None if kind is None else {*(node.documented or ()), kind}
        self._documented = self._count
        for path in known:
            self._find(path)

    def _find(self, path: str) -> Node:
        node = self._root
        for key in path.replace(ELEMENT, f".{ELEMENT}").split("."):
            node = node.children.get(key) or self._add(node, key)
        return node

    def _add(self, parent: Node, key: str) -> Node:
        joint = "." if parent.path and key != ELEMENT else ""
        child = Node(shorten(f"{parent.path}{joint}{key}"))
        parent.children[key] = child
        self._count += 1
        return child

    def _child(self, parent: Node, key: str) -> Node:
        """Return the node of a key that has none yet."""
        if key != ELEMENT and (len(parent.children) >= MAX_KEYS or looks_like_data(key)):
            key = ANY
            if found := parent.children.get(key):
                return found
        if self._count - self._documented >= MAX_PATHS:
            return self._other
        return self._add(parent, key)

    def are_documented(self, name: str, values: Iterable[Any]) -> bool:
        """Whether the fields of one name, if there are any, are objects documented whole."""
        node, objects = self._root.children.get(name), list(filter(None, values))
        if not objects:
            return True
        return node is not None and _is_documented(node, objects)

    def add(self, name: str, value: object, thread: int, seen: datetime) -> None:
        """Look at a field of a thread."""
        if value is not None and value != {}:
            self._look_at(self._root, name, value, thread, seen)

    def _look_at(self, parent: Node, key: str, value: Any, thread: int, seen: datetime) -> None:  # noqa: ANN401 - any JSON
        node = parent.children.get(key) or self._child(parent, key)
        kind, documented = KINDS[type(value)], node.documented
        if documented is None:
            return
        if kind not in documented:
            found = node.found.setdefault(kind, [0, None, seen])
            if found[1] != thread:
                found[:] = found[0] + 1, thread, min(found[2], seen)
        if kind == "object":
            for inner_key, inner in value.items():
                if (inner is not None and inner != {}) or key == ELEMENT:
                    self._look_at(node, inner_key, inner, thread, seen)
        elif kind == "array":
            for inner in value:
                self._look_at(node, ELEMENT, inner, thread, seen)

    def rows(self) -> Iterable[tuple[str, str, None, int, datetime]]:
        """Yield what was found: path, type, no value, threads, and when the first came."""
        nodes = [self._root, self._other]
        while nodes:
            node = nodes.pop()
            nodes += node.children.values()
            for kind, (threads, _, seen) in node.found.items():
                yield node.path, kind, None, threads, seen


def _is_documented(node: Node, values: Sequence[Any]) -> bool:
    """Whether values at a path, and all in them, are documented; those of a kind are one look."""
    if node.documented is None:
        return True
    kinds = set(map(type, values))
    if not {KINDS[kind] for kind in kinds} <= node.documented:
        return False
    below: dict[str, list[Any]] = {}
    if dict in kinds:
        objects = [value for value in values if type(value) is dict]
        keys = set(chain.from_iterable(objects))
        if ELEMENT in keys:
            return False  # a name like any other, but not to us
        for key in keys:
            below[key] = [fields[key] for fields in objects if fields.get(key) is not None]
    if list in kinds:
        below[ELEMENT] = [inner for value in values if type(value) is list for inner in value]
    return all(
        (child := node.children.get(key)) is not None and _is_documented(child, inner)
        for key, inner in below.items()
        if inner
    )


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
        for column, path in ENUMERATIONS.items():
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
