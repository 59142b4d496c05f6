"""How a request carries its token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Auth(Protocol):
    """A scheme: it turns a token into the headers of every request."""

    def sign(self, token: str) -> Mapping[str, str]:
        """Return the headers that show the token."""


class HeaderAuth(msgspec.Struct, frozen=True):
    """Shows the token in one header, behind a prefix."""

    header: str
    prefix: str = ""

    def sign(self, token: str) -> Mapping[str, str]:
        """Return the header."""
        return {self.header: self.prefix + token}


BEARER = HeaderAuth("Authorization", "Bearer ")
