"""What to poll, how fast, and where the data lies: read, validated and explained.

The file (`sessions.yaml`, or `$SESSION_THREADS_CONFIG`) and the variables are described in the
README. `load_settings` returns them checked, or raises one `SettingsError` that names the place
and the fix. A token never stands in the file: it is read from the environment.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from pipelines.config.rejections import explain_rejection
from pipelines.config.values import (
    DEFAULT_BASE_URL,
    BaseUrl,
    Directory,
    Name,
    PollInterval,
    SessionId,
    check_no_duplicate,
)
from pipelines.errors import SettingsError
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

DEFAULT_SOURCE = "qoder"
DEFAULT_TOKEN_VARIABLES = ("QODER_PAT", "QODER_ACCESS_TOKEN")
DEFAULT_FILE = "sessions.yaml"

# One poll may be late or fail without anyone being called.
STALE_AFTER_INTERVALS = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Session(_Strict):
    """One session to poll; `label` is what people call it."""

    id: SessionId
    label: str | None = None


def _session_from_id(value: Any) -> Any:  # noqa: ANN401 - whatever the YAML held
    if isinstance(value, str):
        return {"id": value}
    if isinstance(value, dict):
        return value
    raise ValueError("must be a session id, or {id: …, label: …}")


def check_no_session_twice(sessions: tuple[Session, ...]) -> tuple[Session, ...]:
    """Reject a session that is listed twice: its two polls would contradict each other."""
    check_no_duplicate("session", [session.id for session in sessions])
    return sessions


class Source(_Strict):
    """One API, the token for it, and the sessions to poll there. Times carry their unit."""

    name: Name = DEFAULT_SOURCE
    provider: Name = DEFAULT_PROVIDER
    base_url: BaseUrl = DEFAULT_BASE_URL
    token_env: Name | None = None
    max_requests_per_second: float = Field(default=50, gt=0, le=1000)
    min_page_interval_ms: int = Field(default=100, ge=0)
    max_concurrency: int = Field(default=8, ge=1, le=256)
    request_timeout_s: float = Field(default=60, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    retry_budget_s: float = Field(default=300, ge=0)
    max_pages_per_session: int = Field(default=10_000, ge=1)
    order: Literal["asc", "desc"] | None = None
    sessions: Annotated[
        tuple[Annotated[Session, BeforeValidator(_session_from_id)], ...],
        AfterValidator(check_no_session_twice),
    ] = Field(min_length=1, strict=False)
    # From the environment, never from the file, and in no dump or repr of the settings.
    _token: SecretStr = PrivateAttr(default=SecretStr(""))

    @property
    def token(self) -> SecretStr:
        """The access token; `get_secret_value()` is called by the client alone."""
        return self._token


def check_no_source_twice(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Reject two sources of one name."""
    check_no_duplicate("source", [source.name for source in sources])
    return sources


class Settings(_Strict):
    """Everything that one run needs to know, but the data directory (see `data_home`)."""

    sources: Annotated[tuple[Source, ...], AfterValidator(check_no_source_twice)] = Field(
        min_length=1, strict=False
    )
    poll_interval_minutes: PollInterval = 15
    raw_retention_days: int | None = Field(default=14, ge=1)
    keep_agent_definition: bool = False
    analyses_dir: Directory | None = None
    attention_after_minutes: int = Field(default=60, ge=1)
    webhook_url_env: Name | None = None


# The model of each depth of the document: its keys, a source's, a session's.
MODELS: dict[int, type[BaseModel]] = {1: Settings, 3: Source, 5: Session}


def load_settings(
    environ: Mapping[str, str] | None = None, *, with_tokens: bool = True
) -> Settings:
    """Return the settings of the file and the variables, tokens included where they are needed.

    Raises SettingsError: one line that names the file or variable, the key and the fix.
    """
    environ = os.environ if environ is None else environ
    where, document = _read_document(environ)
    reject_secrets(where, document)
    overridden = _apply_variables(document, environ)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise explain_rejection(where, overridden, error.errors(), MODELS) from None
    for source in settings.sources if with_tokens else ():
        source._token = _find_token(source, environ)  # noqa: SLF001 - filled here, read elsewhere
    return settings


