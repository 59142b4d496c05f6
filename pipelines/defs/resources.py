"""What the assets are given: the configuration, and the analyses that there are."""

import dagster as dg

from pipelines.config.settings import Settings, load_settings
from pipelines.warehouse.analyses import Analysis
from pipelines.warehouse.base import Warehouse


class Configuration:
    """The configuration, read anew by each step, so that a change needs no reload."""

    def load(self) -> Settings:
        """Return the settings, tokens included. Raises SettingsError."""
        return load_settings()


ConfigurationParam = dg.ResourceParam[Configuration]
WarehouseParam = dg.ResourceParam[Warehouse]
AnalysesParam = dg.ResourceParam[dict[str, Analysis]]
