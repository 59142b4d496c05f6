"""Where tables and landed pages are, for those who read no other part of the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipelines.config.document import read_document, reject_secrets
from pipelines.config.lake import make_places
from pipelines.config.rejections import Origin, explain_rejection
from pipelines.config.settings import Settings, data_home

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipelines.config.lake import Lake, Places

# The keys that say it.
OF_THE_PLACE = ("warehouse", "landing", "s3")


def find_place(environ: Mapping[str, str] | None = None) -> tuple[Path, Lake | None]:
    """Return the data directory, and the lake that the tables are in, if any. As read_places."""
    environ = os.environ if environ is None else environ
    return data_home(environ), read_places(*read_document(environ), environ).lake


def read_places(where: str, document: dict[str, Any], environ: Mapping[str, str]) -> Places:
    """Return the places that a file names, with their secrets.

    Raises SettingsError for what is wrong with them: no other place may stand in.
    """
    place = {key: document[key] for key in OF_THE_PLACE if key in document}
    reject_secrets(where, place)
    try:
        settings = Settings.model_validate(place)
    except ValidationError as error:
        raise explain_rejection(Origin(where), error.errors()) from None
    return make_places(settings.warehouse, settings.landing, settings.s3, environ)
