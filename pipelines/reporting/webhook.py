"""The webhook: a message posted over https. No log, error or event contains its URL, a secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import tenacity
from pydantic import SecretStr

from pipelines.config.values import is_loopback
from pipelines.errors import AlertError, SettingsError
from pipelines.http.transport import keep_urls_unlogged

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
    trusts = not is_loopback(urlsplit(url).hostname or "")  # a proxy for plain http would read it
    keep_urls_unlogged()
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=trusts) as client,
            client.stream("POST", url, json={"text": text}) as response,
        ):
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AlertError(f"the webhook gave no answer ({type(error).__name__})") from None
    if not 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
        raise AlertError(f"the webhook answered HTTP {status}")
