"""The providers that there are: those that a module of this folder lists as its PROVIDERS."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import pipelines.providers as folder
from pipelines.errors import LandingError
from pipelines.records import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from pipelines.providers.base import Endpoint, Provider


def find_providers() -> dict[str, Provider]:
    """Return name -> provider, of every module in this folder but this one."""
    names = [module.name for module in iter_modules(folder.__path__, f"{folder.__name__}.")]
    modules = [import_module(name) for name in names if name != __name__]
    listed = [provider for module in modules for provider in getattr(module, "PROVIDERS", ())]
    return {provider.name: provider for provider in sorted(listed, key=attrgetter("name"))}


PROVIDERS = find_providers()


def find_endpoint(name: str, provider: str = DEFAULT_PROVIDER) -> Endpoint[Any]:
    """Return how pages are read. Raises LandingError if this version does not know."""
    try:
        return PROVIDERS[provider].endpoint(name)
    except LookupError:
        problem = f"{name} of the provider {provider} are not known to this version"
        raise LandingError(f"{problem}. Upgrade session-threads") from None
