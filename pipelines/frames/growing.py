"""Numbers that grow by themselves: in which threads they do, and threads without them.

They are another number at each reading, though nothing happens to the thread (docs/api.md, 6.1).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import force_setattr

from pipelines.providers.instants import POSSIBLE, means_archived, read_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipelines.providers.base import Endpoint
    from pipelines.providers.documented import Growth
    from pipelines.providers.items import Fields
    from pipelines.providers.thread import Thread

_encode = msgspec.json.Encoder(order="deterministic").encode
RUNNING = frozenset({"running", "rescheduling"})
Path = tuple[str, ...]


class GrowingFields:
    """The fields of a provider's threads that grow by themselves, by the rules it gives."""

    def __init__(self, rules: Mapping[str, Growth]) -> None:
        # By whether a thread runs, and whether it is archived.
        self._paths = [
            [
                tuple(
                    tuple(path.split("."))
                    for path, growth in rules.items()
                    if (runs if growth == "while running" else not archived)
                )
                for archived in (False, True)
            ]
            for runs in (False, True)
        ]

    def list_paths(
        self, threads: Iterable[Thread], extras: Iterable[Fields]
    ) -> list[tuple[Path, ...]]:
        """Return the paths of those that grow in each thread, whether it has them or not."""
        paths = self._paths
        return [
            paths[thread.status in RUNNING][is_archived(thread, extra)]
            for thread, extra in zip(threads, extras, strict=True)
        ]


@cache
def find_growing(endpoint: Endpoint[Any]) -> GrowingFields:
    """Return the fields that grow by themselves by what is documented of an endpoint."""
    return GrowingFields(endpoint.documented.growing)


def encode_state(thread: Thread, extra: Fields, paths: tuple[Path, ...]) -> bytes | None:
    """Return a thread as JSON, with 0 for what is at the paths; None if nothing is there."""
    grown: list[tuple[msgspec.Struct, str, object]] = []
    for path in paths:
        owner = getattr(thread, path[0]) if len(path) > 1 else thread
        value = None if owner is None else getattr(owner, path[-1])
        if value is not None and value != {}:
            grown.append((owner, path[-1], value))
    left = drop_all(extra, paths)
    if not grown and left is extra:
        return None
    for owner, name, _ in grown:
        force_setattr(owner, name, 0)
    state = _encode((thread, left))
    for place in grown:
        force_setattr(*place)
    return state


@cache
def name_columns(paths: tuple[Path, ...]) -> str:
    """Return the names of the columns that hold what is at the paths."""
    return " ".join("duration_seconds" if p[-1] == "elapsed_seconds" else p[-1] for p in paths)


def is_archived(thread: Thread, extra: Fields) -> bool:
    """Whether a thread says that it is archived."""
    moment = thread.archived_at
    if moment is None:
        return thread.status == "archived" or (
            bool(extra) and means_archived(extra.get("archived_at"))
        )
    return (
        moment[:4] in POSSIBLE
        or thread.status == "archived"
        or read_instant(moment) is not None
        or means_archived(moment)
    )


def drop_all(fields: Fields, paths: Iterable[Path]) -> Fields:
    """Return the fields without what is at the paths."""
    for path in paths if fields else ():
        fields = drop(fields, path)
    return fields


def drop(fields: Fields, path: Path) -> Fields:
    """Return the fields without what is at a path, if anything is."""
    name, *rest = path
    inner = fields.get(name)
    if inner is None:
        return fields
    if rest and isinstance(inner, dict):
        left = drop(inner, tuple(rest))
        return fields if left is inner else fields | {name: left}
    return {key: value for key, value in fields.items() if key != name} if not rest else fields
