"""Rejections of the configuration in its own terms: which key, what is wrong, how to fix it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic_core import PydanticUndefined

from pipelines.config.discovery import Discover
from pipelines.config.settings import Preset, Session, Settings, Source
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


# The model of each depth of the document: its keys, a source's, its filter's, a session's.
MODELS: dict[int, type[BaseModel]] = {1: Settings, 3: Source, 4: Discover, 5: Session}
SOURCE_KEY = 3


class Origin(msgspec.Struct):
    """Where the configuration came from: `where` is the file.

    `presets` maps the index of a source to its provider, which is else the `default`; `variables`
    the index and a key of it to the variable that gave the value.
    """

    where: str
    default: Preset | None = None
    presets: dict[int, Preset] = {}
    variables: dict[tuple[int, str], str] = {}


def explain_rejection(origin: Origin, details: Sequence[Mapping[str, Any]]) -> SettingsError:
    """Return the most telling of pydantic's findings as an error."""
    first = min(details, key=lambda detail: bool(detail["type"] == "extra_forbidden"))
    loc = first["loc"]
    key = _key(loc)
    place = f"{origin.where}: {key}" if key else origin.where
    preset = origin.default
    if len(loc) >= SOURCE_KEY and loc[0] == "sources":
        place = origin.variables.get((loc[1], loc[2]), place)
        preset = origin.presets.get(loc[1], preset)
    name = str(loc[-1]) if loc else ""
    model = MODELS.get(len(loc)) if loc[:1] == ("sources",) or len(loc) == 1 else None
    fields = model.model_fields if model else {}
    if first["type"] == "extra_forbidden":
        return SettingsError(place, "unknown key", suggest_name(name, list(fields), "keys here"))
    if first["type"] == "missing" and name in {"sources", "sessions"}:
        variable = preset and preset.session_ids_variable
        fix = "List ids under sources: sessions: in sessions.yaml, let discover: true find them"
        fix += f", or set {variable}." if variable else "."
        return SettingsError(place, "there are no sessions to poll", fix)
    example = _find_default(fields.get(name))
    if name == "base_url":
        example = (preset and preset.base_url) or "https://host/path"
    return SettingsError(place, _describe(first), _suggest_value(name, example))


def _describe(detail: Mapping[str, Any]) -> str:
    if detail["type"] == "tuple_type":
        return "must be a list, each entry on its own line after a dash"
    if detail["type"].startswith(("model", "dict")):
        return "must be a mapping of keys to values"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = message[:1].lower() + message[1:]
    value = detail["input"]
    is_plain = isinstance(value, str | int | float) and "@" not in str(value)
    return f"{message}, not {value!r}" if is_plain else message


def _key(loc: Sequence[int | str]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def suggest_name(name: str, known: list[str], what: str) -> str:
    """Return what may have been meant, or all that is known."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"The {what} are: {', '.join(known)}."


def _find_default(field: FieldInfo | None) -> Any:  # noqa: ANN401 - any key's
    return None if field is None or field.default is PydanticUndefined else field.default


def _suggest_value(key: str, example: Any) -> str:  # noqa: ANN401 - any key's
    if example in (None, ()):
        return "Fix it and run `session-threads check`."
    return f"For example: {key}: {str(example).lower() if example in (True, False) else example}"
