"""What a value of the configuration may be: ids, URLs, names, intervals, directories.

Each check returns the value, or raises ValueError that says what it must be.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipelines.files import find_others

POLL_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)


class Strict(BaseModel):
    """A part of the configuration: no key that it does not know, no value of another type."""

    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, frozen=True)


def check_session_id(value: str) -> str:
    """Reject what could not be one segment of a URL's path."""
    if not value or value in {".", ".."}:
        raise ValueError("must be a session id, not empty and no dot segment")
    if any(separator in value for separator in ",;|"):
        raise ValueError("must not contain , ; or |: is it several ids? Commas separate them")
    if "/" in value or "\\" in value:
        raise ValueError("must not contain a slash")
    if not value.isprintable() or any(character.isspace() for character in value):
        raise ValueError("must not contain a space or a control character")
    return value


def check_base_url(value: str) -> str:
    """Reject every URL over which a token could leak; drop a slash at its end."""
    if not value.isprintable() or " " in value:
        raise ValueError("must not contain a space or a control character")
    parts = urlsplit(value)
    if parts.port == 0:  # asking for the port raises ValueError if it is none
        raise ValueError("must not have port 0")
    if parts.username or parts.password or "@" in parts.netloc:
        raise ValueError("must not contain user info")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("must not contain a query or a fragment")
    if not parts.hostname:
        raise ValueError("must be a URL like https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must begin with https:// (plain http only to a loopback address)")
    return value.rstrip("/")


def check_poll_interval(value: int) -> int:
    """Reject an interval that does not divide the hour: cron could not keep it."""
    if value not in POLL_INTERVALS:
        raise ValueError(f"must be one of {', '.join(map(str, POLL_INTERVALS))} minutes")
    return value


def check_directory(value: object) -> Path:
    """Reject what is no directory."""
    if str(value).startswith("~"):
        raise ValueError("must be a whole path: ~ is a shell's word, and means nothing here")
    if not (isinstance(value, str | Path) and Path(value).is_dir()):
        raise ValueError("must be a directory")
    if problem := find_others(Path(value)):
        raise ValueError(f"must be yours alone: it {problem}")
    return Path(value)


def check_file(value: object) -> Path:
    """Reject what is no path."""
    if not isinstance(value, str | Path) or not str(value) or str(value).startswith("~"):
        raise ValueError("must be a whole path, or one relative to this file")
    return Path(value)


def is_loopback(host: str) -> bool:
    """Whether the host can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_no_duplicate(what: str, values: list[str]) -> None:
    """Reject a value that is listed twice."""
    for value, times in Counter(values).most_common(1):
        if times > 1:
            raise ValueError(f"the {what} {value!r} is listed twice")


SessionId = Annotated[str, AfterValidator(check_session_id)]
BaseUrl = Annotated[str, AfterValidator(check_base_url)]
PollInterval = Annotated[int, AfterValidator(check_poll_interval)]
Directory = Annotated[Path, BeforeValidator(check_directory)]
File = Annotated[Path, BeforeValidator(check_file)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[\w.-]+$")]
