"""What the assets are given: the configuration, and the analyses that there are."""

import dagster as dg

from pipelines.config.settings import Settings, load_settings


class Configuration(dg.ConfigurableResource[Settings]):
    """The configuration, read anew by each step, so that a change needs no reload."""

    def load(self) -> Settings:
        """Return the settings, tokens included. Raises SettingsError."""
        return load_settings()
