"""Values that columns hold as JSON, and the type of those that are times."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.providers.items import NOTHING, Fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Field -> its value in each of several objects.
Columns = dict[str, list[Any]]
TIMESTAMP = pl.Datetime("us", "UTC")

_encoder = msgspec.json.Encoder(order="sorted")


def to_columns(struct: type[msgspec.Struct], objects: Iterable[msgspec.Struct]) -> Columns:
    """Return field -> its value in each of the objects."""
    names = struct.__struct_fields__
    values = list(chain.from_iterable(map(msgspec.structs.astuple, objects)))
    return {name: values[index :: len(names)] for index, name in enumerate(names)}


def to_json(objects: Sequence[Fields | None]) -> list[str | None]:
    """Return what is known of each object as JSON with sorted keys; None if nothing is."""
    lines = _encoder.encode_lines(objects).decode().split("\n")[:-1]
    return [
        encode_known(fields) if "null" in line or "{}" in line else line
        for fields, line in zip(objects, lines, strict=True)
    ]


def encode_known(fields: Fields | None) -> str | None:
    """Return what is known of an object as JSON with sorted keys; None if nothing is."""
    known = _prune(fields) if fields else None
    return _encoder.encode(known).decode() if known else None


def _prune(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out of an object what is null or {}: not known."""
    if not isinstance(value, dict):
        return value
    pruned = {name: _prune(inner) for name, inner in value.items()}
    return {name: inner for name, inner in pruned.items() if inner is not None and inner != {}}


def coalesce(value: Any, other: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the value, or the other one if there is none."""
    return other if value is None else value


def merge(fields: Fields, path: Sequence[str], value: object) -> Fields:
    """Return the fields with a value at a path."""
    name, *rest = path
    return fields | {name: merge(fields.get(name, NOTHING), rest, value) if rest else value}
