"""Values that columns hold as JSON, and the type of those that are times."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines.providers.instants import EARLIEST, LATEST, read_instant
from pipelines.providers.items import NOTHING, Fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Field -> its value in each of several objects.
Columns = dict[str, list[Any]]
TIMESTAMP = pl.Datetime("us", "UTC")
# As nearly every server writes an instant, and what reads it so.
PLAIN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?Z$"
SECONDS_FORMAT = "%Y-%m-%dT%H:%M:%S"
SECONDS_LENGTH = len("2026-01-01T00:00:00")

_encoder = msgspec.json.Encoder(order="sorted")


def to_columns(struct: type[msgspec.Struct], objects: Iterable[msgspec.Struct]) -> Columns:
    """Return field -> its value in each of the objects."""
    names = struct.__struct_fields__
    values = list(chain.from_iterable(map(msgspec.structs.astuple, objects)))
    return {name: values[index :: len(names)] for index, name in enumerate(names)}


def drop_empty(columns: Columns, names: Iterable[str]) -> Columns:
    """Return those of the named columns that hold an empty text, with None in its place.

    Servers that cannot leave a field out say "" instead.
    """
    found = [name for name in names if "" in columns[name]]
    return {name: [None if value == "" else value for value in columns[name]] for name in found}


def read_instants(texts: pl.DataFrame) -> pl.DataFrame:
    """Return columns of timestamps as `read_instant` reads them: microseconds since 1970."""
    said = pl.all()
    # Apart, for with a fraction in its format polars takes three times as long.
    seconds = said.str.head(SECONDS_LENGTH).str.to_datetime(
        SECONDS_FORMAT, time_unit="us", strict=False, cache=False
    )
    digits = said.str.slice(SECONDS_LENGTH + 1, 6).str.strip_chars_end("Z").str.pad_end(6, "0")
    instants = seconds.dt.timestamp("us") + digits.cast(pl.Int64, strict=False)
    read = texts.select(pl.when(said.str.contains(PLAIN)).then(instants))
    read = read.select(pl.when(pl.all().is_between(EARLIEST, LATEST, closed="left")).then(pl.all()))
    return read.with_columns(_read_odd(texts[name], read[name]) for name in texts.columns)


def _read_odd(texts: pl.Series, read: pl.Series) -> pl.Series:
    if texts.null_count() == read.null_count():
        return read  # nearly always
    odd = (texts.is_not_null() & read.is_null()).arg_true()
    return read.scatter(odd, list(map(read_instant, texts.gather(odd)))) if len(odd) else read


def to_json(objects: Sequence[Fields | None]) -> list[str | None]:
    """Return what is known of each object as JSON with sorted keys; None if nothing is."""
    rows = [row for row, fields in enumerate(objects) if fields]
    text = _encoder.encode_lines([objects[row] for row in rows]).decode()
    may_be_unknown = "null" in text or "{}" in text
    known: list[str | None] = [None] * len(objects)
    for row, line in zip(rows, text.split("\n")[:-1], strict=True):
        is_known = not may_be_unknown or ("null" not in line and "{}" not in line)
        known[row] = line if is_known else encode_known(objects[row])
    return known


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


def merge(fields: Fields, path: Sequence[str], value: object) -> Fields:
    """Return the fields with a value at a path."""
    name, *rest = path
    return fields | {name: merge(fields.get(name, NOTHING), rest, value) if rest else value}
