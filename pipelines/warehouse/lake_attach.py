"""How DuckDB opens a lake: its extensions, its secrets, and what it may reach."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

import duckdb

from pipelines.config.lake import ON_S3
from pipelines.errors import WarehouseError
from pipelines.warehouse.opening import first_line
from pipelines.warehouse.sql import WITHOUT_LOOPS, quote

if TYPE_CHECKING:
    from pipelines.config.lake import Lake

EXTENSIONS = ("ducklake", "postgres_scanner")
ON_STORES = "httpfs"
# One SELECT 1 before whatever the catalog is asked: what it finds, the next statement finds too.
WITHOUT_HEALTH_CHECK = "SET pg_pool_health_check_query = ''"
# Buffers are a ten thousandth of the largest file that can be written: 5 MB, and not 80.
SMALL_BUFFERS = "SET s3_uploader_max_filesize = '50GB'"


def attach(
    connection: duckdb.DuckDBPyConnection, lake: Lake, schema: str, path: str, *options: str
) -> duckdb.DuckDBPyConnection:
    """Let a connection's tables be those of a lake's schema, attached with these options.

    It reaches the files below the path, and is closed if that fails. Raises WarehouseError.
    """
    try:
        load_extensions(connection, lake)
        if lake.data.startswith(ON_S3):
            connection.execute(SMALL_BUFFERS)
        create_secrets(connection, lake, schema)
        connection.execute(f"{WITHOUT_HEALTH_CHECK}; {WITHOUT_LOOPS}")
        connection.execute(f"ATTACH 'ducklake:lake' AS lake ({', '.join(options)})")
        connection.execute(f"SET allowed_directories = [{quote(f'{path}/')}]")
        connection.execute("USE lake")
    except duckdb.Error as error:
        connection.close()
        said = lake.hide(first_line(error))
        raise WarehouseError(f"{lake.name}: cannot be opened ({said})") from None
    return connection


def load_extensions(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Load what a lake needs. Raises WarehouseError if it is not installed."""
    names = EXTENSIONS + ((ON_STORES,) if lake.data.startswith(ON_S3) else ())
    for extension in names:
        try:
            connection.execute(f"LOAD {find_extension(extension)}")
        except duckdb.Error as error:
            fix = f"Install session-threads[lake], or run INSTALL {extension} in DuckDB once"
            problem = f"DuckDB's extension {extension} cannot be loaded ({first_line(error)})"
            raise WarehouseError(f"{lake.name}: {problem}. {fix}") from None


def create_secrets(connection: duckdb.DuckDBPyConnection, lake: Lake, schema: str) -> None:
    """Tell DuckDB who asks the catalog and the store: a connection string would be printed."""
    catalog, access = lake.catalog, lake.access
    connection.execute(f"""
        CREATE SECRET catalog (
            TYPE postgres, HOST {quote(catalog.host)}, PORT {catalog.port},
            DATABASE {quote(catalog.database)}, USER {quote(catalog.user)},
            PASSWORD {quote(lake.password.get_secret_value())}
        )
    """)
    connection.execute(f"""
        CREATE SECRET lake (
            TYPE ducklake, METADATA_PATH '', METADATA_SCHEMA {quote(schema)},
            METADATA_PARAMETERS MAP {{'TYPE': 'postgres', 'SECRET': 'catalog'}}
        )
    """)
    if access is not None:
        store = access.store
        keys = (access.key_id, access.secret)
        key_id, secret = (quote(key.get_secret_value()) for key in keys)
        endpoint = f"ENDPOINT {quote(store.endpoint)}, URL_STYLE 'path'," if store.endpoint else ""
        connection.execute(f"""
            CREATE SECRET store (
                TYPE s3, {endpoint} REGION {quote(store.region)}, USE_SSL {store.use_ssl},
                KEY_ID {key_id}, SECRET {secret}, SCOPE {quote(lake.data)}
            )
        """)


def find_extension(name: str) -> str:
    """Return what DuckDB loads: the file of the extra's package, or the name of one installed."""
    package = f"duckdb_extension_{name}"
    if find_spec(package) is None:
        return name
    file = files(package) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    return quote(str(file))
