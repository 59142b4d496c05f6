"""The instance on which the tests of Dagster's door record their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Return the instance that the checkout configures, in a separate directory."""
    dagster_home = tmp_path_factory.mktemp("dagster_home")
    text = (ROOT / "dagster_home" / "dagster.yaml").read_text(encoding="utf-8")
    # Tests have no such variable, and a tick opens the instance again.
    text = text.replace("\n        env: DAGSTER_HOME\n", f" {dagster_home}\n")
    (dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(dagster_home)) as opened:
        yield opened
