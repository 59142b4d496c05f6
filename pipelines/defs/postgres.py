"""Dagster's own tables in PostgreSQL, which may be away for a while.

Dagster tries for six seconds to connect. A run whose events cannot be written then ends, and so
does what finds such runs in a code server: they would stay STARTED, and keep their places in pools,
until `max_runtime_seconds`. Here every new connection waits for the server to come back.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import NullPool, create_engine, event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Dialect

logger = logging.getLogger(__name__)

PATIENCE_S = 600.0
DELAY_S = 1.0


class Storage(DagsterPostgresStorage):
    """What `storage: custom` in dagster.postgres.yaml names; its configuration is Dagster's."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        wait_for(postgres_url)
        super().__init__(postgres_url, inst_data=inst_data)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            event.listen(storage._engine, "do_connect", connect)  # noqa: SLF001 - made by it

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Storage:
        """Return what the configuration asks for, as Dagster makes it."""
        return cls(pg_url_from_config(config_value), inst_data)


def wait_for(url: str) -> None:
    """Return when the server answers. Raises OperationalError after PATIENCE_S."""
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "do_connect", connect)
    engine.connect().close()


def connect(dialect: Dialect, _: object, arguments: Any, parameters: Any) -> Any:  # noqa: ANN401
    """Return a connection to a server that may be away; a warning says why it takes so long."""
    started, is_said = time.monotonic(), False
    while True:
        try:
            return dialect.connect(*arguments, **parameters)
        except dialect.loaded_dbapi.OperationalError as error:
            if time.monotonic() - started > PATIENCE_S:
                raise
            if not is_said:
                logger.warning("Dagster's database: waiting (%s)", " ".join(str(error).split()))
            is_said = True
        time.sleep(DELAY_S)
