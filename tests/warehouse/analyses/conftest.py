"""The worlds that every analysis is held against another computation on."""

from __future__ import annotations

import pytest

from tests.warehouse.reference import EACH_WORLD


@pytest.fixture(params=EACH_WORLD)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of a world, each in turn."""
    world: str = request.param
    return world
