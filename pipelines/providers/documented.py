"""What an API documents of its items, beyond what the fields of a struct can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

# In which threads a number is another one at each reading, though nothing happens to them.
Growth = Literal["until archived", "while running"]
JsonType = Literal["string", "number", "boolean", "object", "array", "null"]


class Documented(msgspec.Struct, frozen=True, kw_only=True):
    """What is no news in an item, under its path in it.

    `fields` are those that no field of the struct holds whole, each with its JSON type; None if it
    may hold anything. `values` are those of enumerations. `growing` are the fields whose numbers
    grow by themselves: stored with a change, but none.
    """

    fields: Mapping[str, JsonType | None] = {}
    values: Mapping[str, tuple[str, ...]] = {}
    growing: Mapping[str, Growth] = {}
