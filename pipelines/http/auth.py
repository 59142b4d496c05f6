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

    @property
    def described(self) -> str:
        """Return what a person would call it."""


class HeaderAuth(msgspec.Struct, frozen=True):
    """Shows the token in one header, behind a prefix."""

    header: str
    prefix: str = ""

    def sign(self, token: str) -> Mapping[str, str]:
        """Return the header."""
        return {self.header: self.prefix + token}

    @property
    def described(self) -> str:
        """Return the header without the token."""
        return f"{self.header}: {self.prefix}…"


# By the word that the configuration has for each.
SCHEMES: dict[str, Auth] = {
    "bearer": HeaderAuth("Authorization", "Bearer "),
    "x-api-key": HeaderAuth("x-api-key"),
}
