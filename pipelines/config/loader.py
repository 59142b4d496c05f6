"""The file (`sessions.yaml`, or `$SESSION_THREADS_CONFIG`) and the variables, read as settings.

Both are described in the README. What is wrong is one `SettingsError`: the place and the fix.
No library reads the variables: two of them belong to the source of one name within a list, which
pydantic-settings cannot say, and its errors name the key and not the variable that held it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from pipelines.config.discovery import read_sessions_file
from pipelines.config.document import read_document, reject_secrets
from pipelines.config.place import read_places
from pipelines.config.rejections import Origin, explain_rejection, suggest_name
from pipelines.config.settings import Settings, Source, data_home
from pipelines.config.values import is_loopback
from pipelines.config.wire import FromVariable
from pipelines.errors import SettingsError
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipelines.config.settings import Preset

logger = logging.getLogger(__name__)


def load_settings(
    presets: Mapping[str, Preset],
    environ: Mapping[str, str] | None = None,
    *,
    with_tokens: bool = True,
) -> Settings:
    """Return the settings of the file and the variables, with tokens if they are needed.

    `presets` are the providers that there are, by name. Raises SettingsError: one line that names
    the file or variable, the key and the fix.
    """
    environ = os.environ if environ is None else environ
    where, document = read_document(environ)
    reject_secrets(where, document)
    origin = Origin(where, presets[DEFAULT_PROVIDER])
    complete_sources(document, presets, environ, origin)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise explain_rejection(origin, error.errors()) from None
    if not settings.sources:
        raise explain_rejection(origin, [{"type": "missing", "loc": ("sources",)}])
    for index, source in enumerate(settings.sources):
        check_order(source, presets[source.provider], where)
        add_sessions(source, index, origin)
        if with_tokens:
            source._token = find_token(source, presets, environ)  # noqa: SLF001 - filled here, read elsewhere
            source._variables = find_variables(source, environ)  # noqa: SLF001 - as the token
    settings._home = data_home(environ)  # noqa: SLF001 - as the token
    settings._places = read_places(where, document, environ)  # noqa: SLF001 - as the token
    return settings


def load_tolerant(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings without the sources, for what polls nothing; what is wrong is logged.

    A broken file must not take the schedule or the analyses away: defaults stand in for what is
    rejected, and no landed page is removed; each run then fails and says why.
    """
    environ = os.environ if environ is None else environ
    problems: list[SettingsError] = []
    where, document = "", dict[str, Any]()
    try:
        where, document = read_document(environ)
    except SettingsError as error:
        problems.append(error)
    document.pop("sources", None)
    places = read_places(where, document, environ)
    for key in list(document):
        try:
            reject_secrets(where, document[key], key)
            Settings.model_validate({key: document[key]})
        except SettingsError as error:
            problems.append(error)
            del document[key]
        except ValidationError as error:
            problems.append(explain_rejection(Origin(where), error.errors()))
            del document[key]
    for problem in problems:
        logger.warning("%s Until then a default stands in.", problem)
    keep = {"raw_retention_days": None} if problems else {}
    settings = Settings.model_validate(document | keep)
    settings._home, settings._places = data_home(environ), places  # noqa: SLF001 - read elsewhere
    return settings


def complete_sources(
    document: dict[str, Any],
    presets: Mapping[str, Preset],
    environ: Mapping[str, str],
    origin: Origin,
) -> None:
    """Fill in, in place, what the providers give, and what their variables say instead.

    Notes in the origin where a value comes from. Raises SettingsError for an unknown provider.
    """
    overrides = {name: read_variables(preset, environ) for name, preset in presets.items()}
    polled = [{"provider": name} for name, found in overrides.items() if "sessions" in found]
    sources = document.setdefault("sources", polled)
    for index, source in enumerate(sources if isinstance(sources, list) else []):
        if not isinstance(source, dict):
            continue
        preset = choose_preset(source, presets, f"{origin.where}: sources[{index}].provider")
        origin.presets[index] = preset
        complete_source(source, preset)
        if source["name"] == preset.name:
            for key, (variable, value) in overrides.pop(preset.name, {}).items():
                source[key] = value
                origin.variables[index, key] = variable
    if sources:
        reject_unused(overrides)


def complete_source(source: dict[str, Any], preset: Preset) -> None:
    """Fill in, in place, what the provider gives; headers and parameters one by one."""
    source.setdefault("name", preset.name)
    if preset.base_url:
        source.setdefault("base_url", preset.base_url)
    for key, default in preset.defaults.items():
        given = source.get(key)
        if given is None:
            source[key] = default
        elif isinstance(default, dict) and isinstance(given, dict):
            source[key] = merge_sent(default, given)


