"""The file of the configuration as it was written: YAML, without secrets."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipelines.errors import SettingsError
from pipelines.files import find_others

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = "sessions.yaml"
# How tokens begin, whoever's they are: none may stand in a file.
TOKEN_PREFIXES = ("pt-", "sk-ant-")
# Keys whose value is the NAME of a variable with a secret.
VARIABLE_KEYS = ("_env", "env")
OWN = "Own it, and let nobody else write: chmod go-w on the file and its folder."
# No configuration is longer; a device may have no end.
MOST_BYTES = 16 * 2**20
TOO_DEEP = "nested too deeply, or within itself"


class DuplicateKey(yaml.MarkedYAMLError):
    """A mapping has a key twice, of which YAML would drop the first without a word."""


class _UniqueKeys(yaml.constructor.SafeConstructor):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in lines:
                problem = f"the key {key.value!r} is given twice, first in line {lines[key.value]}"
                raise DuplicateKey(problem=problem, problem_mark=key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


class _Loader(_UniqueKeys, yaml.CSafeLoader):
    pass


class _ExplainingLoader(_UniqueKeys, yaml.SafeLoader):
    pass


def read_bounded(path: Path) -> str:
    """Return the text of a file of the user's. Raises OSError if it is longer than MOST_BYTES."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content.decode("utf-8")


def read_document(environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the file's name and its keys, none if there is no file. Raises SettingsError.

    Directories are relative to the file's.
    """
    named = environ.get("SESSION_THREADS_CONFIG")
    reject_tilde("SESSION_THREADS_CONFIG", named)
    path = Path(named or DEFAULT_FILE)
    try:
        text = read_bounded(path)
        others = find_others(path)
    except FileNotFoundError:
        if named:
            raise SettingsError(named, "no such file", "Fix SESSION_THREADS_CONFIG.") from None
        return f"{DEFAULT_FILE} (not found)", {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}", "Make it readable.") from None
    if others:
        raise SettingsError(str(path), f"{others}, and says where your token goes", OWN)
    document = _parse_yaml(path, text)
    own = document.get("analyses_dir")
    if isinstance(own, str) and not own.startswith("~"):
        document["analyses_dir"] = str(path.absolute().parent / own)
    return str(path), document


def list_secret_variables(document: Any) -> set[str]:  # noqa: ANN401 - any YAML
    """Return the variables that the file names for what must not stand in it: `token_env` etc."""
    if isinstance(document, list):
        return set().union(*map(list_secret_variables, document))
    if not isinstance(document, dict):
        return set()
    found = {str(value) for key, value in document.items() if str(key).endswith(VARIABLE_KEYS)}
    return found.union(*map(list_secret_variables, document.values()))


def reject_tilde(place: str, path: str | None) -> None:
    """Raise SettingsError for a path that a shell would have to complete."""
    if path and path.startswith("~"):
        problem = "~ is a shell's word for the home directory, and means nothing here"
        raise SettingsError(place, problem, "Write the whole path.")


def _parse_yaml(path: Path, text: str) -> dict[str, Any]:
    try:
        try:
            document = yaml.load(text, Loader=_Loader)  # noqa: S506 - safe loaders, both
        except yaml.YAMLError:
            # Ten times as slow, and says better what is wrong.
            document = yaml.load(text, Loader=_ExplainingLoader)  # noqa: S506
    except RecursionError:
        raise SettingsError(str(path), TOO_DEEP, "The README shows one.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "cannot be parsed"
        if isinstance(error, DuplicateKey):
            raise SettingsError(place, problem, "Merge the two.") from None
        raise SettingsError(place, f"not YAML: {problem}", "Fix this line.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(str(path), "must hold keys like `sources:`", "The README shows one.")
    return document


def reject_secrets(where: str, document: Any, key: str = "") -> None:  # noqa: ANN401 - any YAML
    """Raise if a value of the file is a secret: a token, or the URL of a webhook.

    The message names the key and never the value. Raises for a value within itself, too.
    """
    try:
        _reject_secrets(where, document, key)
    except RecursionError:
        raise SettingsError(where, TOO_DEEP, "The README shows one.") from None


def _reject_secrets(where: str, document: Any, key: str) -> None:  # noqa: ANN401 - any YAML
    if isinstance(document, dict):
        for name, value in document.items():
            _reject_secrets(where, value, f"{key}.{name}" if key else str(name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            _reject_secrets(where, value, f"{key}[{index}]")
    last = key.rpartition(".")[2].lower()
    if last.startswith("webhook") and "/" in str(document):
        raise SettingsError(
            f"{where}: {key}",
            "a webhook's URL is a secret and must not stand in a file",
            "Remove it, replace that webhook, and put the NAME of a variable into webhook_url_env.",
        )
    is_text = isinstance(document, str)
    is_secret_key = last in {"token", "pat", "password", "secret", "api_key", "authorization"}
    is_named = isinstance(document, dict) and document.keys() == {"env"}
    if (is_secret_key and not is_named) or (
        is_text and document.strip().startswith(TOKEN_PREFIXES)
    ):
        raise SettingsError(
            f"{where}: {key}",
            "a token must not stand in a file",
            "Remove it, revoke that token, and put the NAME of a variable into token_env.",
        )
