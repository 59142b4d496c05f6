"""What the assets need: the configuration, and the analyses that there are."""

import dagster as dg

from pipelines.config.loader import load_settings, load_tolerant
from pipelines.config.settings import Settings
from pipelines.providers.registry import PROVIDERS
from pipelines.steps import Landed
from pipelines.warehouse.analyses import Analysis
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


ConfigurationParam = dg.ResourceParam[Configuration]
WarehouseParam = dg.ResourceParam[Warehouse]
# Run id -> what this process has landed, for the step that loads it.
LandedParam = dg.ResourceParam[dict[str, Landed]]
AnalysesParam = dg.ResourceParam[dict[str, Analysis]]
# The variable with the URL of the webhook; the sensors alone need it, and are there if it is.
WebhookParam = dg.ResourceParam[str]