def merge_sent(default: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent by default, but for what a source says by the same name, in any case."""
    named = {str(name).lower() for name in given}
    return {name: value for name, value in default.items() if name.lower() not in named} | {**given}


def reject_unused(overrides: Mapping[str, Mapping[str, tuple[str, Any]]]) -> None:
    """Raise SettingsError for a variable that overrides nothing: who set it expects more."""
    for name, found in overrides.items():
        for variable, _ in found.values():
            problem = f"overrides nothing, for no source is called {name}"
            raise SettingsError(variable, problem, f"Unset it, or call the source {name}.")


def read_variables(preset: Preset, environ: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Return key of a source -> the variable that overrides it and its value, if it is set."""
    variables = {"base_url": preset.base_url_variable, "sessions": preset.session_ids_variable}
    found: dict[str, tuple[str, Any]] = {
        key: (name, environ[name]) for key, name in variables.items() if name and environ.get(name)
    }
    if "sessions" in found:
        variable, text = found.pop("sessions")
        ids = [part.strip() for part in text.split(",") if part.strip()]
        reject_secrets(variable, ids)
        found |= {"sessions": (variable, ids)} if ids else {}
    return found


def choose_preset(source: Mapping[str, Any], presets: Mapping[str, Preset], place: str) -> Preset:
    """Return the provider that the source names. Raises SettingsError if there is none."""
    name = source.get("provider", DEFAULT_PROVIDER)
    if not isinstance(name, str) or name not in presets:
        fix = suggest_name(str(name), list(presets), "providers")
        raise SettingsError(place, f"unknown provider {name!r}", fix)
    return presets[name]


def add_sessions(source: Source, index: int, origin: Origin) -> None:
    """Add what the source's file of sessions lists. Raises SettingsError if there are none."""
    if source.sessions_file:
        path = Path(origin.where).absolute().parent / source.sessions_file
        place = f"{origin.where}: sources[{index}].sessions_file"
        source._file_sessions = read_sessions_file(path, place)  # noqa: SLF001 - filled here, read elsewhere
    elif not source.sessions and source.discover is None:
        raise explain_rejection(
            origin, [{"type": "missing", "loc": ("sources", index, "sessions")}]
        )


def check_order(source: Source, preset: Preset, where: str) -> None:
    """Raise SettingsError if the source asks for an order that the provider's servers reject."""
    if source.order and not preset.takes_order:
        place = f"{where}: source {source.name}: order"
        raise SettingsError(place, f"{preset.name} lists threads in one order alone", "Remove it.")


def find_token(
    source: Source, presets: Mapping[str, Preset], environ: Mapping[str, str]
) -> SecretStr:
    """Return the token of the first variable that holds one.

    That of a variable that the configuration does not name goes to its providers' hosts and to this
    machine alone. Raises SettingsError.
    """
    place, preset = f"source {source.name}: token", presets[source.provider]
    names = (source.token_env,) if source.token_env else preset.token_variables
    fix = "Name the variable that holds it: token_env: NAME."
    if not names:
        raise SettingsError(place, f"the provider {preset.name} knows no variable for it", fix)
    host = urlsplit(source.base_url).hostname or ""
    hosts = list_hosts(names, presets)
    if not (source.token_env or host in hosts or is_loopback(host)):
        problem = f"that of {names[0]} goes to {' and '.join(sorted(hosts))} alone, not to {host}"
        raise SettingsError(place, problem, fix)
    return read_secret(place, names, environ)


def list_hosts(variables: Collection[str], presets: Mapping[str, Preset]) -> set[str]:
    """Return the hosts of the providers whose token is in one of these variables."""
    return {
        urlsplit(preset.base_url).hostname or ""
        for preset in presets.values()
        if preset.base_url and not set(variables).isdisjoint(preset.token_variables)
    }


def find_variables(source: Source, environ: Mapping[str, str]) -> dict[str, SecretStr]:
    """Return the values of the variables that headers and parameters name, by these names."""
    named = [
        (f"source {source.name}: {key}.{name}", value.name)
        for key, sent in (("headers", source.headers), ("params", source.params))
        for name, value in sent.items()
        if isinstance(value, FromVariable)
    ]
    return {variable: read_secret(place, (variable,), environ) for place, variable in named}


def read_secret(place: str, names: Sequence[str], environ: Mapping[str, str]) -> SecretStr:
    """Return the value of the first variable that holds one. Raises SettingsError."""
    secret = next((environ[name].strip() for name in names if environ.get(name, "").strip()), "")
    variable = " or ".join(names)
    if not secret:
        fix = f"Put it there: export {names[0]}=…"
        raise SettingsError(place, f"the variable {variable} is not set", fix)
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        problem = f"the variable {variable} holds a space or a character that no token has"
        raise SettingsError(place, problem, "Copy it again.")
    return SecretStr(secret)
