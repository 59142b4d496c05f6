"""What is new in threads: fields and types that no column holds, and values of enumerations.

Found in one pass over what arrives, however much that is. A key that looks like data, such as an
id, and what comes beyond MAX_KEYS under one parent, is called `*`; of values (other) is left.
"""

from __future__ import annotations

import re
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
        # Whether objects of such keys and types of values are documented whole.
        self._shapes: dict[tuple[object, ...], bool] = {}
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

    def is_documented(self, name: str, value: object) -> bool:
        """Whether a field is an object without others in it, and documented whole."""
        if not isinstance(value, dict):
            return False
        shape = (name, *value, *map(type, value.values()))
        is_documented = self._shapes.get(shape)
        if is_documented is None:
            is_documented = self._knows(self._root.children.get(name), value)
            if len(self._shapes) < MAX_PATHS:
                self._shapes[shape] = is_documented
        return is_documented

    def _knows(self, node: Node | None, fields: Mapping[str, object]) -> bool:
        if node is None or "object" not in (node.documented or ()):
            return False
        return all(
            value is None
            or (KINDS[type(value)] not in {"object", "array"} and self._holds(node, key, value))
            for key, value in fields.items()
        )

    def _holds(self, node: Node, key: str, value: object) -> bool:
        child = node.children.get(key)
        return child is not None and (
            child.documented is None or KINDS[type(value)] in child.documented
        )

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
        rows, threads = order
        for name, values in columns.items():
            for row, thread in zip(rows, threads, strict=True):
                value = values[row]
                if value and not paths[sources[row]].is_documented(name, value):
                    fields = value if name == "extra" else {name: value}
                    if isinstance(fields, dict):
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
