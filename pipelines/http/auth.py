"""How a request shows its token: a scheme is given the token, and gives what signs requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Generator

Scheme = Callable[[str], httpx.Auth]


class HeaderAuth(httpx.Auth):
    """Sends the token in a header, behind a prefix."""

    def __init__(self, header: str, token: str, *, prefix: str = "") -> None:
        self._header = header
        self._value = prefix + token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Sign the request. A token that is rejected once is not shown again."""
        request.headers[self._header] = self._value
        yield request


bearer: Scheme = partial(HeaderAuth, "Authorization", prefix="Bearer ")
