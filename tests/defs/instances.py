"""Instances of Dagster in separate directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

if TYPE_CHECKING:
    from pathlib import Path


def open_instance(dagster_home: Path) -> dg.DagsterInstance:
    """Open the instance of a directory as its tools do, which have the variable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(dagster_home))
        return dg.DagsterInstance.from_config(str(dagster_home))
