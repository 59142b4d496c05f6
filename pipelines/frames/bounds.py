"""What a thread may hold beside its columns, and how long their texts may be.

All of it is in the landed page; what is left out of the tables is named in `extra`, under CUT, with
its length there.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines.frames.values import Columns, encode_known, to_json
from pipelines.providers.items import NOTHING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from pipelines.providers.items import Fields

    # Row -> field -> characters of what was cut.
    Lengths = dict[int, dict[str, int]]

# Characters of a text, and of the JSON that one column holds.
MAX_TEXT = 1_000
MAX_JSON = 16_000
CUT = "(cut)"


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text that is not longer than the limit; different ones stay different."""
    if len(text) <= limit:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{text[: limit - len(digest) - 1]}…{digest}"


def shorten_texts(
    columns: Columns, others: Container[str], lengths: Lengths
) -> dict[str, pl.Series]:
    """Return the columns of texts, with too long ones shortened.

    `others` are the columns that hold no texts; `lengths` gets those of what was cut.
    """
    texts = pl.DataFrame(
        [
            pl.Series(name, values, pl.String())
            for name, values in columns.items()
            if name not in others
        ]
    )
    longest = texts.select(pl.all().str.len_bytes().max()).row(0, named=True)
    for name in [name for name, length in longest.items() if (length or 0) > MAX_TEXT]:
        rows = (texts[name].str.len_chars() > MAX_TEXT).arg_true()
        for row in rows:
            lengths.setdefault(row, {})[name] = len(columns[name][row])
        short = [shorten(columns[name][row]) for row in rows]
        texts = texts.with_columns(texts[name].scatter(rows, short))
    return texts.to_dict()


def encode_objects(
    columns: Mapping[str, Sequence[Fields | None]], extras: Sequence[Fields], lengths: Lengths
) -> Columns:
    """Return columns of objects as JSON within the limit; `extra` names all that was cut.

    `lengths` says what was cut before, and gets what is cut here.
    """
    encoded: Columns = {}
    for name, objects in {**columns, "extra": extras}.items():
        encoded[name] = lines = to_json(objects)
        if max(map(len, filter(None, lines)), default=0) <= MAX_JSON:
            continue
        for row, line in enumerate(lines):
            if line is not None and len(line) > MAX_JSON:
                lengths.setdefault(row, {})[name] = len(line)
                lines[row] = encode_known(_cut(objects[row] or NOTHING))
    for row, cut in lengths.items():
        kept = _cut(extras[row]) if "extra" in cut else extras[row]
        encoded["extra"][row] = encode_known(kept | {CUT: cut})
    return encoded


def _cut(fields: Fields) -> Fields:
    """Return of an object as many fields as its JSON has room for, the shortest first."""
    encode = msgspec.json.encode
    sizes = {name: len(encode(value)) + len(encode(name)) + 2 for name, value in fields.items()}
    room, kept = MAX_JSON, set()
    for name in sorted(fields, key=lambda name: (sizes[name], name)):
        room -= sizes[name]
        if room < 0:
            break
        kept.add(name)
    return {name: value for name, value in fields.items() if name in kept}
