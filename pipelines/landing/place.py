"""Which place runs land in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.config.lake import ON_S3
from pipelines.errors import LandingError
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory

if TYPE_CHECKING:
    from pipelines.config.settings import Settings
    from pipelines.landing.store import Store


def open_landing(settings: Settings) -> Store:
    """Return the place that the settings name: by default a directory of the data directory.

    Raises LandingError if what an object store needs is not installed.
    """
    if settings.landing is None:
        return Directory(settings.home / RAW)
    if settings.access is None or not settings.landing.startswith(ON_S3):
        return Directory(Path(settings.landing))
    try:
        from pipelines.landing.objects import Objects  # noqa: PLC0415 - of an extra
    except ImportError as error:
        fix = "Install session-threads[lake]"
        raise LandingError(f"{settings.landing}: {error.name} is not installed. {fix}") from None
    return Objects(settings.landing, settings.access)
