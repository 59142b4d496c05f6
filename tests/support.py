"""What several tests need: a fleet served over real HTTP, configured."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.sandbox.server import TOKEN, Sandbox, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from pipelines.sandbox.world import World


@contextmanager
def serve_world(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a world and configure every session of it; give the base URL."""
    with serve(Sandbox(world).app) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        monkeypatch.setenv("QODER_PAT", TOKEN)
        monkeypatch.setenv("QODER_SESSION_IDS", ",".join(world.sessions))
        yield base_url
