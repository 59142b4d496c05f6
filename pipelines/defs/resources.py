"""What the assets need: the configuration, and the analyses that there are."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
import duckdb

from pipelines.config.loader import load_settings, load_tolerant
from pipelines.config.settings import Settings
from pipelines.providers.registry import PROVIDERS
from pipelines.steps import Landed
from pipelines.warehouse.analysis import Analysis
from pipelines.warehouse.base import Warehouse


class Configuration:
    """The configuration, read again by each step, so that a change needs no reload."""

    def load(self) -> Settings:
        """Return the settings, tokens included. Raises SettingsError."""
        return load_settings(PROVIDERS)

    def load_without_tokens(self) -> Settings:
        """Return the settings for what asks no server. Raises SettingsError."""
        return load_settings(PROVIDERS, with_tokens=False)

    def load_tolerant(self) -> Settings:
        """Return the settings without the sources, defaults in place of what is wrong."""
        return load_tolerant()


class Tables:
    """The tables, opened by the first step of a run that writes, and open until its last one."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._opened = ExitStack()
        self._kept: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def write(
        self, staged: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the tables, for this process alone; they are closed at once if the block raises.

        The step that opens them does so where its run's pages are `staged`.
        """
        tables = self._kept or self._opened.enter_context(self._warehouse.write(staged))
        self._kept = None
        with self._opened:
            yield tables
            self._opened, self._kept = self._opened.pop_all(), tables

    def close(self) -> None:
        """Close the tables, if they are open."""
        self._opened.close()


@dg.resource(required_resource_keys={"warehouse"})
def open_for_run(context: dg.InitResourceContext) -> Iterator[Tables]:
    """Give the tables to the steps of a run, and close them as it ends."""
    tables = Tables(context.resources.warehouse)
    try:
        yield tables
    finally:
        tables.close()


ConfigurationParam = dg.ResourceParam[Configuration]
WarehouseParam = dg.ResourceParam[Warehouse]
TablesParam = dg.ResourceParam[Tables]
# Run id -> what this process has landed, for the step that loads it.
LandedParam = dg.ResourceParam[dict[str, Landed]]
AnalysesParam = dg.ResourceParam[dict[str, Analysis]]
# The variable with the URL of the webhook; the sensors alone need it, and are there if it is.
WebhookParam = dg.ResourceParam[str]
