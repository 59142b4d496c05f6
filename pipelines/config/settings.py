"""What to poll, how fast, and where the data are: the one model of the configuration.

`pipelines.config.loader` makes it of the file and the variables. A token is never in the file:
it is read from the environment.
"""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
)

from pipelines.config.discovery import DiscoverKey
from pipelines.config.document import reject_tilde
from pipelines.config.lake import Access, Data, Lake, ObjectStore, Places, WarehouseKey
from pipelines.config.polling import Polling
from pipelines.config.values import (
    BaseUrl,
    Directory,
    File,
    Name,
    PollInterval,
    SessionId,
    Strict,
    check_no_duplicate,
)
from pipelines.config.wire import FromVariable, Headers, Params
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.config.wire import Sent

# One poll may be late or fail without an alarm.
STALE_AFTER_INTERVALS = 2


def data_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the data directory, absolute. Raises SettingsError for one that begins with ~."""
    environ = os.environ if environ is None else environ
    named = environ.get("SESSION_THREADS_HOME")
    reject_tilde("SESSION_THREADS_HOME", named)
    return Path(named or "data").absolute()


class Preset(Protocol):
    """What a provider gives to a source of it that says nothing else, and its variables."""

    @property
    def name(self) -> str:
        """Return what a source is called."""

    @property
    def base_url(self) -> str | None:
        """Return where its API is; None if that is for the source to say."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Return what else a source says by default, by the key that says it."""

    @property
    def takes_order(self) -> bool:
        """Return whether threads can be asked for in an order."""

    @property
    def token_variables(self) -> tuple[str, ...]:
        """Return the variables that may hold the token, in this order."""

    @property
    def base_url_variable(self) -> str | None:
        """Return the variable that overrides the base URL of the source with the preset's name."""

    @property
    def session_ids_variable(self) -> str | None:
        """Return the variable that overrides its sessions: ids, separated by commas."""


class Session(Strict):
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


class Source(Strict):
    """One API, the token for it, and the sessions to poll there. Times carry their unit.

    What is not given is the provider's: its name, base URL, scheme, headers, page size and pace.
    """

    name: Name
    provider: Name = DEFAULT_PROVIDER
    base_url: BaseUrl
    token_env: Name | None = None
    max_requests_per_second: float = Field(default=50, gt=0, le=1000)
    min_page_interval_ms: int = Field(default=100, ge=0)
    max_concurrency: int = Field(default=8, ge=1, le=256)
    request_timeout_s: float = Field(default=60, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    retry_budget_s: float = Field(default=300, ge=0)
    page_limit: int = Field(default=100, ge=1)
    paging: Literal["cursors", "none"] = "cursors"
    lookup_limit: int = Field(default=100, ge=0)
    max_pages_per_session: int = Field(default=10_000, ge=1)
    auth: Literal["bearer", "x-api-key"] = "bearer"
    headers: Headers = Field(default_factory=dict)
    params: Params = Field(default_factory=dict)
    order: Literal["asc", "desc"] | None = None
    sessions: Annotated[
        tuple[Annotated[Session, BeforeValidator(_session_from_id)], ...],
        AfterValidator(check_no_session_twice),
    ] = Field(default=(), strict=False)
    sessions_file: File | None = None
    discover: DiscoverKey = None
    exclude: Annotated[tuple[SessionId, ...], Field(strict=False)] = ()
    # From the environment, never from the file, and in no dump or repr of the settings.
    _token: SecretStr = PrivateAttr(default=SecretStr(""))
    _file_sessions: dict[str, str | None] = PrivateAttr(default_factory=dict)
    _variables: dict[str, SecretStr] = PrivateAttr(default_factory=dict)

    def limit_page(self, most: int | None = None) -> int | None:
        """Return how many items to ask for at once, at most so many; None if it cannot be asked."""
        if self.paging == "none":
            return None
        return min(self.page_limit, most or self.page_limit)

    @property
    def file_sessions(self) -> dict[str, str | None]:
        """The sessions that `sessions_file` listed when the settings were read: id -> label."""
        return self._file_sessions

    @property
    def secrets(self) -> list[str]:
        """What no output, log, file or error may hold: the token, and values of variables."""
        return [secret.get_secret_value() for secret in (self._token, *self._variables.values())]

    def reveal(self, sent: Sent) -> dict[str, str]:
        """Return headers or parameters as they are sent; called by the client alone."""
        return {
            name: self._variables[value.name].get_secret_value()
            if isinstance(value, FromVariable)
            else value
            for name, value in sent.items()
        }

    @property
    def identity(self) -> str:
        """Its name, and a digest of server and token: what two configurations call one source."""
        asked = f"{self.base_url} {self._token.get_secret_value()}"
        return f"source {self.name} {hashlib.sha256(asked.encode()).hexdigest()[:16]}"

    @property
    def token(self) -> SecretStr:
        """The access token; `get_secret_value()` is called by the client alone."""
        return self._token


def check_no_source_twice(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """Reject two sources of one name."""
    check_no_duplicate("source", [source.name for source in sources])
    return sources


class Settings(Strict):
    """Everything that one run needs to know. `sources` are empty if nothing is polled."""

    sources: Annotated[tuple[Source, ...], AfterValidator(check_no_source_twice)] = Field(
        default=(), strict=False
    )
    poll_interval_minutes: PollInterval = 15
    raw_retention_days: int | None = Field(default=14, ge=1)
    keep_agent_definition: bool = False
    analyses_dir: Directory | None = None
    attention_after_minutes: int = Field(default=60, ge=1)
    run_deadline_minutes: int = Field(default=30, ge=1)
    analyses_memory_mb: int = Field(default=300, ge=100)
    webhook_url_env: Name | None = None
    polling: Polling = Field(default_factory=Polling)
    warehouse: WarehouseKey | None = None
    landing: Data | None = None
    s3: ObjectStore | None = None
    _home: Path = PrivateAttr(default_factory=data_home)
    # With secrets of the environment: in no dump or repr of the settings.
    _places: Places = PrivateAttr(default=Places())

    @property
    def home(self) -> Path:
        """The data directory, absolute."""
        return self._home

    @property
    def lake(self) -> Lake | None:
        """The lake that the tables are in; None if they are in a file of the data directory."""
        return self._places.lake

    @property
    def access(self) -> Access | None:
        """Who asks the object store of a place that is on one."""
        return self._places.access

    @property
    def stale_after(self) -> timedelta:
        """How long after its last complete poll began a session is stale."""
        return STALE_AFTER_INTERVALS * timedelta(minutes=self.poll_interval_minutes)

    @property
    def resting_stale_after(self) -> timedelta:
        """How long after its last complete poll began a session that rests is stale."""
        return timedelta(hours=self.polling.full_listing_hours) + self.stale_after

    @property
    def for_analyses(self) -> dict[str, float]:
        """What the analyses read of the configuration, and what follows from it, by its key."""
        return {
            "attention_after_minutes": float(self.attention_after_minutes),
            "stale_after_minutes": self.stale_after.total_seconds() / 60,
            "resting_stale_after_minutes": self.resting_stale_after.total_seconds() / 60,
        }
