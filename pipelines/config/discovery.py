"""Which sessions of a source are found by asking its server, and those that a file lists."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator

from pipelines.config.document import read_bounded
from pipelines.config.values import Strict, check_session_id
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def read_day(value: object) -> datetime | None:
    """Return the beginning of a day in UTC, or an instant with an offset. Raises ValueError."""
    if isinstance(value, str):
        is_day = len(value) == len("2026-11-01")
        value = date.fromisoformat(value) if is_day else datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("must say its offset, such as 2026-11-01T00:00:00Z")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if value is None:
        return None
    raise ValueError("must be a date such as 2026-11-01")


Day = Annotated[datetime | None, PlainValidator(read_day)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]


class Discover(Strict):
    """Which sessions are polled without being named: all that are not archived, by default.

    A session must pass every filter. `title_matches` is a pattern such as `nightly*`.
    """

    created_within_days: int | None = Field(default=None, ge=1)
    created_after: Day = None
    include_archived: bool = False
    statuses: Texts = ()
    agent_ids: Texts = ()
    title_matches: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    max_sessions: int = Field(default=10_000, ge=1)


def _read_discover(value: Any) -> Any:  # noqa: ANN401 - whatever the YAML held
    if value is True:
        return {}
    if value is False:
        return None
    return value


DiscoverKey = Annotated[Discover | None, BeforeValidator(_read_discover)]


def read_sessions_file(path: Path, where: str) -> dict[str, str | None]:
    """Return the sessions that a file lists: id -> label. Raises SettingsError with the line.

    One id a line, and after a space what people call it; empty lines and those that begin with #
    say nothing.
    """
    try:
        lines = read_bounded(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path} cannot be read: {error}"
        raise SettingsError(where, problem, "Write it, an id a line.") from None
    found: dict[str, str | None] = {}
    for number, line in enumerate(lines, 1):
        id_, _, label = line.strip().partition(" ")
        if id_ and not id_.startswith("#"):
            _check_line(f"{path}:{number}", id_, found)
            found[id_] = label.strip() or None
    return found


def _check_line(place: str, session_id: str, found: Collection[str]) -> None:
    problem = f"the session {session_id!r} is listed twice" if session_id in found else None
    try:
        check_session_id(session_id)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise SettingsError(place, problem, "Fix this line.")