def data_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the data directory, absolute."""
    environ = os.environ if environ is None else environ
    return Path(environ.get("SESSION_THREADS_HOME") or "data").absolute()


def load_key(key: str, environ: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - any key's
    """Return the value of one key of the file's top level; its default where that is rejected.

    A broken file must not take the schedule or the analyses away: each run then fails and says why.
    """
    field = Settings.model_fields[key]
    kind = Annotated[(field.annotation, field)]  # type: ignore[name-defined]
    where = ""
    try:
        where, document = _read_document(os.environ if environ is None else environ)
        return TypeAdapter(kind).validate_python(document.get(key, field.default), strict=True)
    except SettingsError as error:
        logger.warning("%s Until then %s is %s.", error, key, field.default)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        logger.warning("%s: %s: %s. Until then it is %s.", where, key, problem, field.default)
    return field.default


def load_analyses_dir(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the directory of the user's own analyses, if there is one."""
    directory = load_key("analyses_dir", environ)
    return Path(directory) if directory else None


def load_analysis_settings(environ: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return what the analyses read of the configuration, and what follows from it, by its key."""
    key = "attention_after_minutes"
    stale_after = load_stale_minutes(environ)
    return {key: float(load_key(key, environ)), "stale_after_minutes": float(stale_after)}


def load_stale_minutes(environ: Mapping[str, str] | None = None) -> int:
    """Return after how many minutes without a complete poll a session is stale."""
    interval: int = load_key("poll_interval_minutes", environ)
    return STALE_AFTER_INTERVALS * interval


def _read_document(environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    named = environ.get("SESSION_THREADS_CONFIG")
    path = Path(named or DEFAULT_FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise SettingsError(named, "no such file", "Fix SESSION_THREADS_CONFIG.") from None
        return f"{DEFAULT_FILE} (not found)", {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"cannot be read: {error}", "Make it readable.") from None
    document = _parse_yaml(path, text)
    if isinstance(own := document.get("analyses_dir"), str):
        document["analyses_dir"] = str(path.absolute().parent / own)
    return str(path), document


def _parse_yaml(path: Path, text: str) -> dict[str, Any]:
    try:
        try:
            document = yaml.load(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:
            document = yaml.safe_load(text)  # ten times as slow, and says better what is wrong
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise SettingsError(place, f"not YAML: {problem}", "Fix this line.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(str(path), "must hold keys like `sources:`", "The README shows one.")
    return document


def reject_secrets(where: str, document: Any, key: str = "") -> None:  # noqa: ANN401 - any YAML
    """Raise where a value of the file is a secret: a token, or the URL of a webhook.

    The message names the key and never the value.
    """
    if isinstance(document, dict):
        for name, value in document.items():
            reject_secrets(where, value, f"{key}.{name}" if key else str(name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            reject_secrets(where, value, f"{key}[{index}]")
    last = key.rpartition(".")[2].lower()
    if last.startswith("webhook") and "/" in str(document):
        raise SettingsError(
            f"{where}: {key}",
            "a webhook's URL is a secret and must not stand in a file",
            "Remove it, replace that webhook, and put the NAME of a variable into webhook_url_env.",
        )
    is_secret_key = last in {"token", "pat", "password", "secret", "api_key", "authorization"}
    if is_secret_key or (isinstance(document, str) and document.strip().startswith("pt-")):
        raise SettingsError(
            f"{where}: {key}",
            "a token must not stand in a file",
            "Remove it, revoke that token, and put the NAME of a variable into token_env.",
        )


def _apply_variables(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Let variables override the source `qoder`, in place; return key -> variable where they do."""
    base_url = environ.get("QODER_BASE_URL")
    ids = [part.strip() for part in environ.get("QODER_SESSION_IDS", "").split(",")]
    ids = [part for part in ids if part]
    reject_secrets("QODER_SESSION_IDS", ids)
    if ids:
        document.setdefault("sources", [{}])
    sources = document.get("sources")
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict) and source.get("name", DEFAULT_SOURCE) == DEFAULT_SOURCE:
            source.update({"base_url": base_url} if base_url else {})
            source.update({"sessions": ids} if ids else {})
    names = {"base_url": base_url and "QODER_BASE_URL", "sessions": ids and "QODER_SESSION_IDS"}
    return {key: str(variable) for key, variable in names.items() if variable}


def _find_token(source: Source, environ: Mapping[str, str]) -> SecretStr:
    names = (source.token_env,) if source.token_env else DEFAULT_TOKEN_VARIABLES
    token = next((environ[name].strip() for name in names if environ.get(name, "").strip()), "")
    place, variable = f"source {source.name}: token", " or ".join(names)
    if not token:
        fix = f"Put the access token into it: export {names[0]}=…"
        raise SettingsError(place, f"the variable {variable} is not set", fix)
    if not (token.isascii() and token.isprintable()) or " " in token:
        problem = f"the variable {variable} holds a space or a character that no token has"
        raise SettingsError(place, problem, "Copy the token again.")
    return SecretStr(token)
