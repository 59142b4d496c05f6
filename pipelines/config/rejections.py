"""Refusals of the configuration in its own terms: which key, what is wrong, how to fix it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from pydantic_core import PydanticUndefined

from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails


def explain_rejection(
    where: str,
    overridden: Mapping[str, str],
    details: list[ErrorDetails],
    models: Mapping[int, type[BaseModel]],
) -> SettingsError:
    """Return the most telling of pydantic's findings as an error.

    `where` is the file; `overridden` maps the keys that a variable gave to its name; `models`
    maps the depth of a key to the model that has it.
    """
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    loc = first["loc"]
    key = _key(first)
    place = f"{where}: {key}" if key else where
    if len(loc) > 2 and loc[2] in overridden:  # noqa: PLR2004 - sources, index, key
        place = overridden[str(loc[2])]
    name = str(loc[-1]) if loc else ""
    fields = models[len(loc)].model_fields if len(loc) in models else {}
    if first["type"] == "extra_forbidden":
        return SettingsError(place, "unknown key", _suggest_key(name, list(fields)))
    if first["type"] in {"missing", "too_short"} and name in {"sources", "sessions"}:
        fix = (
            "List session ids under sources: sessions: in sessions.yaml, or set QODER_SESSION_IDS."
        )
        return SettingsError(place, "there are no sessions to poll", fix)
    return SettingsError(place, _describe(first), _suggest_value(name, fields.get(name)))


def _describe(detail: ErrorDetails) -> str:
    if detail["type"] == "tuple_type":
        return "must be a list, each entry on its own line after a dash"
    if detail["type"].startswith(("model", "dict")):
        return "must be a mapping of keys to values"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = message[:1].lower() + message[1:]
    value = detail["input"]
    is_plain = isinstance(value, str | int | float) and "@" not in str(value)
    return f"{message}, not {value!r}" if is_plain else message


def _key(detail: ErrorDetails) -> str:
    path = ""
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def _suggest_key(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"The keys here are: {', '.join(known)}."


def _suggest_value(key: str, field: FieldInfo | None) -> str:
    if field is None or field.default in (None, PydanticUndefined):
        return "Fix it and run `session-threads check`."
    default = str(field.default).lower() if field.default in (True, False) else field.default
    return f"For example: {key}: {default}"
