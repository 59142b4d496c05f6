"""The instance on which the tests of Dagster's door record their runs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Return the instance that the checkout configures, in a directory of its own."""
    dagster_home = tmp_path_factory.mktemp("dagster_home")
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", dagster_home)
    with dg.DagsterInstance.from_config(str(dagster_home)) as opened:
        yield opened
