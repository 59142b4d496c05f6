"""The webhook: a message posted over https. No log, error or event contains its URL, a secret."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import tenacity
from pydantic import SecretStr

from pipelines.config.values import is_loopback
from pipelines.errors import AlertError, SettingsError
from pipelines.http.transport import TransportError, open_connections

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 10.0
ATTEMPTS = 3


def find_webhook(variable: str, environ: Mapping[str, str] | None = None) -> SecretStr:
    """Return the webhook's URL from its variable. Raises SettingsError, without the URL."""
    url = (os.environ if environ is None else environ).get(variable, "").strip()
    if not url:
        fix = f"Put the webhook's URL into it: export {variable}=https://…"
        raise SettingsError("webhook_url_env", f"the variable {variable} is not set", fix)
    if not is_protected(url):
        problem = f"the variable {variable} holds no URL that begins with https://"
        fix = "Copy the webhook's URL again (plain http is taken to a loopback address alone)."
        raise SettingsError("webhook_url_env", problem, fix)
    return SecretStr(url)


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read what is sent to the URL."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError:
        return False
    host = parts.hostname or ""
    is_plain = url.isascii() and url.isprintable() and " " not in url
    is_secret = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return is_plain and is_secret and bool(host)


def post(url: SecretStr, text: str, *, pause_s: float = 0.5) -> None:
    """Post a message as Slack, Mattermost and others expect it; try up to three times.

    Raises AlertError if it is not accepted: with the reason, never with the URL.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(AlertError),
        wait=tenacity.wait_exponential(multiplier=pause_s),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    attempts(_post_once, url.get_secret_value(), text)


def _post_once(url: str, text: str) -> None:
    try:
        status = asyncio.run(_send(url, text))
    except (TransportError, aiohttp.ClientError, OSError, ValueError) as error:
        kind = type(error.__cause__ or error).__name__
        raise AlertError(f"the webhook gave no answer ({kind})") from None
    if not 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
        raise AlertError(f"the webhook answered HTTP {status}")


async def _send(url: str, text: str) -> int:
    """Return the status that a message is answered with."""
    async with asyncio.timeout(TIMEOUT_S), open_connections(url, 1, {}) as connections:
        posting = connections.post(url, json={"text": text}, allow_redirects=False)
        async with posting as response:
            return response.status
